"""Messages about the lab to where its user wants them: never in the way of the work, and never a flood.

ORCHESTRATOR_NOTIFY names the places, comma-separated: `webhook:https://…` takes a JSON document by POST, `desktop`
shows a notification here, anything else is an address of Apprise (https://github.com/caronc/apprise/wiki), such as
`json://host/path`. All but the webhook need the extra `notify`.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from orchestrator.connectors import webhook
from orchestrator.errors import OrchestratorError
from orchestrator.logs import Redactor
from orchestrator.settings import Settings

QUIET_S = 60.0  # one message of a kind in so many seconds; the rest are counted
SEND_S = 30.0
MAX_WAITING = 50  # messages; a place that is away must not collect them for ever
MAX_TITLE, MAX_BODY = 120, 1_000
WEBHOOK, DESKTOP = "webhook:", "desktop"
DESKTOPS = {"win32": "windows://", "darwin": "macosx://"}  # of Apprise; elsewhere dbus
# a comma may stand in an address: a new one begins where a scheme follows
BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*:|desktop\b)")
SUMMARIES = {
    "done": "{n} more jobs are done",
    "failed": "{n} more jobs failed",
    "budget": "{n} more jobs wait for money",
    "service": "{n} more changes of services",
}

logger = logging.getLogger(__name__)
Clock = Callable[[], float]


@dataclass(frozen=True)
class Message:
    """What is told. `kind` is one of settings.NOTIFY_ON."""

    kind: str
    title: str
    body: str = ""

    def safe(self, redactor: Redactor) -> Message:
        """Without keys, control characters and excess."""
        title = str(redactor.plain(self.title))[:MAX_TITLE]
        lines = (str(redactor.plain(line)) for line in self.body.split("\n"))
        return Message(self.kind, title, "\n".join(lines)[:MAX_BODY])


Place = Callable[[Message], Awaitable[None]]


class Quiet:
    """Lets one message of a kind through in each quiet period, and sums the others up at its end."""

    def __init__(self, *, period_s: float = QUIET_S, clock: Clock = time.monotonic) -> None:
        self._period_s = period_s
        self._clock = clock
        self._since: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def lets(self, message: Message) -> bool:
        """Whether a message may go out now; one that may not is counted."""
        now = self._clock()
        since = self._since.get(message.kind)
        if since is not None and now - since < self._period_s:
            self._held[message.kind] = self._held.get(message.kind, 0) + 1
            return False
        self._since[message.kind] = now
        return True

    def due(self) -> list[Message]:
        """The summaries of periods that are over; each begins a new one."""
        now = self._clock()
        over = [kind for kind in self._held if now - self._since[kind] >= self._period_s]
        summaries = []
        for kind in over:
            n = self._held.pop(kind)
            self._since[kind] = now
            summaries.append(Message(kind, SUMMARIES.get(kind, "{n} more").format(n=n)))
        return summaries


class Notifier:
    """Sends messages one after the other, in the background; what cannot be sent is logged and forgotten."""

    def __init__(
        self,
        settings: Settings,
        *,
        places: Sequence[Place] | None = None,
        clock: Clock = time.monotonic,
        quiet_s: float = QUIET_S,
    ) -> None:
        """`places` instead of those that the settings name."""
        self._wanted = settings.notify_on
        self._redactor = Redactor(settings)
        self._places = places_of(settings) if places is None else list(places)
        self._quiet = Quiet(period_s=quiet_s, clock=clock)
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(MAX_WAITING)

    def tell(self, message: Message) -> None:
        """Have a message sent, if its kind is wanted and it is not too soon after the last. Returns at once."""
        if self._places and message.kind in self._wanted and self._quiet.lets(message):
            self._put(message)

    def look(self) -> None:
        """Have the summaries sent that are due. To be called now and then."""
        for message in self._quiet.due():
            self._put(message)

    def _put(self, message: Message) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()  # the oldest says least
        self._waiting.put_nowait(message.safe(self._redactor))

    async def run(self) -> None:
        """Send what is told, until cancelled."""
        while True:
            message = await self._waiting.get()
            await asyncio.gather(*(self._send(place, message) for place in self._places))

    async def _send(self, place: Place, message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await place(message)
        except OrchestratorError as error:
            logger.warning("A notification could not be sent: %s", error.message)
        except Exception as error:  # noqa: BLE001 - its text may quote an address that has a key in it
            logger.warning("A notification could not be sent (%s)", type(error).__name__)


# ------------------------------------------------------------------------------ places


def addresses(settings: Settings) -> list[str]:
    """What ORCHESTRATOR_NOTIFY names."""
    said = settings.orchestrator_notify
    text = said.get_secret_value().strip(" ,\t\n") if said else ""
    return [part for part in BETWEEN.split(text) if part]


def places_of(settings: Settings) -> list[Place]:
    """The places that the settings name. One that cannot be used is logged, without its address."""
    places: list[Place] = []
    others = []
    for address in addresses(settings):
        if address.startswith(WEBHOOK):
            places.append(_webhook(address.removeprefix(WEBHOOK)))
        elif address == DESKTOP:
            others.append(DESKTOPS.get(sys.platform, "dbus://"))
        else:
            others.append(address)
    if others and importlib.util.find_spec("apprise") is None:
        logger.warning(
            "%d places of ORCHESTRATOR_NOTIFY need Apprise: pip install 'orchestrator-lab[notify]'",
            len(others),
        )
    elif others:
        places.append(_apprise(others))
    return places


def _webhook(url: str) -> Place:
    async def send(message: Message) -> None:
        document = {"kind": message.kind, "title": message.title, "body": message.body}
        # `text` is what Slack, Mattermost and others show
        await webhook.post(url, {**document, "text": f"{message.title}\n{message.body}".strip()})

    return send


def _apprise(urls: Sequence[str]) -> Place:
    def notify(message: Message) -> None:
        # not before it is needed: it takes a second to load
        apprise = importlib.import_module("apprise")
        sender = apprise.Apprise()
        taken = [sender.add(url) for url in urls]
        sent = sender.notify(title=message.title, body=message.body or message.title)
        if not (sent and all(taken)):
            raise ConnectionError

    async def send(message: Message) -> None:
        await asyncio.to_thread(notify, message)

    return send

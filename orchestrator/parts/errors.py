"""How a distributor can fail. Each class of failure has a word of its own, which events and tables carry."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.errors import ConfigError, OrchestratorError, RequestInvalid


class QueryInvalid(RequestInvalid):
    """There is nothing to search for."""

    remedy = "Give a part number or say what the part is, such as: resistor 4k7 0603 1%."


class BomInvalid(RequestInvalid):
    """The bill of materials cannot be read."""

    remedy = "Give a CSV or XLSX file with a header line and a column of part numbers or values."


class RateUnknown(OrchestratorError):
    """No table of exchange rates has this currency."""

    remedy = "Show prices in another currency, or run `orchestrator parts rates --update`."


class SourceSettingInvalid(ConfigError):
    """A setting of a source cannot be used."""

    remedy = "Mend it in .env.local; .env.example shows what each line may say."


class SourceError(OrchestratorError):
    """A source gave no offers. Touches nobody but itself.

    `kind` is the word for it in `provider:error`; `retry_after_s` says when it is worth another try, None: unknown.
    """

    kind: ClassVar[str] = "network"
    remedy = "The other sources are not touched by it; try again later."

    def __init__(
        self,
        message: str | None = None,
        *,
        remedy: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class SourceUnreachable(SourceError):
    """The source does not answer."""

    kind = "network"


class SourceTimeout(SourceError):
    """The source did not answer in time."""

    kind = "timeout"


class SourceAuth(SourceError):
    """The source does not accept the key."""

    kind = "auth"
    remedy = "Check the key in .env.local, and that its subscription covers searching."


class SourceRate(SourceError):
    """The source asks for fewer calls."""

    kind = "rate"
    remedy = "It is asked again when its time is over; offers from the cache are shown meanwhile."


class SourceQuota(SourceError):
    """The calls of this source are used up."""

    kind = "quota"
    remedy = "Wait for the new day, or ask the distributor for more calls."


class SourceProxy(SourceError):
    """The proxy of this source does not answer; nothing went out without it."""

    kind = "proxy"
    remedy = "Start the proxy, or take its line out of .env.local."


class SourceSchema(SourceError):
    """The source answered in a shape that is not known."""

    kind = "schema"
    remedy = "Its interface may have changed; the other sources are not touched."


class SourceBlocked(SourceError):
    """The source does not serve this address or region."""

    kind = "blocked"
    remedy = "Ask the distributor; a proxy you may use can be set for this source."


SOURCE_ERRORS: dict[str, type[SourceError]] = {
    error.kind: error
    for error in (
        SourceUnreachable,
        SourceTimeout,
        SourceAuth,
        SourceRate,
        SourceQuota,
        SourceProxy,
        SourceSchema,
        SourceBlocked,
    )
}

"""A ComfyUI of this machine that the guardian may start: its folder is `comfyRoot`, its address one of COMFY_URL."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from urllib.parse import urlsplit

import orjson
import psutil

from orchestrator.errors import DiskFull, ServiceUnreachable
from orchestrator.files import write_whole
from orchestrator.guardian.budget import Terms
from orchestrator.guardian.ward import Trouble, Ward
from orchestrator.health import comfyui_host
from orchestrator.health.processes import LOOPBACK, age_s, halted, port_of
from orchestrator.paths import Paths
from orchestrator.services.description import comfyui_command
from orchestrator.settings import Settings

START_S = 180.0  # custom nodes are imported, and models looked for
AWAY_S = 1.0  # nobody listens: somebody may be restarting it by hand
HALTED_S = 2.0  # whoever stopped it may let it go on
SETTLE_S = 2.0  # from a start to the end of one that cannot run at all
# a node that holds the interpreter makes it deaf; a checkpoint may take minutes to load
DEAF_S = 180.0
STOP_S = 10.0
REMEDY = "Read the end of logs/comfyui.log, and start ComfyUI by hand to see what it says."


class LocalComfyUI:
    """One server: found running, or started, with its output in `logs/comfyui.log`.

    It is no child that ends with us: a guardian that comes back finds it by its note, and its prompts go on.
    """

    def __init__(self, paths: Paths, settings: Settings, url: str) -> None:
        self._paths = paths
        self._settings = settings.model_copy(update={"comfy_url": url})
        self.url = url
        self._note = paths.data / f"comfyui-{port_of(url)}.json"
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def all(cls, paths: Paths, settings: Settings) -> list[LocalComfyUI]:
        """Those that can be started here: none without a comfyRoot that has a main.py."""
        if paths.comfy_root is None or not (paths.comfy_root / "main.py").is_file():
            return []
        local = [url for url in settings.comfy_urls if urlsplit(url).hostname in LOOPBACK]
        return [cls(paths, settings, url) for url in local]

    def ward(self) -> Ward:
        """For a guardian."""
        terms = Terms(pause_s=1.0)
        return Ward("comfyui", self.look, self.restart, remedy=REMEDY, terms=terms, is_shared=True)

    def command(self) -> list[str]:
        """What starts it."""
        root = self._paths.comfy_root
        assert root is not None
        return list(comfyui_command(root, self._settings))

    async def look(self) -> Trouble | None:
        """What is wrong with it."""
        process = await asyncio.to_thread(self.process)
        # before it is asked: a stopped one costs all the time that an answer may take
        if process is not None and (state := await asyncio.to_thread(halted, process.pid)):
            return Trouble(f"process {process.pid} is {state}", HALTED_S, by_hand=True)
        health, _ = await comfyui_host(self.url)
        if health.is_running:
            return None
        if process is None:
            return Trouble(f"nothing answers at {health.url}", AWAY_S)
        if await self._listens():
            return Trouble(f"process {process.pid} does not answer", DEAF_S)
        age = age_s(process.pid)
        if age is None:
            return Trouble("its process ended", AWAY_S)
        return Trouble(f"process {process.pid} does not get ready", max(AWAY_S, START_S - age))

    async def restart(self) -> None:
        """End what we started of it, and start it. Raises ServiceUnreachable, OSError."""
        await asyncio.to_thread(self.stop)
        if await self._listens():
            # somebody else's: it is not ours to end
            raise ServiceUnreachable(
                f"Another program holds port {port_of(self.url)}",
                remedy="End it, or correct COMFY_URL.",
            )
        await asyncio.to_thread(self._start)
        await asyncio.sleep(SETTLE_S)
        if self._child is not None and (code := self._child.poll()) is not None:
            raise ServiceUnreachable(f"It ended at once with exit code {code}", remedy=REMEDY)

    def _start(self) -> None:
        with (self._paths.logs / "comfyui.log").open("ab") as log:
            self._child = subprocess.Popen(
                self.command(),
                cwd=self._paths.comfy_root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._write_note(self._child)

    def _write_note(self, child: subprocess.Popen[bytes]) -> None:
        # on a full disk it waits until somebody looks again
        with contextlib.suppress(psutil.Error, OSError, DiskFull):
            begun = psutil.Process(child.pid).create_time()
            said = {"pid": child.pid, "begun": begun, "url": self.url}
            write_whole(self._note, orjson.dumps(said), durable=False)

    def process(self) -> psutil.Process | None:
        """The process that a guardian of this lab has started, if it lives."""
        # a child that ended stays a zombie until it is asked
        if self._child is not None and self._child.poll() is None and not self._note.is_file():
            self._write_note(self._child)
            with contextlib.suppress(psutil.Error):
                return psutil.Process(self._child.pid)
        try:
            said = orjson.loads(self._note.read_bytes())
            found = psutil.Process(int(said["pid"]))
            # the time is worked out from the clock, and moves with it: then its command tells
            is_it = abs(found.create_time() - float(said["begun"])) < 1.0
            is_it = is_it or found.cmdline() == self.command()
            return found if is_it and found.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

    def stop(self) -> None:
        """End the process that a guardian of this lab has started, and its children. Blocks for some seconds."""
        process = self.process()
        if process is not None:
            with contextlib.suppress(psutil.Error):
                family = [process, *process.children(recursive=True)]
                if halted(process.pid):  # it would not hear of it
                    process.kill()
                else:
                    process.terminate()
                for left in psutil.wait_procs(family, timeout=STOP_S)[1]:
                    left.kill()
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(1.0)
        with contextlib.suppress(OSError):  # not there, or somebody on Windows reads it just now
            self._note.unlink()

    async def _listens(self) -> bool:
        parts = urlsplit(self.url)
        try:
            async with asyncio.timeout(1.0):
                _, writer = await asyncio.open_connection(parts.hostname, port_of(self.url))
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

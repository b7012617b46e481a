"""The Jupyter Server that `orchestrator up` runs: JupyterLab, Voilà and the lab's extension in one process."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any, BinaryIO

import traitlets
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.kernelmanager import (
    AsyncMappingKernelManager,
    ServerKernelManager,
)
from traitlets.config import Config

from orchestrator.guardian import Ward
from orchestrator.lab import Lab
from orchestrator.server import pages
from orchestrator.server.forked import CAN_FORK, ForkedProvisioner, Zygote
from orchestrator.server.guarding import Guarding
from orchestrator.server.offspring import Offspring
from orchestrator.server.page_kernels import PageKernels
from orchestrator.server.panel import Panel
from orchestrator.server.reaper import Reaper
from orchestrator.server.signals import on_signals
from orchestrator.server.supervisor import Supervisor

ETC = Path(__file__).resolve().parent / "etc"
KERNEL_STOP_S = 1.5  # what a kernel may take to end by itself
MAX_LOG_BYTES = 5_000_000
# glibc keeps freed memory in an arena per thread: a page's kernel takes 3 to 4 MB more that way
FRUGAL = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "100000"}


class LabKernel(ServerKernelManager):
    """A kernel whose process is written down, however often it is restarted. A page's is a fork, where it can be."""

    @traitlets.default("last_activity")
    def _just_now(self) -> datetime:
        # Jupyter sets it a moment after the kernel can be listed, and fails whoever lists them in that moment
        return datetime.now(UTC)

    async def _async_pre_start_kernel(self, *, forked: bool = False, **kwargs: Any) -> Any:
        """As the base class, which calls it before it looks for who starts its process."""
        if forked and CAN_FORK and self.provisioner is None:
            kernels: Any = self.parent
            self.provisioner = ForkedProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
            self.provisioner.zygote = kernels.zygote
        return await super()._async_pre_start_kernel(**kwargs)

    async def _async_post_start_kernel(self, **kwargs: Any) -> None:
        """As the base class, which calls it after each start and restart."""
        await super()._async_post_start_kernel(**kwargs)
        kernels: Any = self.parent
        pid = getattr(self.provisioner, "pid", None)  # a kernel of another machine has none
        for each in (pid, kernels.zygote.pid):
            if each is not None:
                await asyncio.to_thread(kernels.offspring.add, each)


class LabKernels(AsyncMappingKernelManager):
    """Kernels that open this lab, and whose noise goes to a file instead of the user's terminal."""

    environment: dict[str, str]
    log_file: BinaryIO
    offspring: Offspring
    zygote: Zygote

    async def start_kernel(self, **kwargs: Any) -> str:  # type: ignore[override]
        """As the base class. `forked`: it imports what pages' kernels do, and need not do that itself."""
        kwargs["env"] = {**FRUGAL, **(kwargs.get("env") or os.environ), **self.environment}
        kwargs.update(stdout=self.log_file, stderr=self.log_file)
        return await super().start_kernel(**kwargs)


class LabServer(ServerApp):
    """A server for one lab."""

    no_browser_open_file = True  # it would hold the token; `up` says the address
    lab: Lab
    panel: Panel | None = None  # set by the extension
    supervisor: Supervisor
    reaper: Reaper
    page_kernels: PageKernels
    guarding: Guarding
    on_start: Callable[[], Awaitable[object]]

    def prepare(
        self,
        lab: Lab,
        *,
        offspring: Offspring,
        orphan_grace_s: float,
        on_start: Callable[[], Awaitable[object]],
        wards: Sequence[Ward] = (),
    ) -> None:
        """Everything but running; then call `start`. `offspring` learns of every kernel. `on_start` runs as soon as the
        server listens, and the worker waits for it. `wards` are what the guardian looks after besides the worker and
        its monitor."""
        self.lab = lab
        self.on_start = on_start
        self.initialize(argv=[])
        if lab.settings.log_level != "DEBUG":  # else it makes a record of every message, to drop it
            self.log.setLevel(logging.WARNING)
        kernels: Any = self.kernel_manager
        kernels.environment = {
            "ORCHESTRATOR_PATHS": str(lab.paths.file),
            "ADMIN_URL": lab.settings.admin_url,
        }
        kernels.offspring = offspring
        log = lab.paths.logs / "kernels.log"
        kernels.log_file = _open_log(log)
        kernels.zygote = Zygote(log)
        for handler in logging.getLogger("orchestrator").handlers:
            passing_on = MemoryHandler(1, target=handler)
            passing_on.setLevel(logging.WARNING)
            self.log.addHandler(passing_on)
        self.page_kernels = PageKernels(self)
        self.reaper = Reaper(self, grace_s=orphan_grace_s)
        self.guarding = Guarding(lab, wards=wards)
        self.supervisor = Supervisor(self, lab, ready=on_start, guardian=self.guarding.guardian)
        self.io_loop.add_callback(self._tend)

    async def _tend(self) -> None:
        self.guarding.start()
        self.supervisor.start()
        self.reaper.start()
        await self.on_start()

    def init_signal(self) -> None:
        """End on the first signal, without Jupyter's question; a second one does not wait for anything."""
        on_signals(self._on_signal)

    def _on_signal(self, *_: object) -> None:
        # kernels and engine notice by themselves that we are gone
        on_signals(lambda *_: os._exit(1))
        self.stop(from_signal=True)

    async def cleanup_extensions(self) -> None:
        """End what `prepare` began, before the other kernels are ended."""
        if self.panel is not None:
            await self.panel.close()
        await self.guarding.stop()  # first: it would bring back what is being ended
        await self.supervisor.stop()
        await self.page_kernels.stop()
        await self.reaper.stop()
        await super().cleanup_extensions()

    async def cleanup_kernels(self) -> None:
        """As the base class, and what they were forked from."""
        await super().cleanup_kernels()
        kernels: Any = self.kernel_manager
        await kernels.zygote.end()


def make(lab: Lab, *, host: str, port: int, base_url: str, token: str) -> LabServer:
    """A server for a lab; `prepare` and `start` it. Settings of the user's own Jupyter files come second to these."""
    config = Config()
    server = config.ServerApp
    server.ip, server.port, server.port_retries = host, port, 0
    server.base_url, server.default_url = base_url, f"{base_url}{pages.HOME.slug}"
    server.root_dir = str(lab.paths.project_root)
    server.allow_root = True  # in a container; whoever has the token may do anything in any case
    server.open_browser = False
    server.kernel_manager_class = LabKernels
    config.MappingKernelManager.kernel_manager_class = f"{__name__}.{LabKernel.__name__}"
    verbose = lab.settings.log_level == "DEBUG"
    config.Application.log_level = logging.DEBUG if verbose else logging.ERROR
    server.jpserver_extensions = {
        "jupyterlab": True,
        "voila.server_extension": True,
        "orchestrator.server": True,
        "jupyter_lsp": False,  # looks for language servers at every start
        "notebook_shim": False,
    }
    config.IdentityProvider.token = token
    config.MappingKernelManager.cull_idle_timeout = 0  # see reaper
    config.KernelManager.shutdown_wait_time = KERNEL_STOP_S
    pages.look_in("JUPYTER_CONFIG_PATH", ETC)  # where JupyterLab is told to fetch no news
    pages.configure(config, pages.there(pages.folder()))
    ask_no_yarn()
    return LabServer.instance(config=config)


def ask_no_yarn() -> None:
    """Have JupyterLab start at once, also where there is a Node.js.

    By itself it runs yarn for a second, and again with every page of it, to learn from which registry it would build
    itself anew: nobody does that in a lab.
    """
    from jupyterlab import commands

    commands._yarn_config = lambda _: {"yarn config": {}, "npm config": {}}


def _open_log(path: Path) -> BinaryIO:
    """Append to a log that several processes write to; start over when it is long."""
    full = path.exists() and path.stat().st_size > MAX_LOG_BYTES
    return path.open("wb" if full else "ab")

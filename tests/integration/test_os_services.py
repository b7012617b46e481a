"""Services through stand-ins for systemctl, launchctl and nssm: programs on PATH that keep what they are told and
answer as the real ones are documented to."""

from __future__ import annotations

import copy
import json
import os
import plistlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import (
    ServiceManagerFailed,
    ServiceManagerMissing,
    ServiceRefused,
    ServiceUnknown,
)
from orchestrator.paths import Paths
from orchestrator.services import Launchd, Manager, Nssm, Running, Services, Systemd, manager_here
from orchestrator.settings import Settings


class Call:
    """One call of a program: what it was given, what it says, and the memory that all of them share."""

    def __init__(self, words: list[str], state: dict[str, Any], **environment: str) -> None:
        self.words = words
        self.state = state
        self.environment = environment
        self.out = b""
        self.err = b""

    def say(self, *lines: str) -> None:
        self.out += "".join(f"{line}\n" for line in lines).encode()

    def fail(self, code: int, line: str = "") -> NoReturn:
        self.err += f"{line}\n".encode() if line else b""
        raise Ended(code)


class Ended(Exception):
    """A program's end before its last line, with the exit code."""


def systemctl(call: Call) -> None:
    state, words = call.state, call.words
    verb, units = words[1], [word for word in words[2:] if not word.startswith("--")]
    folder = Path(call.environment["XDG_CONFIG_HOME"], "systemd", "user")
    assert words[0] == "--user"
    if state.get("no bus"):
        call.fail(1, "Failed to connect to bus: No medium found")

    if verb == "show":
        unit = units[0]
        there = (folder / unit).exists()
        word, _, sub = (state.get(unit, "inactive") if there else "inactive").partition("/")
        call.say(
            "Result=" + ("exit-code" if "fail" in word + sub or "auto" in sub else "success"),
            "NRestarts=3" if "auto" in sub else "NRestarts=0",
            "LoadState=" + ("loaded" if there else "not-found"),
            f"ActiveState={word}",
            f"SubState={sub or 'dead'}",
            f"MainPID={state['pid'] if word == 'active' else 0}",
            "StateChangeTimestamp="
            + ("Sun 2026-11-22 10:00:00 UTC" if call.environment["TZ"] == "UTC" else "?"),
        )
    elif verb in ("start", "restart", "stop", "enable", "disable"):
        for unit in units:
            if not (folder / unit).exists():
                call.fail(5, f"Failed to {verb} {unit}: Unit {unit} not found.")
            if verb in ("start", "restart"):
                state[unit] = "active/running"
            if verb == "stop" or "--now" in words:
                state[unit] = "inactive"
    elif verb == "reset-failed":
        call.fail(1)


def loginctl(call: Call) -> None:
    call.say("Linger=" + call.state.get("linger", "no"))


def launchctl(call: Call) -> None:
    state, verb = call.state, call.words[0]
    loaded = state.setdefault("loaded", {})
    if verb == "bootstrap":
        if state.get("busy", 0):
            state["busy"] -= 1
            call.fail(37, "Bootstrap failed: 37: Operation already in progress")
        label = plistlib.loads(Path(call.words[2]).read_bytes())["Label"]
        if label in loaded:
            call.fail(5, "Bootstrap failed: 5: Input/output error")
        loaded[label] = "running"
    elif verb in ("bootout", "print", "kickstart"):
        domain, _, label = call.words[-1].rpartition("/")
        assert domain == "gui/501", domain
        if label not in loaded:
            call.fail(113, f'Could not find service "{label}" in domain for user gui: 501')
        if verb == "bootout":
            del loaded[label]
        elif verb == "kickstart":
            loaded[label] = "running"
        else:
            runs = loaded[label] == "running"
            call.say(
                f"gui/501/{label} = {{",
                "\tactive count = 1\n\tpath = /Users/x",
                "\tstate = " + ("running" if runs else "spawn scheduled"),
                "\tenvironment = {\n\t\tpid = 4\n\t}",
                *([f"\tpid = {state['pid']}"] if runs else []),
                "\tlast exit code = " + ("(never exited)" if runs else "1"),
                "}",
            )


def nssm(call: Call) -> None:
    verb, name, *rest = call.words
    known = call.state.setdefault("services", {})

    def say(text: str, code: int = 0) -> None:
        said = (text + "\r\n").encode("utf-16-le")  # as nssm does
        if code:
            call.err += said
            raise Ended(code)
        call.out += said

    if verb == "install":
        if name in known:
            say(
                "Error creating service!\r\nCreateService(): The specified service already exists.",
                5,
            )
        known[name] = {"state": "SERVICE_STOPPED", "Application": [rest[0]]}
        say(f'Service "{name}" installed successfully!')
    if name not in known:
        say(
            "Can't open service!\r\n"
            "OpenService(): The specified service does not exist as an installed service.",
            3,
        )
    service = known[name]
    if verb == "status":
        say(service["state"])
    elif verb == "set":
        service[rest[0]] = rest[1:]
        say(f'Set parameter "{rest[0]}" for service "{name}".')
    elif verb == "get":
        say("\r\n".join(service.get(rest[0], [])))
    elif verb in ("start", "restart"):
        if verb == "start" and service["state"] == "SERVICE_RUNNING":
            say(f"{name}: START: An instance of the service is already running.", 1)
        service["state"] = "SERVICE_RUNNING"
        say(f"{name}: START: The operation completed successfully.")
    elif verb == "stop":
        service["state"] = "SERVICE_STOPPED"
        say(f"{name}: STOP: The operation completed successfully.")
    elif verb == "remove":
        assert rest[0] == "confirm"
        del known[name]
        say(f'Service "{name}" removed successfully!')


def sc(call: Call) -> None:
    call.say(
        f"\nSERVICE_NAME: {call.words[1]}\n        STATE              : 4  RUNNING",
        f"        PID                : {call.state['pid']}\n        FLAGS              :",
    )


# called hundreds of times: a shell asks these tests what to say, as its own words, which starts no Python
FRAME = """#!/bin/sh
printf '%s\\0' $(($# + 3)) {name} "$TZ" "$XDG_CONFIG_HOME" "$@" > '{calls}'
read -r answer < '{answers}'
eval "$answer"
"""


def octal(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)


class StandIns:
    """Programs on PATH with one memory. One call is answered at a time."""

    def __init__(self, folder: Path, *programs: Callable[[Call], None]) -> None:
        self._programs = {program.__name__: program for program in programs}
        self._state: dict[str, Any] = {"pid": os.getpid(), "calls": []}
        pipes = [folder / ".calls", folder / ".answers"]
        for pipe in pipes:
            os.mkfifo(pipe)
        # for reading and writing: so neither end ever waits for the other, and none is ever the last
        self._calls, self._answers = (os.open(pipe, os.O_RDWR) for pipe in pipes)
        for name in self._programs:
            text = FRAME.format(name=name, calls=pipes[0], answers=pipes[1])
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        os.write(self._calls, b"0\0")
        self._thread.join()
        os.close(self._calls)
        os.close(self._answers)

    def _serve(self) -> None:
        """Each call is the number of its words and the words; a call of no words is the last."""
        said = b""
        while said != b"0\0":
            number, _, rest = said.partition(b"\0")
            if number and rest.count(b"\0") >= int(number):
                *words, said = rest.split(b"\0", int(number))
                os.write(self._answers, self._answer(*(word.decode() for word in words)).encode())
            else:
                said += os.read(self._calls, 1 << 16)

    def _answer(self, name: str, zone: str, config: str, *words: str) -> str:
        """What the shell shall do, in one line."""
        self._state["calls"].append([name, *words])
        call = Call(list(words), self._state, TZ=zone, XDG_CONFIG_HOME=config)
        code = 0
        try:
            self._programs[name](call)
        except Ended as ended:
            (code,) = ended.args
        except (AssertionError, LookupError, OSError) as error:
            call.err, code = repr(error).encode(), 70
        return f"printf '{octal(call.out)}'; printf '{octal(call.err)}' >&2; exit {code}\n"

    def read(self) -> dict[str, Any]:
        return copy.deepcopy(self._state)

    def write(self, **state: Any) -> None:
        self._state.update(state)

    def changes(self) -> list[list[str]]:
        """What was called, without questions."""
        asking = {"show", "print", "status", "get", "queryex", "show-user"}
        return [call for call in self.read()["calls"] if not asking & set(call[1:3])]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIns]:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("USER", "artist")
    stand_ins = StandIns(folder, systemctl, loginctl, launchctl, nssm, sc)
    yield stand_ins
    stand_ins.close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.init(tmp_path / "my lab")


def manager(kind: str, tmp_path: Path) -> Manager:
    match kind:
        case "systemd":
            return Systemd()
        case "launchd":
            return Launchd(folder=tmp_path / "LaunchAgents", user_id=501)
        case _:
            return Nssm()


def opened(kind: str, tmp_path: Path, paths: Paths) -> Services:
    return Services(paths, Settings(), manager=manager(kind, tmp_path), pause=lambda: None)


KINDS = pytest.mark.parametrize("kind", ["systemd", "launchd", "nssm"])


def states(services: Services) -> dict[str, str]:
    return {each.name: each.running.value for each in services.status()}


@KINDS
def test_a_service_s_life_from_install_to_uninstall(
    kind: str, tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    services = opened(kind, tmp_path, paths)
    assert set(states(services).values()) == {"not installed"}
    assert services.install().services == ["panel", "guardian"]
    assert paths.logs.is_dir()  # or the manager could not open its file
    assert states(services)["panel"] == states(services)["guardian"] == "stopped"
    assert states(services)["worker"] == "not installed"
    assert services.start().services == ["panel", "guardian"]
    (panel,) = services.status(["OrchestratorPanel"])
    assert (panel.running, panel.pid) == (Running.RUNNING, os.getpid())
    assert panel.since is not None
    if kind != "systemd":  # which says it itself
        assert panel.since.timestamp() == pytest.approx(psutil.Process().create_time(), abs=2)
    services.restart(["guardian"])
    assert states(services)["guardian"] == "running"
    assert services.stop().services == ["guardian", "panel"]
    assert states(services)["panel"] == "stopped"
    services.start(["panel"])
    services.start(["panel"])  # one that runs is no fault
    services.install()  # nor is one that is installed: it is brought up to date
    assert services.uninstall().services == ["panel", "guardian"]
    assert set(states(services).values()) == {"not installed"}
    assert not list(tmp_path.rglob("*.service")) + list(tmp_path.rglob("*.plist"))
    assert services.uninstall().services == []


@KINDS
def test_a_dry_run_says_the_steps_and_takes_none(
    kind: str, tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    services = opened(kind, tmp_path, paths)
    said = services.install(["worker"], dry_run=True)
    assert programs.changes() == []
    assert not paths.logs.exists()
    assert not list(tmp_path.rglob("*.service")) + list(tmp_path.rglob("*.plist"))
    really = services.install(["worker"])
    assert really.steps == said.steps
    assert really.files == said.files
    taken = programs.changes()
    for verb in (services.start, services.restart, services.uninstall):
        assert verb(dry_run=True).steps
    assert programs.changes() == taken
    assert states(services)["worker"] == "stopped"


@KINDS
def test_services_of_another_lab_are_seen_and_left_alone(
    kind: str, tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    others = opened(kind, tmp_path, Paths.init(tmp_path / "other"))
    others.install(["panel"])
    services = opened(kind, tmp_path, paths)
    (panel,) = services.status(["panel"])
    assert panel.installed
    assert not panel.ours
    before = programs.changes()
    for verb in (services.install, services.uninstall, services.stop, services.start):
        with pytest.raises(ServiceRefused, match="another lab"):
            verb(["panel"])
    assert services.uninstall().services == services.stop().services == []
    assert programs.changes() == before
    assert others.uninstall().services == ["panel"]


def test_files_that_are_nobody_s_of_ours_stay(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    folder = tmp_path / "config" / "systemd" / "user"
    folder.mkdir(parents=True)
    for name in ("orchestrator-panel.service", "sshd.service", "orchestrator-x.service"):
        (folder / name).write_text("[Service]\nExecStart=/bin/true\n")
    services = opened("systemd", tmp_path, paths)
    with pytest.raises(ServiceRefused):
        services.install()
    services.install(["monitor"])
    assert services.uninstall().services == ["monitor"]
    assert len(list(folder.iterdir())) == 3


@KINDS
def test_a_verb_for_a_service_that_is_not_installed_says_how_to_install_it(
    kind: str, tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    services = opened(kind, tmp_path, paths)
    for verb in (services.start, services.stop, services.restart, services.uninstall):
        with pytest.raises(ServiceUnknown) as raised:
            verb(["monitor"])
        assert raised.value.remedy == "orchestrator services install monitor"


@KINDS
def test_a_machine_without_the_manager_is_told_what_to_do(
    kind: str, tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    services = opened(kind, tmp_path, paths)
    for verb in (services.install, services.start, services.status, services.uninstall):
        with pytest.raises(ServiceManagerMissing) as raised:
            verb()
        assert "orchestrator up" in raised.value.remedy
    said = services.install(dry_run=True) if kind != "nssm" else None
    if said:
        assert said.steps
        assert "does not answer" in said.hints[0]


def test_no_other_kind_of_machine_is_guessed_at() -> None:
    assert [manager_here(kind).name for kind in ("linux", "darwin", "win32")] == [
        "systemd", "launchd", "NSSM",
    ]  # fmt: skip
    with pytest.raises(ServiceManagerMissing):
        manager_here("freebsd14")


# ------------------------------------------------------------------------------ systemd


@pytest.mark.parametrize(
    ("said", "running", "message"),
    [
        ("active/running", Running.RUNNING, ""),
        ("activating/start", Running.RUNNING, ""),
        ("inactive/dead", Running.STOPPED, ""),
        ("failed/failed", Running.FAILED, "ended with exit-code"),
        (
            "activating/auto-restart",
            Running.FAILED,
            "is being started again, ended with exit-code, 3 restarts",
        ),
    ],
)
def test_systemd_s_states_in_words(
    tmp_path: Path, paths: Paths, programs: StandIns, said: str, running: Running, message: str
) -> None:
    services = opened("systemd", tmp_path, paths)
    services.install(["panel"])
    programs.write(**{"orchestrator-panel.service": said})
    (panel,) = services.status(["panel"])
    assert (panel.running, panel.message) == (running, message)
    assert panel.since is not None
    assert panel.since.isoformat() == "2026-11-22T10:00:00+00:00"


def test_a_session_without_systemd_is_told_how_to_get_one(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    programs.write(**{"no bus": True})
    with pytest.raises(ServiceManagerFailed, match="No medium found") as raised:
        opened("systemd", tmp_path, paths).install()
    assert "XDG_RUNTIME_DIR" in raised.value.remedy


def test_services_that_wait_for_a_login_are_told_of_lingering(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    services = opened("systemd", tmp_path, paths)
    assert "loginctl enable-linger artist" in services.install().hints[0]
    programs.write(linger="yes")
    assert services.install().hints == []


# ------------------------------------------------------------------------------ launchd


def test_launchd_is_asked_again_while_it_is_busy(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    services = opened("launchd", tmp_path, paths)
    services.install(["panel"])
    programs.write(busy=2)
    services.start()
    assert states(services)["panel"] == "running"
    programs.write(busy=99)
    with pytest.raises(ServiceManagerFailed, match="already in progress"):
        services.restart()


def test_an_agent_that_ended_badly_has_failed(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    services = opened("launchd", tmp_path, paths)
    services.install(["panel"])
    services.start()
    programs.write(loaded={"lab.orchestrator.panel": "ended"})
    (panel,) = services.status(["panel"])
    assert (panel.running, panel.pid, panel.message) == (Running.FAILED, None, "ended with 1")


# ------------------------------------------------------------------------------ nssm


def test_nssm_is_told_the_whole_description_under_the_names_of_the_map(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    root = tmp_path / "Comfy UI"
    root.mkdir()
    with_comfy = paths.model_copy(update={"comfy_root": root})
    services = opened("nssm", tmp_path, with_comfy)
    services.install(["panel", "worker", "monitor", "guardian", "comfyui"])
    known = programs.read()["services"]
    assert set(known) == {
        "OrchestratorPanel", "OrchestratorWorker", "OrchestratorMonitor", "OrchestratorGuardian",
        "OrchestratorComfyUI",
    }  # fmt: skip
    panel, comfy = known["OrchestratorPanel"], known["OrchestratorComfyUI"]
    assert panel["Application"] == [sys.executable]
    assert panel["AppParameters"] == ["-m orchestrator up --no-browser"]
    assert panel["AppDirectory"] == [str(tmp_path / "my lab")]
    assert f"ORCHESTRATOR_PATHS={paths.file}" in panel["AppEnvironmentExtra"]
    assert panel["Start"] == ["SERVICE_AUTO_START"]
    assert panel["AppExit"] == ["Default", "Restart"]
    assert panel["AppStdout"] == panel["AppStderr"] == [str(paths.logs / "service-panel.log")]
    assert comfy["AppParameters"] == [f'"{root / "main.py"}" --port 8188']
    assert known["OrchestratorGuardian"]["AppKillProcessTree"] == ["0"]


def test_a_service_that_nssm_holds_back_has_failed(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    services = opened("nssm", tmp_path, paths)
    services.install(["panel"])
    known = programs.read()["services"]
    known["OrchestratorPanel"]["state"] = "SERVICE_PAUSED"
    programs.write(services=known)
    (panel,) = services.status(["panel"])
    assert panel.running is Running.FAILED
    known["OrchestratorPanel"]["state"] = "WHAT IS THIS"
    programs.write(services=known)
    with pytest.raises(ServiceManagerFailed, match="WHAT IS THIS"):
        services.status(["panel"])


# ------------------------------------------------------------------------------ the command


@pytest.mark.skipif(sys.platform != "linux", reason="the manager is that of the machine")
def test_the_command_installs_starts_tells_and_uninstalls(
    tmp_path: Path, paths: Paths, programs: StandIns
) -> None:
    def call(*arguments: str) -> Any:
        given = {
            "ORCHESTRATOR_PATHS": str(paths.file),
            "BFL_API_KEY": "sk-planted",
            "COLUMNS": "200",
        }
        said = CliRunner().invoke(app, ["services", *arguments], env=given)
        assert "sk-planted" not in said.output
        return said

    said = call("install", "--dry-run")
    assert said.exit_code == 0
    assert "ExecStart=" in said.stdout
    assert "systemctl --user enable orchestrator-panel.service" in said.stdout
    assert call("status").exit_code == 1
    assert call("install").exit_code == 0
    assert call("status").exit_code == 1
    assert call("start").exit_code == 0
    said = call("status", "--json")
    assert said.exit_code == 0
    document = json.loads(said.stdout)
    assert document["manager"] == "systemd"
    by_name = {each["name"]: each for each in document["services"]}
    assert by_name["panel"]["status"] == by_name["guardian"]["status"] == "running"
    assert by_name["panel"]["pid"] == os.getpid()
    assert by_name["comfyui"]["status"] == "not installed"
    assert f"pid {os.getpid()}" in call("status", "panel").stdout
    assert call("status", "worker").exit_code == 1
    assert call("restart", "sshd").exit_code == 2
    assert call("start", "comfyui").exit_code == 2
    assert json.loads(call("uninstall", "--json").stdout)["services"] == ["panel", "guardian"]
    assert not list((tmp_path / "config").rglob("*.service"))

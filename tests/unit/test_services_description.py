"""What the service managers are told: units, property lists and NSSM's settings of awkward places."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.errors import ServiceRefused, ServiceUnknown
from orchestrator.paths import Paths
from orchestrator.services import Service, describe, name_of
from orchestrator.services.description import chosen
from orchestrator.services.launchd import plist
from orchestrator.services.nssm import Nssm
from orchestrator.services.systemd import unit
from orchestrator.settings import Settings

PLAIN = "lab"
AWKWARD = [
    "a lab",
    'quo"te',
    "it's",
    "100%h",
    "$HOME ${x}",
    "лаб ä",
    "semi;colon #x",
    "back\\s lash",
    "[x]",
]
KEY = "sk-never-in-a-unit"


def settings() -> Settings:
    return Settings(
        bfl_api_key=SecretStr(KEY),
        hf_token=SecretStr(KEY),
        orchestrator_token=SecretStr(KEY),
        comfy_url="http://gpu:1,http://localhost:8199",
    )


def services_in(folder: Path, *, comfy: bool = True) -> list[Service]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = Paths.init(folder)
    if comfy:
        root = folder / "Comfy UI"
        (root / "venv" / "bin").mkdir(parents=True)
        (root / "venv" / "bin" / "python").symlink_to(sys.executable)
        paths = paths.model_copy(update={"comfy_root": root})
    paths.create()
    return describe(paths, settings())


def unquoted(text: str) -> list[str]:
    """The words of a line as systemd.syntax(7) says: double quotes, backslashes as in C, %% is a percent sign."""
    words, word, i, inside = [], "", 0, False
    while i < len(text):
        c = text[i]
        if c == '"':
            inside = not inside
        elif c == "\\":
            i += 1
            assert text[i] in '\\"', "an escape that we do not write"
            word += text[i]
        elif c == "%":
            i += 1
            assert text[i] == "%", "a specifier"
            word += "%"
        elif c == " " and not inside:
            words.append(word)
            word = ""
        else:
            word += c
        i += 1
    assert not inside
    return [*words, word]


def read_unit(text: str) -> dict[str, dict[str, list[str]]]:
    """A strict reader: sections, and NAME=VALUE, nothing else."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in text.splitlines():
        assert not line.endswith("\\")
        if line.startswith("["):
            section = line.removeprefix("[").removesuffix("]")
            assert section not in found
            found[section] = {}
        elif line:
            name, _, value = line.partition("=")
            assert name.isidentifier(), line
            found[section].setdefault(name, []).append(value)
    return found


# ------------------------------------------------------------------------------ one description


def test_each_service_runs_a_command_of_this_lab_and_no_key_is_in_it(tmp_path: Path) -> None:
    found = services_in(tmp_path)
    assert [each.name for each in found] == ["panel", "worker", "monitor", "guardian", "comfyui"]
    for each in found:
        assert KEY not in repr(each)
        assert dict(each.environment)["ORCHESTRATOR_PATHS"] == str(tmp_path / "paths.json")
        assert each.log.parent == tmp_path / "logs"
        assert Path(each.command[0]).is_absolute()
    *ours, comfy = found
    commands = [each.command[3:] for each in ours]
    assert commands == [("up", "--no-browser"), ("worker",), ("monitor",), ("guardian",)]
    root = tmp_path / "Comfy UI"
    assert comfy.command == (
        str(root / "venv/bin/python"), str(root / "main.py"), "--port", "8199",
    )  # fmt: skip
    assert comfy.folder == root


def test_every_command_is_one_that_the_command_line_has(tmp_path: Path) -> None:
    import typer

    from orchestrator.cli import app

    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for each in services_in(tmp_path, comfy=False):
        assert each.command[3] in known


def test_comfyui_is_a_service_only_where_it_is_known_where_it_lies(tmp_path: Path) -> None:
    found = services_in(tmp_path, comfy=False)
    with pytest.raises(ServiceUnknown, match="comfyRoot"):
        chosen(found, ["comfyui"])


@pytest.mark.parametrize(
    "said", ["panel", "Panel", "OrchestratorPanel", "orchestrator-panel.service", "lab.orchestrator.panel"]
)  # fmt: skip
def test_a_name_may_be_said_as_a_manager_says_it(said: str) -> None:
    assert name_of(said) == "panel"
    with pytest.raises(ServiceUnknown):
        name_of("sshd")


# ------------------------------------------------------------------------------ systemd


@pytest.mark.parametrize("name", [PLAIN, *AWKWARD])
def test_a_unit_says_the_description_again_whatever_the_place_is_called(
    tmp_path: Path, name: str
) -> None:
    for service in services_in(tmp_path / name):
        said = read_unit(unit(service))
        main = said["Service"]
        program, *rest = unquoted(main["ExecStart"][0])
        assert program.startswith(":")  # or a dollar sign would be a variable
        words = rest if program == ":/usr/bin/env" else [program[1:], *rest]
        assert tuple(words) == service.command
        words = [unquoted(value)[0] for value in main["Environment"]]
        assert dict(word.split("=", 1) for word in words) == dict(service.environment)
        assert main["WorkingDirectory"] == [str(service.folder).replace("%", "%%")]
        assert main["StandardOutput"] == ["append:" + str(service.log).replace("%", "%%")]
        assert main["StandardError"] == main["StandardOutput"]
        assert main["Restart"] == ["always"]
        assert said["Unit"]["StartLimitIntervalSec"] == ["0"]
        assert said["Install"]["WantedBy"] == ["default.target"]
        assert KEY not in unit(service)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
@pytest.mark.parametrize("name", [PLAIN, *AWKWARD])
def test_systemd_itself_finds_no_fault_with_the_units(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "units"
    folder.mkdir()
    services = services_in(tmp_path / name)
    for service in services:
        (folder / f"orchestrator-{service.name}.service").write_text(unit(service))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *folder.iterdir()],
        env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [
        line for line in said.stderr.splitlines() if str(folder) in line or "orchestrator-" in line
    ]
    # systemd before 254 does not know how to let pauses grow, and says that it goes without
    newer = ("'RestartSteps'", "'RestartMaxDelaySec'")
    assert [line for line in lines if not any(word in line for word in newer)] == []
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize("name", ["two\nlines", "end\\", " led by a space"])
def test_a_place_that_no_unit_can_name_is_refused(tmp_path: Path, name: str) -> None:
    (service, *_) = services_in(tmp_path, comfy=False)
    with pytest.raises(ServiceRefused):
        unit(replace(service, folder=Path(name)))


# ------------------------------------------------------------------------------ launchd


@pytest.mark.parametrize("name", [PLAIN, *AWKWARD, "<&>]]>"])
def test_a_property_list_says_the_description_again(tmp_path: Path, name: str) -> None:
    for service in services_in(tmp_path / name):
        said = plistlib.loads(plist(service))
        assert said["Label"] == f"lab.orchestrator.{service.name}"
        assert tuple(said["ProgramArguments"]) == service.command
        assert said["EnvironmentVariables"] == dict(service.environment)
        assert said["WorkingDirectory"] == str(service.folder)
        assert said["RunAtLoad"] is said["KeepAlive"] is True
        assert said["StandardOutPath"] == said["StandardErrorPath"] == str(service.log)
        assert said["AbandonProcessGroup"] is (service.name == "guardian")
        assert KEY.encode() not in plist(service)


# ------------------------------------------------------------------------------ nssm


def test_a_windows_path_in_which_windows_would_read_a_variable_is_refused(tmp_path: Path) -> None:
    from orchestrator.services import Answer

    (service, *_) = services_in(tmp_path, comfy=False)
    manager = Nssm(run=lambda command: Answer(3))
    with pytest.raises(ServiceRefused):
        manager.install([replace(service, folder=Path("C:\\50%TEMP%50"))])
    assert manager.install([replace(service, folder=Path("C:\\100% lab"))])

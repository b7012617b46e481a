"""Settings: the environment over .env.local, checked, and silent about keys."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import SettingsInvalid
from orchestrator.paths import Paths
from orchestrator.settings import DEFAULT_BFL_URL, Settings

NAMES = [name.upper() for name in Settings.model_fields]
KEY = "sk-a-very-secret-key"


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        yield Paths.init(tmp_path)


def secret(settings: Settings) -> str | None:
    return settings.bfl_api_key.get_secret_value() if settings.bfl_api_key else None


def test_nothing_set_gives_the_defaults_and_no_key(paths: Paths) -> None:
    settings = Settings.load(paths)
    assert settings.bfl_api_key is None
    assert settings.bfl_base_url == DEFAULT_BFL_URL
    assert settings.comfy_urls == []


@pytest.mark.parametrize(
    "line",
    [
        f"BFL_API_KEY={KEY}",
        f'BFL_API_KEY="{KEY}"',
        f"BFL_API_KEY='{KEY}'",
        f"export BFL_API_KEY={KEY}",
        f"  BFL_API_KEY = {KEY}  # the studio's",
        f"bfl_api_key={KEY}",
    ],
)
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"# first\r\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\nLOG_LEVEL=debug\r\n"])
def test_a_key_is_read_as_people_and_editors_write_it(
    paths: Paths, line: str, start: bytes, end: bytes
) -> None:
    paths.env_file.write_bytes(start + line.encode() + end)
    assert secret(Settings.load(paths)) == KEY


def test_the_environment_wins_over_the_file_and_an_empty_variable_does_not(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.env_file.write_text(f"BFL_API_KEY={KEY}\nLOG_LEVEL=DEBUG\n")
    monkeypatch.setenv("BFL_API_KEY", "other")
    monkeypatch.setenv("LOG_LEVEL", "")
    settings = Settings.load(paths)
    assert secret(settings) == "other"
    assert settings.log_level == "DEBUG"


def test_several_comfyui_servers_may_be_named(paths: Paths) -> None:
    paths.env_file.write_text("COMFY_URL=http://a:8188/ , https://b,,\n")
    assert Settings.load(paths).comfy_urls == ["http://a:8188", "https://b"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("LOG_LEVEL=LOUD", "LOG_LEVEL"),
        ("COMFY_URL=localhost:8188", "COMFY_URL"),
        ("COMFY_URL=http://a,ftp://b", "COMFY_URL"),
        ("BFL_BASE_URL=file:///etc/passwd", "BFL_BASE_URL"),
        ("ADMIN_URL=3000", "ADMIN_URL"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(paths: Paths, line: str, named: str) -> None:
    paths.env_file.write_text(line)
    with pytest.raises(SettingsInvalid, match=f"^{named}: ") as caught:
        Settings.load(paths)
    assert caught.value.remedy


def test_a_file_that_is_no_text_is_an_error_of_ours(paths: Paths) -> None:
    paths.env_file.write_bytes(b"BFL_API_KEY=\xff\xfe\x00")
    with pytest.raises(SettingsInvalid, match=r"\.env\.local"):
        Settings.load(paths)


def test_keys_are_masked_wherever_settings_are_shown(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    paths.env_file.write_text(f"BFL_API_KEY={KEY}\nORCHESTRATOR_TOKEN=token-of-mine\n")
    settings = Settings.load(paths)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("settings %s", settings)
    shown = [repr(settings), str(settings), caplog.text, settings.model_dump_json(), f"{settings}"]
    assert not [text for text in shown if KEY in text or "token-of-mine" in text]


def test_an_error_beside_a_key_does_not_tell_it(paths: Paths) -> None:
    paths.env_file.write_text(f"BFL_API_KEY={KEY}\nLOG_LEVEL=LOUD\nADMIN_URL={KEY}\n")
    with pytest.raises(SettingsInvalid) as caught:
        Settings.load(paths)
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value)


def test_redact_takes_the_keys_out_of_any_text(paths: Paths) -> None:
    paths.env_file.write_text(f"BFL_API_KEY={KEY}\nORCHESTRATOR_TOKEN=token-of-mine\n")
    text = Settings.load(paths).redact(f"GET /?token=token-of-mine x-key: {KEY} {KEY}")
    assert text == "GET /?token=**** x-key: **** ****"


def test_settings_do_not_change(paths: Paths) -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load(paths).log_level = "DEBUG"  # type: ignore[misc]

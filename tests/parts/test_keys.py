"""Keys, proxies and addresses of the sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.parts.errors import SourceSettingInvalid
from orchestrator.parts.keys import Keys
from orchestrator.paths import Paths


def load(folder: Path, *lines: str) -> Keys:
    paths = Paths.init(folder)
    paths.env_file.write_text("\n".join(lines), "utf-8")
    return Keys.load(paths)


def test_a_machine_without_keys_has_defaults_and_no_proxy(tmp_path: Path) -> None:
    keys = Keys.load(Paths.init(tmp_path))
    assert keys.mouser_api_key is None
    assert (keys.digikey_locale_site, keys.digikey_currency) == ("US", "USD")
    assert (keys.farnell_store, keys.parts_currency) == ("uk.farnell.com", "USD")
    assert not keys.oemstrade_live
    assert keys.efind_urls == ()
    settings = keys.source("mouser")
    assert (settings.name, settings.base_url, settings.proxy) == ("mouser", None, None)


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOUSER_API_KEY", "from-environment")
    keys = load(tmp_path, "MOUSER_API_KEY=from-file", "FARNELL_API_KEY= spaced ")
    assert keys.mouser_api_key is not None
    assert keys.mouser_api_key.get_secret_value() == "from-environment"
    assert keys.farnell_api_key is not None
    assert keys.farnell_api_key.get_secret_value() == "spaced"


def test_a_blank_line_is_no_key(tmp_path: Path) -> None:
    assert load(tmp_path, 'MOUSER_API_KEY="  "', "TME_COUNTRY=").mouser_api_key is None


def test_a_source_takes_its_own_proxy_before_that_of_all_and_may_go_direct(tmp_path: Path) -> None:
    keys = load(
        tmp_path,
        "PARTS_PROXY=http://all:8080",
        "PARTS_PROXY_MOUSER=socks5://user:pass@127.0.0.1:40000",
        "PARTS_PROXY_TME=direct",
        "MOUSER_BASE_URL=http://127.0.0.1:1/",
    )
    own = keys.source("mouser").proxy
    assert own is not None
    assert own.get_secret_value() == "socks5://user:pass@127.0.0.1:40000"
    everyone = keys.source("sample").proxy
    assert everyone is not None
    assert everyone.get_secret_value() == "http://all:8080"
    assert keys.source("tme").proxy is None
    assert keys.source("mouser").base_url == "http://127.0.0.1:1"
    assert "pass" not in repr(keys) + repr(keys.source("mouser"))


@pytest.mark.parametrize(
    "line",
    [
        "PARTS_PROXY=hunter2:8080",
        "PARTS_PROXY_DIGIKEY=ftp://hunter2:1",
        "PARTS_PROXY_EFIND=http://",
        "PARTS_PROXY=http://hunter2:notaport",
        "MOUSER_BASE_URL=hunter2",
        "EFIND_URLS=http://good.example/x,hunter2",
        "PARTS_CURRENCY=hunter2",
        "DIGIKEY_LOCALE_SITE=hunter2",
        "FARNELL_STORE=hunter2/../x",
        "TME_API=hunter2",
        "OEMSTRADE_LIVE=hunter2",
    ],
)
def test_a_wrong_setting_is_told_by_name_and_never_by_value(tmp_path: Path, line: str) -> None:
    with pytest.raises(SourceSettingInvalid) as caught:
        load(tmp_path, line)
    assert line.partition("=")[0] in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_supplier_addresses_may_be_parted_by_commas_or_blanks(tmp_path: Path) -> None:
    keys = load(tmp_path, "EFIND_URLS=https://a.example/x?key=1, https://b.example/y")
    assert keys.efind_urls == ("https://a.example/x?key=1", "https://b.example/y")
    assert "key=1" not in repr(keys)

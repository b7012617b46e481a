"""Keys, proxies and addresses of the sources, as .env.local and the environment say them; secrets are masked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.parts.errors import SourceSettingInvalid
from orchestrator.paths import Paths

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
DIRECT = "direct"  # as a source's own proxy: none for it, although PARTS_PROXY names one for all
CURRENCY = re.compile(r"[A-Z]{3}")
COUNTRY = re.compile(r"[A-Z]{2}")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


@dataclass(frozen=True)
class SourceSettings:
    """How one source is reached. None: its own address; no proxy."""

    name: str
    base_url: str | None = None
    proxy: SecretStr | None = None  # may have a password in it


class Keys(BaseSettings):
    """What the sources need to know. A variable of the environment wins over the same line of .env.local.

    A source's fields are named after it: `parts_proxy_mouser`, `mouser_base_url`.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    digikey_client_id: SecretStr | None = None
    digikey_client_secret: SecretStr | None = None
    digikey_locale_site: str = "US"
    digikey_currency: str = "USD"
    mouser_api_key: SecretStr | None = None
    farnell_api_key: SecretStr | None = None
    farnell_store: str = "uk.farnell.com"
    tme_token: SecretStr | None = None
    tme_secret: SecretStr | None = None
    tme_api: Literal["v2", "v1"] = "v2"
    tme_country: str = "PL"
    tme_currency: str = "USD"
    trustedparts_company_id: SecretStr | None = None
    trustedparts_api_key: SecretStr | None = None
    oemsecrets_api_key: SecretStr | None = None
    # fetching result pages is the operator's decision, who has read the terms
    oemstrade_live: bool = False
    # suppliers' XML addresses, separated by commas or spaces; some have a key in them
    efind: SecretStr | None = Field(default=None, validation_alias="EFIND_URLS")
    # what prices are shown in
    parts_currency: str = "USD"

    parts_proxy: SecretStr | None = None  # for every source that has none of its own
    parts_proxy_digikey: SecretStr | None = None
    parts_proxy_mouser: SecretStr | None = None
    parts_proxy_farnell: SecretStr | None = None
    parts_proxy_tme: SecretStr | None = None
    parts_proxy_trustedparts: SecretStr | None = None
    parts_proxy_oemsecrets: SecretStr | None = None
    parts_proxy_oemstrade: SecretStr | None = None
    parts_proxy_efind: SecretStr | None = None

    digikey_base_url: str | None = None
    mouser_base_url: str | None = None
    farnell_base_url: str | None = None
    tme_base_url: str | None = None
    trustedparts_base_url: str | None = None
    oemsecrets_base_url: str | None = None
    oemstrade_base_url: str | None = None

    @classmethod
    def load(cls, paths: Paths) -> Keys:
        """Read .env.local beside paths.json, then the environment. Raises SourceSettingInvalid."""
        told: str
        try:
            return cls(_env_file=paths.env_file, _env_file_encoding="utf-8-sig")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            told = f"{str(first['loc'][0]).upper()}: {first['msg']}"
        except (OSError, UnicodeDecodeError) as error:
            told = f"{paths.env_file} cannot be read ({type(error).__name__})"
        # Outside of `except`, so that the error carries nothing of the values that were read.
        raise SourceSettingInvalid(told)

    @field_validator("digikey_currency", "tme_currency", "parts_currency")
    @classmethod
    def _currency(cls, value: str) -> str:
        code = value.strip().upper()
        if not CURRENCY.fullmatch(code):
            raise ValueError("must be a currency of three letters, such as USD")
        return code

    @field_validator("digikey_locale_site", "tme_country")
    @classmethod
    def _country(cls, value: str) -> str:
        code = value.strip().upper()
        if not COUNTRY.fullmatch(code):
            raise ValueError("must be a country of two letters, such as US")
        return code

    @field_validator("farnell_store")
    @classmethod
    def _store(cls, value: str) -> str:
        store = value.strip().lower()
        if not HOST.fullmatch(store):
            raise ValueError("must be the name of a store, such as uk.farnell.com")
        return store

    @field_validator("parts_proxy", *(f"parts_proxy_{name}" for name in (
        "digikey", "mouser", "farnell", "tme", "trustedparts", "oemsecrets", "oemstrade", "efind",
    )))  # fmt: skip
    @classmethod
    def _proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or (said := value.get_secret_value().strip()).lower() == DIRECT:
            return value
        if not _is_address(said, PROXY_SCHEMES):
            raise ValueError(
                "must be the address of a proxy that starts with http://, https:// or socks5://"
                f", or {DIRECT}"
            )
        return SecretStr(said)

    @field_validator("digikey_base_url", "mouser_base_url", "farnell_base_url", "tme_base_url",
                     "trustedparts_base_url", "oemsecrets_base_url", "oemstrade_base_url")  # fmt: skip
    @classmethod
    def _base(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _is_address(value.strip(), ("http", "https")):
            raise ValueError("must be an address that starts with http:// or https://")
        return value.strip().rstrip("/")

    @field_validator("efind")
    @classmethod
    def _suppliers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            for url in _split(value.get_secret_value()):
                if not _is_address(url, ("http", "https")):
                    raise ValueError(
                        "must be addresses that start with http:// or https://, separated by commas"
                    )
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _trimmed(cls, value: Any) -> Any:
        # a blank or a line end after a pasted key makes every call a 401; a blank line is no key
        if isinstance(value, str):
            return value.strip() or None
        return value

    @property
    def efind_urls(self) -> tuple[str, ...]:
        """The suppliers' addresses of the efind source; they may have a key in them."""
        return tuple(_split(self.efind.get_secret_value())) if self.efind is not None else ()

    def source(self, name: str) -> SourceSettings:
        """How the source `name` is reached; one that has no settings goes its own way."""
        own: SecretStr | None = getattr(self, f"parts_proxy_{name}", None)
        proxy = own if own is not None else self.parts_proxy
        if proxy is not None and proxy.get_secret_value().strip().lower() == DIRECT:
            proxy = None
        return SourceSettings(name, getattr(self, f"{name}_base_url", None), proxy)


def _is_address(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parsed = urlsplit(url)
        port = parsed.port  # raises when it is no number
    except ValueError:
        return False
    return parsed.scheme in schemes and bool(parsed.hostname) and port != 0 and " " not in url


def _split(urls: str) -> list[str]:
    return [url for url in re.split(r"[\s,]+", urls) if url]

"""What the environment and .env.local say, read once. Keys are secrets and masked everywhere."""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.errors import SettingsInvalid
from orchestrator.paths import Paths

DEFAULT_COMFY_URL = "http://127.0.0.1:8188"
DEFAULT_BFL_URL = "https://api.bfl.ai"
DEFAULT_ADMIN_URL = "http://127.0.0.1:3000"
MASK = "****"
SHORTEST_PASSWORD = 4  # characters: a shorter one is a word that texts are full of
Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
NOTIFY_ON = frozenset({"done", "failed", "budget", "service"})  # what can be told of
SCHEDULER = re.compile(r"(tcp|tls)://[^\s/]+:\d+")
OFF, ARGOS, COMMAND = "off", "argos", "command:"  # what ORCHESTRATOR_TRANSLATE may say


class Settings(BaseSettings):
    """The environment variables the lab knows. A variable wins over the same line of .env.local."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    bfl_api_key: SecretStr | None = None
    bfl_base_url: str = DEFAULT_BFL_URL
    comfy_url: str | None = None  # several, comma-separated
    # the Dask scheduler whose workers run the ComfyUI jobs: tcp://HOST:PORT, or tls://
    orchestrator_cluster: str | None = None
    # where those workers leave the pictures: file:///…, s3://…; by default they send them
    orchestrator_cluster_storage: str | None = None
    admin_url: str = DEFAULT_ADMIN_URL
    orchestrator_token: SecretStr | None = None
    # OFF, ARGOS, or COMMAND and a command line, which may have a key in it
    orchestrator_translate: str = Field(default=OFF, repr=False)
    log_level: str = Field(default="INFO")
    # where to tell of what happens: addresses, comma-separated, most of which have a key in them
    orchestrator_notify: SecretStr | None = None
    orchestrator_notify_on: str = "done,failed,budget,service"
    hf_token: SecretStr | None = None
    hf_endpoint: str | None = None
    # what paid backends may cost on a day of UTC
    orchestrator_budget_per_day: Usd = Decimal("5.00")
    # what one request may cost without a confirmation
    orchestrator_confirm_above: Usd = Decimal("1.00")
    # of a picture a job begins with
    orchestrator_max_input_mb: float = Field(default=20.0, gt=0, le=1000)
    # Pillow warns beyond
    orchestrator_max_input_megapixels: float = Field(default=20.0, gt=0, le=80)

    @classmethod
    def load(cls, paths: Paths) -> Settings:
        """Read .env.local beside paths.json, then the environment. Raises SettingsInvalid."""
        try:
            return cls(_env_file=paths.env_file, _env_file_encoding="utf-8-sig")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise SettingsInvalid(f"{str(first['loc'][0]).upper()}: {first['msg']}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsInvalid(f"{paths.env_file} cannot be read: {error}") from error

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in logging.getLevelNamesMapping():
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("orchestrator_translate")
    @classmethod
    def _known_translator(cls, value: str) -> str:
        said = value.strip()
        if said.lower().startswith(COMMAND) and said[len(COMMAND) :].strip():
            return COMMAND + said[len(COMMAND) :].strip()
        if said.lower() not in {OFF, ARGOS}:
            raise ValueError(f"must be {OFF}, {ARGOS} or {COMMAND} and a command line")
        return said.lower()

    @field_validator("orchestrator_notify_on")
    @classmethod
    def _known_events(cls, value: str) -> str:
        if unknown := set(_split(value.lower())) - NOTIFY_ON:
            raise ValueError(
                f"knows {', '.join(sorted(NOTIFY_ON))}, not {', '.join(sorted(unknown))[:80]}"
            )
        return value.lower()

    @field_validator("comfy_url", "bfl_base_url", "admin_url", "hf_endpoint")
    @classmethod
    def _http(cls, value: Any) -> Any:
        for url in _split(value or ""):
            if not url.startswith(("http://", "https://")):
                raise ValueError("must be an address that starts with http:// or https://")
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The fields as a notebook may show them: without the passwords that stand in addresses."""
        for name, value in super().__repr_args__():
            yield name, self.redact(value) if isinstance(value, str) else value

    def on_cluster(self, address: str | None) -> Settings:
        """With another Dask scheduler; None leaves it as it is. Raises SettingsInvalid."""
        if address is None:
            return self
        if not SCHEDULER.fullmatch(address):
            raise SettingsInvalid(
                f"{address!r} is not the address of a Dask scheduler",
                remedy="Give it as in tcp://10.0.0.5:8786.",
            )
        return self.model_copy(update={"orchestrator_cluster": address})

    @field_validator("orchestrator_cluster")
    @classmethod
    def _scheduler(cls, value: str | None) -> str | None:
        if value is not None and not SCHEDULER.fullmatch(value):
            raise ValueError("must be the address of a Dask scheduler, as in tcp://10.0.0.5:8786")
        return value

    @property
    def max_input_mb(self) -> float:
        """The largest input picture, in millions of bytes."""
        return self.orchestrator_max_input_mb

    @property
    def max_input_megapixels(self) -> float:
        """The largest input picture, in millions of pixels."""
        return self.orchestrator_max_input_megapixels

    @property
    def notify_on(self) -> frozenset[str]:
        """What to tell of: some of NOTIFY_ON."""
        return frozenset(_split(self.orchestrator_notify_on))

    @property
    def comfy_urls(self) -> list[str]:
        """The ComfyUI servers named in COMFY_URL; none when it is unset."""
        return _split(self.comfy_url or "")

    def redact(self, text: str) -> str:
        """Text with the keys masked."""
        for value in self._secrets():
            text = text.replace(value, MASK)
        return text

    def _secrets(self) -> Iterator[str]:
        """The keys, then the passwords that stand in addresses."""
        hidden = [self.bfl_api_key, self.orchestrator_token, self.hf_token]
        addresses = [self.comfy_url, self.bfl_base_url, self.hf_endpoint]
        if self.orchestrator_notify is not None:
            places = self.orchestrator_notify.get_secret_value()
            yield from filter(None, [places, *_split(places)])
            addresses.append(places)
        yield from (value for key in hidden if key and (value := key.get_secret_value()))
        for address in filter(None, addresses):
            for user_info in re.findall(r"://([^\s/@]{1,300})@", address):
                user, _, password = user_info.partition(":")
                yield user_info
                if len(password) >= SHORTEST_PASSWORD:
                    yield from (password, unquote(password))
                yield b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def _split(urls: str) -> list[str]:
    return [url.strip().rstrip("/") for url in urls.split(",") if url.strip()]

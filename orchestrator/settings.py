"""What the environment and .env.local say, read once. Keys are secrets and masked everywhere."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.errors import SettingsInvalid
from orchestrator.paths import Paths

DEFAULT_COMFY_URL = "http://127.0.0.1:8188"
DEFAULT_BFL_URL = "https://api.bfl.ai"
DEFAULT_ADMIN_URL = "http://127.0.0.1:3000"
MASK = "****"


class Settings(BaseSettings):
    """The environment variables the lab knows. A variable wins over the same line of .env.local."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    bfl_api_key: SecretStr | None = None
    bfl_base_url: str = DEFAULT_BFL_URL
    comfy_url: str | None = None  # several, comma-separated
    admin_url: str = DEFAULT_ADMIN_URL
    orchestrator_token: SecretStr | None = None
    log_level: str = Field(default="INFO")

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

    @field_validator("comfy_url", "bfl_base_url", "admin_url")
    @classmethod
    def _http(cls, value: Any) -> Any:
        for url in _split(value or ""):
            if not url.startswith(("http://", "https://")):
                raise ValueError("must be an address that starts with http:// or https://")
        return value

    @property
    def comfy_urls(self) -> list[str]:
        """The ComfyUI servers named in COMFY_URL; none when it is unset."""
        return _split(self.comfy_url or "")

    def redact(self, text: str) -> str:
        """Text with the keys masked."""
        for secret in (self.bfl_api_key, self.orchestrator_token):
            if secret is not None and (value := secret.get_secret_value()):
                text = text.replace(value, MASK)
        return text


def _split(urls: str) -> list[str]:
    return [url.strip().rstrip("/") for url in urls.split(",") if url.strip()]

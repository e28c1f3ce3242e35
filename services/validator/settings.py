"""Validator's settings: VALIDATOR_DATABASE_URL, VALIDATOR_PORT …"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class ValidatorSettings(ServiceSettings):
    """Prefix VALIDATOR_."""

    model_config = SettingsConfigDict(env_prefix="VALIDATOR_", frozen=True)

    port: int = 8802
    #: compiled forms kept in memory, one per regime version
    cached_forms: int = Field(default=5000, ge=1)

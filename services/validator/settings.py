"""Validator's settings: VALIDATOR_DATABASE_URL, VALIDATOR_PORT …"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import ServiceSettings


class ValidatorSettings(ServiceSettings):
    """Prefix VALIDATOR_."""

    model_config = SettingsConfigDict(env_prefix="VALIDATOR_", frozen=True)

    port: int = 8802
    #: compiled forms kept in memory, one per regime version
    cached_forms: int = Field(default=5000, ge=1)
    #: CPU that one report may take to be judged before it becomes a dead letter, and all reports of a batch before
    #: the rest are judged alone, after their neighbours (docs/batches.md)
    report_cpu_seconds: float = Field(default=2.0, gt=0)
    batch_cpu_seconds: float = Field(default=1.0, gt=0)

"""Validator's settings: VALIDATOR_DATABASE_URL, VALIDATOR_PORT …"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.contract.events import Tier
from shared.runtime.settings import ServiceSettings


class ValidatorSettings(ServiceSettings):
    """Prefix VALIDATOR_."""

    model_config = SettingsConfigDict(env_prefix="VALIDATOR_", frozen=True)

    port: int = 8802
    #: compiled forms kept in memory, one per regime version
    cached_forms: int = Field(default=5000, ge=1)
    #: CPU that one report may take before it counts as one that could not be judged; of it, what the checks of one tier
    #: may take (a tier that is not named: all); and what all reports of a batch may take before the rest are judged
    #: alone, after their neighbours (docs/batches.md)
    report_cpu_seconds: float = Field(default=2.0, gt=0)
    tier_cpu_seconds: dict[Tier, Annotated[float, Field(gt=0)]] = Field(
        default={"structure": 0.5, "validity": 1.5, "consistency": 1.5, "narrative": 1.5}
    )
    batch_cpu_seconds: float = Field(default=1.0, gt=0)
    #: how often verdicts are judged again whose rules look at reports that have come since
    again_seconds: float = Field(default=2.0, gt=0)
    #: what one key's dry runs may cost: milliseconds of CPU per second for ever, and at one go; and how many may be
    #: in work, and wait, at the same time
    agency_milliseconds_per_second: float = Field(default=100, gt=0)
    agency_burst_milliseconds: float = Field(default=2000, gt=0)
    agency_dry_runs_at_once: int = Field(default=4, ge=1)
    agency_waiting: int = Field(default=50, ge=0)

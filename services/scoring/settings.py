"""Scoring's settings: SCORING_DATABASE_URL, SCORING_PORT … Weights are not here: they are policy, see policy/."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import ServiceSettings


class ScoringSettings(ServiceSettings):
    """Prefix SCORING_."""

    model_config = SettingsConfigDict(env_prefix="SCORING_", frozen=True)

    port: int = 8803
    #: obligations are generated this many days (business time) before their cut-off window opens
    horizon_days: int = Field(default=45, ge=0, le=400)
    #: deadlines this many days back are still generated, for a registry that arrives late
    catch_up_days: int = Field(default=7, ge=0, le=400)
    #: pauses between ticks, real seconds
    generate_interval_seconds: float = Field(default=1.0, gt=0)
    mark_interval_seconds: float = Field(default=0.5, gt=0)
    #: real seconds a report may need from intake's receipt to here before its deadline is judged
    settle_seconds: float = Field(default=5.0, ge=0)
    #: obligations marked in one transaction
    mark_rows: int = Field(default=500, ge=1, le=5000)
    #: hours (business time) after a proposed relief's end until which nobody it covers is called overdue
    relief_grace_hours: float = Field(default=24.0, ge=0, le=720)
    #: minutes for which sweeping may stand still, by business and by system time, before a relief is proposed for it
    standstill_minutes: float = Field(default=60.0, gt=0, le=10_080)
    #: minutes (business time) within an hour for which reports could not be sent, before a relief is proposed
    intake_gap_minutes: float = Field(default=10.0, gt=0, le=10_080)
    #: hours (business time) that a verdict may take after the receipt of its report, before a relief is proposed
    verdict_hours: float = Field(default=4.0, gt=0, le=720)

    #: what one key's questions may cost: milliseconds of CPU per second for ever, and at one go; and how many may be
    #: in work, and wait, at the same time
    agency_milliseconds_per_second: float = Field(default=100, gt=0)
    agency_burst_milliseconds: float = Field(default=1000, gt=0)
    agency_requests_at_once: int = Field(default=2, ge=1)
    agency_waiting: int = Field(default=50, ge=0)

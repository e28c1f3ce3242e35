"""Intake's settings: INTAKE_DATABASE_URL, INTAKE_PORT … Limits of a report are in limits.py: they are the contract."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.intake.registry.neighbours import NEIGHBOURS
from shared.contract.webhook_targets import networks_of
from shared.runtime.settings import ServiceSettings
from shared.web.limiter import STRANGERS_BURST, STRANGERS_PER_SECOND


class IntakeSettings(ServiceSettings):
    """Prefix INTAKE_."""

    model_config = SettingsConfigDict(env_prefix="INTAKE_", frozen=True)

    port: int = 8801
    #: submissions that may share one commit, and how long the first waits for company
    group_size: int = Field(default=100, ge=1, le=1000)
    group_linger_seconds: float = Field(default=0.002, ge=0, le=1)
    #: groups in commit at the same time, each on a connection of its own
    group_lanes: int = Field(default=2, ge=1, le=8)
    #: submissions that may wait for a group before the submit endpoint answers 503
    queue_limit: int = Field(default=2000, ge=1)
    #: how long a submission may wait for the database before the submit endpoint answers 503
    patience_seconds: float = Field(default=5, gt=0)
    #: how old the registry and the keys in memory may be; a revoked key stops working within this
    registry_poll_seconds: float = Field(default=0.5, gt=0)
    registry_max_age_seconds: float = Field(default=5, gt=0)
    #: what one key's requests may cost: milliseconds of the event loop per second for ever, and at one go; all keys of
    #: one owner together have twice as much
    agency_milliseconds_per_second: float = Field(default=200, gt=0)
    agency_burst_milliseconds: float = Field(default=1000, gt=0)
    #: its requests in work at the same time, sent and read, and those that may wait for their turn
    agency_sends_at_once: int = Field(default=32, ge=1)
    agency_reads_at_once: int = Field(default=2, ge=1)
    #: how long a request without credit is kept before it is refused
    agency_hold_seconds: float = Field(default=0.5, ge=0)
    agency_waiting: int = Field(default=200, ge=0)
    #: requests without a valid key from one address: sustained per second, and at once
    unauthorized_rate_per_second: float = Field(default=STRANGERS_PER_SECOND, gt=0)
    unauthorized_burst: int = Field(default=STRANGERS_BURST, ge=1)
    #: how often it is noted that reports can be stored; four beats missed are a gap that scoring hears of
    heartbeat_seconds: float = Field(default=15, gt=0, le=3600)
    #: how often the last use of keys is written down
    key_use_flush_seconds: float = Field(default=60, gt=0)
    #: the shortest term that an agency may give others to answer an information request
    information_notice_hours: int = Field(default=24, ge=0, le=1000)
    #: how long contacts are kept of those who have left; letters that bounce are asked about until then
    contacts_kept_days: int = Field(default=90, ge=1, le=3_650)
    #: the private key that signs receipts (`receipt-keys new FILE`); read again when it changes. None: none is signed
    receipt_key_file: Path | None = None
    #: the file with the master keys of webhooks' secrets, the same as notifier's; without it none can be added
    webhook_key_file: Path | None = None
    #: private networks that webhooks may be sent to (CIDR, parted by commas); the same as notifier's
    webhook_private_networks: str = ""

    @field_validator("webhook_private_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value


class CheckSettings(BaseSettings):
    """Whose checks a change of the registry must pass, by command and over HTTP."""

    model_config = SettingsConfigDict(env_prefix="INTAKE_", frozen=True)

    #: neighbours, parted by commas, whose own checks are left out, because their code is not installed here
    checks_off: str = ""

    @field_validator("checks_off")
    @classmethod
    def _known(cls, value: str) -> str:
        names = {name.strip() for name in value.split(",")} - {""}
        if unknown := names - set(NEIGHBOURS):
            raise ValueError(f"INTAKE_CHECKS_OFF: {', '.join(sorted(unknown))}: not one of {', '.join(NEIGHBOURS)}")
        return value

    @property
    def off(self) -> list[str]:
        return [name for name in NEIGHBOURS if name in {word.strip() for word in self.checks_off.split(",")}]

    @property
    def on(self) -> list[str]:
        return [name for name in NEIGHBOURS if name not in self.off]

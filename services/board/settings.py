"""The board's settings: BOARD_DATABASE_URL, BOARD_PORT … Durations are system time, never scaled."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import ServiceSettings


class BoardSettings(ServiceSettings):
    """Prefix BOARD_."""

    model_config = SettingsConfigDict(env_prefix="BOARD_", frozen=True)

    port: int = 8805

    #: where people reach the board, as their browser shows it; forms are taken from this origin alone
    public_url: str = Field(default="http://127.0.0.1:8805", pattern=r"^https?://[^\s?#/]+$")
    #: service -> where each of its instances listens: the operators' page asks there for /readyz and /metrics, and what
    #: people do on other pages goes there
    watched: dict[str, list[str]] = Field(default_factory=dict)
    #: PEM file of the key that signs in the name of who is signed in; None: pages show, and nobody acts on them
    signing_key_file: Path | None = None
    #: a session ends so long after its last request, and so long after it began
    idle_seconds: float = Field(default=30 * 60, gt=0)
    session_seconds: float = Field(default=10 * 3600, gt=0)
    invitation_seconds: float = Field(default=3 * 86400, gt=0)
    #: connections of pages and accounts, so that neither readers nor consumers keep the others waiting
    pages_pool_size: int = Field(default=10, ge=1)
    #: how long a device on which somebody signed in is known after the last time
    devices_kept_days: int = Field(default=180, ge=1, le=3_650)
    #: how long a draft is kept after it was saved last; it goes before, once its report is accepted or owed no more
    drafts_kept_days: int = Field(default=90, ge=1, le=3_650)
    #: how long it is kept who signed in, out, or failed to
    sign_ins_kept_days: int = Field(default=365, ge=1, le=3_650)

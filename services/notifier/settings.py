"""Notifier's settings: NOTIFIER_DATABASE_URL, NOTIFIER_SMTP_HOST … Durations are system time, never scaled."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.notifier.channels.dispatcher import Pace
from services.notifier.channels.email.smtp import Server
from services.notifier.channels.gateway.file import Gateway, read_gateways
from services.notifier.delivery.states import RetryPolicy
from services.notifier.escalation.links import AnswerLinks
from services.notifier.templates import Originator
from shared.contract.events.fields import usable_address
from shared.contract.text import header_safe
from shared.contract.webhook_targets import networks_of
from shared.runtime.settings import ServiceSettings

MIN_ANSWER_KEY_CHARACTERS = 32


class NotifierSettings(ServiceSettings):
    """Prefix NOTIFIER_."""

    model_config = SettingsConfigDict(env_prefix="NOTIFIER_", frozen=True)

    port: int = 8804

    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=8825, ge=1, le=65535)
    smtp_tls: Literal["none", "starttls", "tls"] = "none"
    smtp_ca_file: str = ""  # PEM; empty: the system's authorities
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_local_hostname: str = "localhost"  # what EHLO says
    #: how long one answer may take, and the answer to the message itself (RFC 5321 4.5.3.2 allows minutes)
    smtp_timeout_seconds: float = Field(default=30, gt=0)
    smtp_data_timeout_seconds: float = Field(default=60, gt=0)
    smtp_messages_per_connection: int = Field(default=200, ge=1)
    #: connections of one process, and mails it leases at once
    smtp_pool_size: int = Field(default=4, ge=1, le=64)
    claim_size: int = Field(default=64, ge=1, le=1000)

    sender_address: str = "khong-tra-loi@thongsuot.example"
    sender_name: str = "Thông Suốt"
    reply_to: str = ""

    #: the file that describes the gateways of short texts; without it there are none
    gateways_file: Path | None = None

    #: the file with the master keys of webhooks' secrets, the same as intake's; without it their messages wait
    webhook_key_file: Path | None = None
    #: private networks that webhooks may be sent to (CIDR, parted by commas); the same as intake's
    webhook_private_networks: str = ""
    webhook_ca_file: str = ""  # PEM; empty: the system's authorities
    #: how long one message may take, from resolving the name to the answer; and webhooks served at once
    webhook_timeout_seconds: float = Field(default=15, gt=0, le=60)
    webhooks_at_once: int = Field(default=16, ge=2, le=256)

    #: what one key's questions about its webhooks may cost: milliseconds of CPU per second for ever, and at one go;
    #: and how many may be in work, and wait, at the same time
    agency_milliseconds_per_second: float = Field(default=100, gt=0)
    agency_burst_milliseconds: float = Field(default=1000, gt=0)
    agency_requests_at_once: int = Field(default=2, ge=1)
    agency_waiting: int = Field(default=50, ge=0)

    #: where people reach this service from their mail; with it and a key, escalation letters have a link to answer by
    public_url: str = Field(default="", pattern=r"^(https?://[^\s?#]+[^\s?#/])?$")
    answer_key: SecretStr = SecretStr("")  # signs these links; at least 32 characters

    lease_seconds: float = Field(default=300, gt=0)
    sweep_seconds: float = Field(default=5, gt=0)
    idle_poll_seconds: float = Field(default=0.5, gt=0)
    outage_ceiling_seconds: float = Field(default=60, gt=0)
    #: first wait after a 4xx, its ceiling, and how long a 4xx about one mail is retried before it has failed
    retry_seconds: float = Field(default=30, gt=0)
    retry_ceiling_seconds: float = Field(default=3600, gt=0)
    retry_window_seconds: float = Field(default=3 * 86400, gt=0)
    #: 5xx answers about one mail after which it has failed
    refusals: int = Field(default=1, ge=1, le=10)
    #: for how long no mail is accepted, while some are due, before this instance is not ready
    smtp_patience_seconds: float = Field(default=300, gt=0)
    #: business time that the first report in a person's name waits for others, to be told of in one letter
    named_group_minutes: float = Field(default=60, ge=0)
    #: office: notices wait for the windows of the mailing rules, and several go out in one mail; at_once: they do not
    mailing: Literal["office", "at_once"] = "office"
    mailing_seconds: float = Field(default=2, gt=0)  # between two looks for notices that may go out
    #: how long after an unknown outcome the mail is sent once more
    resend_seconds: float = Field(default=60, gt=0)

    @field_validator("sender_address", "reply_to")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not usable_address(value):
            raise ValueError("not an e-mail address (địa chỉ thư không hợp lệ)")
        return value

    @field_validator("webhook_private_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @field_validator("sender_name", "smtp_local_hostname")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return header_safe(value)

    @model_validator(mode="after")
    def _links_are_signed(self) -> Self:
        if self.public_url and len(self.answer_key.get_secret_value()) < MIN_ANSWER_KEY_CHARACTERS:
            raise ValueError(
                f"NOTIFIER_PUBLIC_URL needs NOTIFIER_ANSWER_KEY of at least {MIN_ANSWER_KEY_CHARACTERS} characters"
            )
        return self

    def answer_links(self) -> AnswerLinks | None:
        """The links in escalation letters; None: letters have none."""
        if not self.public_url:
            return None
        return AnswerLinks(self.public_url, self.answer_key.get_secret_value().encode())

    @model_validator(mode="after")
    def _lease_covers_a_transaction(self) -> Self:
        # half a lease is the latest start of a mail, and in_data renews it: the rest must hold the longest answer
        if self.lease_seconds < 2 * self.smtp_data_timeout_seconds:
            raise ValueError(
                f"NOTIFIER_LEASE_SECONDS={self.lease_seconds:g} must be at least twice "
                "NOTIFIER_SMTP_DATA_TIMEOUT_SECONDS: else a slow server makes certain outcomes unknown"
            )
        return self

    @model_validator(mode="after")
    def _gateways_are_right(self) -> Self:
        for gateway in self.gateways():
            if self.lease_seconds < 2 * gateway.part.timeout_seconds:
                raise ValueError(
                    f"NOTIFIER_LEASE_SECONDS={self.lease_seconds:g} must be at least twice the timeout of "
                    f"{gateway.channel}: else a slow gateway makes certain outcomes unknown"
                )
        return self

    def gateways(self) -> tuple[Gateway, ...]:
        """The gateways of short texts, with their secrets. Raises ValueError with every fault of the file."""
        if self.gateways_file is None:
            return ()
        try:
            content = self.gateways_file.read_bytes()
        except OSError as error:
            raise ValueError(f"NOTIFIER_GATEWAYS_FILE: {self.gateways_file}: {error.strerror}") from None
        return read_gateways(self.gateways_file.name, content)

    @property
    def message_id_domain(self) -> str:
        """Right side of the Message-IDs."""
        return self.sender_address.rpartition("@")[2]

    def server(self) -> Server:
        """The mail server and how to talk to it."""
        return Server(
            host=self.smtp_host,
            port=self.smtp_port,
            tls=self.smtp_tls,
            username=self.smtp_username,
            password=self.smtp_password.get_secret_value(),
            timeout_seconds=self.smtp_timeout_seconds,
            data_timeout_seconds=self.smtp_data_timeout_seconds,
            messages_per_connection=self.smtp_messages_per_connection,
            local_hostname=self.smtp_local_hostname,
            ca_file=self.smtp_ca_file,
        )

    def pace(self) -> Pace:
        """How much at once and how often."""
        return Pace(
            connections=self.smtp_pool_size,
            claim=self.claim_size,
            lease_seconds=self.lease_seconds,
            idle_poll_seconds=self.idle_poll_seconds,
            sweep_seconds=self.sweep_seconds,
            outage_ceiling_seconds=self.outage_ceiling_seconds,
            smtp_patience_seconds=self.smtp_patience_seconds,
            round_patience_seconds=(
                self.outage_ceiling_seconds + 4 * self.smtp_timeout_seconds + self.smtp_data_timeout_seconds
            ),
        )

    def retry_policy(self) -> RetryPolicy:
        """How long and how often a mail is tried."""
        return RetryPolicy(
            backoff_seconds=self.retry_seconds,
            backoff_ceiling_seconds=self.retry_ceiling_seconds,
            retry_window_seconds=self.retry_window_seconds,
            refusals=self.refusals,
            resend_after_seconds=self.resend_seconds,
        )

    def originator(self) -> Originator:
        """Who the mails are from."""
        return Originator(self.sender_address, self.sender_name, self.reply_to)

"""A webhook of an agency and what may be done with it. Pure.

At most two of its secrets sign at the same time, so that a receiver has time to change over. A deleted webhook stays as
a row: its version goes on, so that no older record of it comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct, structs

from shared.contract.events import WebhookRegistered, WebhookSecret, WebhookState
from shared.contract.events.fields import usable_address
from shared.contract.events.registry import EVENTS_BELOW, WebhookCovers
from shared.contract.webhook_targets import Networks, Target, read_target
from shared.web.errors import FieldError

#: of one agency, and secrets of one webhook that sign at the same time
MAX_WEBHOOKS, MAX_LIVE_SECRETS = 10, 2
#: between two tests of one webhook: each sends a request to wherever its owner says
TEST_INTERVAL = timedelta(seconds=10)


class Secret(Struct, frozen=True):
    """A generation of a webhook's secret. until: system time; None: without end."""

    generation: int
    master_key: str
    until: datetime | None = None


class Wanted(Struct, frozen=True):
    """What its owner says of a webhook."""

    url: str
    events: tuple[str, ...]
    contact: str


class Health(Struct, frozen=True):
    """How its receiver fares, as notifier told it last. Moments are system time."""

    attempted_at: datetime
    status: int | None  # of the answer; None: there was none
    delivered_at: datetime | None
    failing_since: datetime | None


class Webhook(Struct, frozen=True):
    """A webhook as it is stored. Moments are system time."""

    webhook_id: UUID
    agency: str
    url: str
    events: tuple[str, ...]
    contact: str  # whom to write to when it fails; stays in intake
    state: WebhookState
    secrets: tuple[Secret, ...]  # the newest first
    version: int
    created_at: datetime
    changed_at: datetime
    test_id: UUID | None = None
    test_at: datetime | None = None
    covers: WebhookCovers = "own"
    #: set where the receiver wants nothing more, until the next version
    stopped_at: datetime | None = None
    stop_reason: str | None = None
    #: None: nothing was tried since the last change, or nothing was told of it
    health: Health | None = None

    def secret_of(self, generation: int, now: datetime) -> Secret | None:
        """The secret of a generation while it signs."""
        return next((secret for secret in live(self.secrets, now) if secret.generation == generation), None)

    @property
    def audited(self) -> dict[str, Any]:
        """What the audit trail keeps of it, beside its contact."""
        return {
            "agency": self.agency,
            "url": self.url,
            "events": list(self.events),
            "state": self.state,
            "covers": self.covers,
            "generation": self.secrets[0].generation,
        }

    @property
    def event(self) -> WebhookRegistered:
        """What notifier learns of it."""
        return WebhookRegistered(
            webhook_id=self.webhook_id,
            agency=self.agency,
            covers=self.covers,
            url=self.url,
            events=self.events,
            state=self.state,
            secrets=tuple(
                WebhookSecret(generation=secret.generation, master_key=secret.master_key, until=secret.until)
                for secret in self.secrets
            ),
            test_id=self.test_id,
            test_at=self.test_at,
            version=self.version,
        )


class TwoLive(Struct, frozen=True):
    """Two secrets sign already: the older one ends at that moment."""

    until: datetime


def faults(wanted: Wanted, private: Networks, covers: WebhookCovers) -> list[FieldError]:
    """Everything that is wrong with what was asked for."""
    found = []
    target = read_target(wanted.url, private)
    if not isinstance(target, Target):
        found.append(FieldError("/url", *target))
    if len(set(wanted.events)) < len(wanted.events):
        found.append(
            FieldError("/events", "Có sự kiện ghi hai lần.", "An event stands twice.", "Bỏ bớt.", "Leave one out.")
        )
    if covers == "below" and not EVENTS_BELOW.issuperset(wanted.events):
        listed = ", ".join(sorted(EVENTS_BELOW))
        found.append(
            FieldError(
                "/events",
                "Có sự kiện không được báo về cơ quan cấp dưới.",
                "An event is not told of the agencies below.",
                f"Chỉ chọn trong: {listed}.",
                f"Choose among: {listed}.",
            )
        )
    if not usable_address(wanted.contact):
        found.append(
            FieldError(
                "/contact",
                "Không phải địa chỉ thư dùng được.",
                "This is no usable e-mail address.",
                "Ghi hộp thư của bộ phận vận hành hệ thống, ví dụ cntt@h99.example.",
                "Write the mailbox of those who run the system, such as it@h99.example.",
            )
        )
    return found


def registered(
    webhook_id: UUID, agency: str, wanted: Wanted, covers: WebhookCovers, master_key: str, now: datetime
) -> Webhook:
    return Webhook(
        webhook_id, agency, wanted.url, wanted.events, wanted.contact, "active", (Secret(1, master_key),), 1, now, now,
        covers=covers,
    )  # fmt: skip


def edited(webhook: Webhook, wanted: Wanted, state: WebhookState, now: datetime) -> Webhook:
    """The webhook as its owner wants it; the same one where nothing changes."""
    same = structs.replace(
        webhook, url=wanted.url, events=wanted.events, contact=wanted.contact, state=state
    )  # fmt: skip
    return webhook if same == webhook else _next(same, now)


def rotated(webhook: Webhook, master_key: str, keep: timedelta, now: datetime) -> Webhook | TwoLive:
    """A new secret; those before it sign as long as `keep` says, or no longer at all."""
    signing = live(webhook.secrets, now)
    if keep and len(signing) >= MAX_LIVE_SECRETS:
        return TwoLive(min(secret.until for secret in signing if secret.until is not None))
    kept = tuple(structs.replace(secret, until=now + keep) for secret in signing) if keep else ()
    new = Secret(webhook.secrets[0].generation + 1, master_key)
    return _next(structs.replace(webhook, secrets=(new, *kept)), now)


def tested(webhook: Webhook, test_id: UUID, now: datetime) -> Webhook | timedelta:
    """A test is asked for; else how long to wait for the next one."""
    if webhook.test_at is not None and timedelta() <= now - webhook.test_at < TEST_INTERVAL:
        return TEST_INTERVAL - (now - webhook.test_at)
    return _next(structs.replace(webhook, test_id=test_id, test_at=now), now)


def resumed(webhook: Webhook, now: datetime) -> Webhook:
    """Active again, in a new version in any case: notifier may have met a 410 that is not known here yet."""
    return _next(structs.replace(webhook, state="active"), now)


def deleted(webhook: Webhook, now: datetime) -> Webhook:
    """Nothing is sent any more; whom to write to is forgotten."""
    return _next(structs.replace(webhook, state="deleted", contact=""), now)


def live(secrets: Sequence[Secret], now: datetime) -> list[Secret]:
    """The secrets that sign now."""
    return [secret for secret in secrets if secret.until is None or now < secret.until]


def _next(webhook: Webhook, now: datetime) -> Webhook:
    return structs.replace(
        webhook, version=webhook.version + 1, changed_at=now, stopped_at=None, stop_reason=None, health=None
    )

"""Holds in memory what obligations are judged by: registry, calendars, policies, reliefs, generated periods.

The registry is intake's own, never a copy: a copy that differs is itself a difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from deploy.reconcile.stores import Snapshot
from services.intake.registry.records import kind_of, record_of
from services.notifier.ladders.data import parse_ladder
from services.notifier.ladders.domain import Ladder
from services.notifier.planning.directory import Agency as ToldAgency
from services.notifier.planning.directory import Directory, Officer, Person
from services.notifier.planning.store import email_of
from services.scoring.calendar import WorkingCalendar
from services.scoring.calendar.data import CalendarDay, CalendarYear, working_calendar
from services.scoring.obligations.deadlines import Agency, Regime, Request
from services.scoring.obligations.facts import Relief
from services.scoring.obligations.resolve import RegistryPart
from services.scoring.reference_data import Rules
from services.scoring.registry import Closing
from services.scoring.reliefs.store import ScopedRelief
from services.scoring.scores.policy import Policy, PolicyBook, PolicyError
from services.scoring.scores.policy.data import parse_policy
from services.validator.rules.forms import CompiledForm, FormError, compile_form
from shared.access import Office, Term
from shared.contract.events import (
    AgencyRegistered,
    KeyRegistered,
    OfficerRegistered,
    PersonRegistered,
    PersonsOffice,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    WaiverGranted,
)
from shared.contract.events.compliance import CALENDAR_KEY, POLICY_KEY
from shared.contract.hierarchy import Parents, Tree, parents_of

Row = Mapping[str, Any]

#: tables of the registry's copies, and of what is kept once, by service
TABLES: dict[str, tuple[str, ...]] = {
    "intake": (
        "registry_revision", "registry", "api_keys", "information_requests", "waiver_requests", "relay_state",
        "webhook_endpoints", "webhook_stops", "webhook_health", "webhook_orders", "regroupings",
    ),
    "validator": (
        "regime", "agency", "reference_table", "waiver", "access_keys", "access_people", "access_officers",
        "relay_state",
    ),
    "scoring": (
        "agencies", "regimes", "officers", "requests", "calendar_versions", "calendar_years", "calendar_days",
        "policies", "generation", "plans", "reliefs", "relief_decisions", "setbacks", "sweep_heartbeat",
        "intake_availability", "intake_gaps", "access_keys", "access_people", "access_officers", "relay_state",
        "regroupings",
    ),
    "notifier": (
        "agencies", "officers", "people", "regimes", "requests", "calendars", "policies", "ladders", "mailing_rules",
        "silences", "told_before", "access_keys", "access_people", "access_officers", "relay_state", "webhooks",
        "webhook_replays",
    ),
    "board": (
        "agencies", "officers", "people", "regimes", "requests", "access_keys", "access_people", "access_officers",
        "relay_state",
    ),
}  # fmt: skip
#: the newest record of each entity that intake has published
_PUBLISHED = """
    SELECT DISTINCT ON (key) key, event_id, type, headers, body FROM (
        SELECT id, key, event_id, type, headers, body FROM outbox_archive WHERE topic = 'registry'
        UNION ALL SELECT id, key, event_id, type, headers, body FROM outbox WHERE topic = 'registry'
        UNION ALL SELECT id, key, event_id, type, headers, body FROM outbox_set_aside
                   WHERE topic = 'registry' AND NOT archived
    ) AS published ORDER BY key, id DESC
"""
#: a running sweep is seconds behind; a scaled or led clock is further off
_CLOCKS_APART = timedelta(days=1)
#: what intake has told of its availability: every gap, and up to when it was available lately
_AVAILABILITY = """
    SELECT event_id, type, headers, body FROM outbox_archive
     WHERE topic = 'submissions' AND type = 'vn.thongsuot.intake.unavailable.v1'
    UNION ALL
    (SELECT event_id, type, headers, body FROM outbox_archive
      WHERE topic = 'submissions' AND key = 'intake' AND type <> 'vn.thongsuot.intake.unavailable.v1'
      ORDER BY id DESC LIMIT 10)
"""
_REQUESTED = "SELECT body FROM outbox_archive WHERE topic = 'registry' AND starts_with(key, 'request/')"
_WAIVER_TRAIL = """
    SELECT key, action, by, why, after FROM audit_trail WHERE kind = 'waiver_request' ORDER BY audit_id
"""
_OF_WEBHOOKS = """
    SELECT event_id, key, type, headers, body FROM (
        SELECT id, event_id, key, type, headers, body FROM outbox_archive WHERE topic = '{topic}'
        UNION ALL SELECT id, event_id, key, type, headers, body FROM outbox WHERE topic = '{topic}'
    ) AS published WHERE starts_with(key, 'webhook/') ORDER BY id
"""
_WEBHOOK_TRAIL = """
    SELECT key, at, CAST(after AS text) AS after FROM audit_trail WHERE kind = 'webhook' ORDER BY audit_id
"""
#: of each webhook: how often its messages were replayed, when it took one, and how many attempts failed since
_WEBHOOK_SUMS = """
    SELECT w.webhook_id, (SELECT coalesce(sum(replays), 0) FROM webhook_deliveries d WHERE d.webhook_id = w.webhook_id)
               AS replays, array_agg(a.ended_at) FILTER (WHERE a.outcome = 'delivered') AS delivered,
           array_agg(a.ended_at ORDER BY a.ended_at, a.token) FILTER (WHERE a.token IS NOT NULL) AS ended,
           array_agg(a.status ORDER BY a.ended_at, a.token) FILTER (WHERE a.token IS NOT NULL) AS statuses,
           count(*) FILTER (WHERE a.outcome IN ('away', 'refused') AND a.ended_at >= coalesce((
               SELECT max(l.ended_at) FROM webhook_attempts l JOIN webhook_deliveries m USING (delivery_id)
                WHERE m.webhook_id = w.webhook_id AND l.outcome = 'delivered'), '-infinity')) AS failures
      FROM webhooks w LEFT JOIN webhook_deliveries d USING (webhook_id) LEFT JOIN webhook_attempts a USING (delivery_id)
     GROUP BY w.webhook_id
"""
_CALENDARS = f"""
    SELECT event_id, key, type, headers, body FROM outbox_archive
     WHERE topic = 'compliance' AND starts_with(key, '{CALENDAR_KEY}') ORDER BY id
"""
_FIRST_REQUEST = "SELECT CAST(min(CAST(id AS text)) AS uuid) AS id FROM notifications WHERE kind = 'request'"
_POLICIES = f"""
    SELECT event_id, key, type, headers, body FROM outbox_archive
     WHERE topic = 'compliance' AND starts_with(key, '{POLICY_KEY}') ORDER BY id
"""
#: an archive forgets what is past retention, and starts empty in a database that replaces a lost one; so nothing
#: follows from the absence of an event older than its first
_FIRST_EVENT = "SELECT event_id FROM outbox_archive ORDER BY event_id LIMIT 1"


@dataclass(slots=True)
class Reference:
    """The rules and records that obligations are judged by."""

    tables: dict[tuple[str, str], list[asyncpg.Record]]
    published: dict[str, asyncpg.Record]
    #: the oldest event in each service's archive
    first_event: dict[str, UUID | None]
    availability: list[asyncpg.Record]
    #: the calendars that scoring has published, oldest first
    calendar_events: list[asyncpg.Record] = field(default_factory=list)
    #: what the audit trail says of requests for waivers, oldest first
    waiver_trail: list[asyncpg.Record] = field(default_factory=list)
    #: the scoring policies that scoring has published, oldest first
    policy_events: list[asyncpg.Record] = field(default_factory=list)
    #: the oldest notice of a request: notifier tells of requests since then
    requests_told_since: UUID | None = None
    #: every registration of a webhook and what notifier told of it, as published, and what the audit trail knows of it
    webhook_events: list[asyncpg.Record] = field(default_factory=list)
    notifier_events: list[asyncpg.Record] = field(default_factory=list)
    webhook_trail: list[asyncpg.Record] = field(default_factory=list)
    webhook_sums: list[asyncpg.Record] = field(default_factory=list)
    #: made of them once (webhooks.Wanted), by id, and the ids by agency
    webhooks: dict[UUID, Any] | None = None
    webhooks_of: dict[str, list[UUID]] = field(default_factory=dict)
    #: every deadline that a request ever had, by its id
    request_deadlines: dict[str, set[datetime]] = field(default_factory=dict)
    records: dict[str, RegistryEvent] = field(default_factory=dict)
    keys: dict[str, KeyRegistered] = field(default_factory=dict)
    changed_at: dict[str, datetime] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    regimes: dict[str, list[Regime]] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    agencies: dict[str, Agency] = field(default_factory=dict)
    parents: dict[str, Parents] = field(default_factory=dict)
    closings: dict[str, Closing] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    forms: dict[str, CompiledForm | FormError] = field(default_factory=dict)
    replaced_by: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    calendars: dict[str, WorkingCalendar] = field(default_factory=dict)
    current: WorkingCalendar | None = None
    policies: dict[str, Policy] = field(default_factory=dict)
    book: PolicyBook | None = None
    rules: Rules = field(default_factory=Rules)
    reliefs: list[ScopedRelief] = field(default_factory=list)
    generation: Row | None = None

    def waivers_of(self, regime: str) -> list[WaiverGranted]:
        """The waivers of rules of a regime."""
        records = self.records.values()
        return [record for record in records if isinstance(record, WaiverGranted) and record.regime == regime]

    @classmethod
    async def read(cls, snapshot: Snapshot) -> Reference:
        """Read it from one snapshot. `unreadable` names what cannot be read and is left out."""
        tables: dict[tuple[str, str], list[asyncpg.Record]] = {}
        for service, names in TABLES.items():
            for name in names:
                tables[service, name] = await snapshot.all(service, f"SELECT * FROM {name}")
        published = {row["key"]: row for row in await snapshot.all("intake", _PUBLISHED)}
        first = {service: await snapshot.all(service, _FIRST_EVENT) for service in TABLES}
        begins = {service: rows[0]["event_id"] if rows else None for service, rows in first.items()}
        made = cls(tables, published, begins, await snapshot.all("intake", _AVAILABILITY),
                   await snapshot.all("scoring", _CALENDARS), await snapshot.all("intake", _WAIVER_TRAIL))  # fmt: skip
        (first_told,) = await snapshot.all("notifier", _FIRST_REQUEST)
        made.requests_told_since = first_told["id"]
        made.policy_events = await snapshot.all("scoring", _POLICIES)
        made.webhook_events = await snapshot.all("intake", _OF_WEBHOOKS.format(topic="registry"))
        made.notifier_events = await snapshot.all("notifier", _OF_WEBHOOKS.format(topic="notifications"))
        made.webhook_trail = await snapshot.all("intake", _WEBHOOK_TRAIL)
        made.webhook_sums = await snapshot.all("notifier", _WEBHOOK_SUMS)
        for row in await snapshot.all("intake", _REQUESTED):
            made._remember_deadline(row["body"])
        made._read_registry()
        made._read_keys()
        made._read_rules()
        return made

    def part(self) -> RegistryPart | None:
        """Return the registry as scoring's rules take it; None without a calendar."""
        if self.current is None:
            return None
        return RegistryPart(self.agencies, self.regimes, self.requests, self.current, self.tree)

    @property
    def tree(self) -> Tree:
        """Who stands above each agency."""
        return Tree(self.parents)

    def form_of(self, regime: str, regime_version: int) -> CompiledForm | FormError | None:
        """Return the form that judges a report under this version: its own, or that of the version that replaced it."""
        asked, seen = [f"regime/{regime}/{regime_version}"], set()
        found: list[tuple[int, str]] = [(regime_version, asked[0])] if asked[0] in self.forms else []
        while asked:
            key = asked.pop()
            if key not in seen:
                seen.add(key)
                newer = self.replaced_by.get(key, [])
                found += newer
                asked += [name for _, name in newer]
        return self.forms[max(found)[1]] if found else None

    @property
    def scoring_was_rebuilt(self) -> bool:
        """Whether scoring replaced a lost database, and so told again, at a later hour, what it had told before."""
        return self.generation is not None and self.generation["first_version"] > 1

    @property
    def business_is_system_time(self) -> bool:
        """Whether scoring's business clock is the system's, so that both may be compared."""
        beats = self.tables["scoring", "sweep_heartbeat"]
        return bool(beats) and abs(beats[0]["swept_to"] - beats[0]["system_at"]) < _CLOCKS_APART

    def archived(self, service: str, event_id: UUID) -> bool:
        """Whether the service's archive must hold this event if the service has published it (ids are UUIDv7)."""
        first = self.first_event[service]
        return first is not None and event_id >= first

    def archived_at(self, service: str, moment: datetime) -> bool:
        """Whether the service's archive must hold what it published at this moment (system time)."""
        first = self.first_event[service]
        return first is not None and int(moment.timestamp() * 1000) >= first.int >> 80

    def as_at(self, made: UUID, keys: Iterable[str]) -> bool:
        """Whether none of these records has changed since the row or event with this id was made."""
        moment = made_at(made)
        return all(key in self.changed_at and self.changed_at[key] <= moment for key in keys)

    def _remember_deadline(self, body: bytes) -> None:
        try:
            said = RequestIssued.model_validate_json(body)
        except ValueError:
            return
        self.request_deadlines.setdefault(said.request_id, set()).add(said.deadline)

    def _read_registry(self) -> None:
        versions: dict[str, list[Regime]] = {}
        heard = {row["code"]: row["regrouped_at"] for row in self.tables["scoring", "agencies"]}  # scoring's own hour
        told_agencies, told_officers, told_people = [], [], []
        for row in sorted(self.tables["intake", "registry"], key=lambda row: row["key"]):
            try:
                if kind_of(row["key"]) != row["kind"]:
                    raise ValueError(f"kind is {row['kind']}")
                record = record_of(row["key"], row["version"], json.loads(row["record"]))
                if record.key != row["key"]:
                    raise ValueError(f"the record is that of {record.key}")
            except ValueError as error:
                self.unreadable[row["key"]] = str(error)[:300]
                continue
            self.records[row["key"]] = record
            self.changed_at[row["key"]] = row["changed_at"]
            match record:
                case AgencyRegistered():
                    self.parents[record.code] = parents_of(record.parent, record.parents)
                    self.agencies[record.code] = Agency(record.code, record.kind, record.opened_on, record.closed_on,
                                                        heard.get(record.code))  # fmt: skip
                    if record.closed_on is not None:
                        self.closings[record.code] = Closing(record.closed_on, record.heir)
                    told_agencies.append(
                        ToldAgency(
                            record.code,
                            record.name,
                            record.name_en,
                            parents_of(record.parent, record.parents),
                            record.closed_on,
                        )
                    )
                case OfficerRegistered():
                    told_officers.append(
                        Officer(record.officer_id, record.agency, record.name, record.title, record.email,
                                record.role, record.regimes, record.active)
                    )  # fmt: skip
                case PersonRegistered():
                    officer = Officer(record.person_id, record.agency, record.name, record.title, email_of(record), "")
                    told_people.append(Person(officer, tuple(map(_office, record.offices))))
                case RegimePublished():
                    versions.setdefault(record.code, []).append(
                        Regime(record.code, record.regime_version, record.frequency, record.effective_from,
                               record.effective_to, record.submitter_kinds, record.submitters, record.cutoff,
                               record.deadline, record.remind_working_days, record.certification,
                               record.lock_after_working_days, submitters_except=record.submitters_except,
                               submitter_parents=record.submitter_parents,
                               grace_working_days=record.grace_working_days)
                    )  # fmt: skip
                    self._read_form(record)
                case RequestIssued():
                    self.requests[record.request_id] = Request(
                        record.request_id,
                        record.regime,
                        record.issued_at,
                        record.deadline,
                        record.agencies,
                        record.withdrawn_at,
                    )
        self.regimes = {code: sorted(found, key=lambda each: each.regime_version) for code, found in versions.items()}
        self.directory = Directory.of(told_agencies, told_officers, told_people)

    def _read_keys(self) -> None:
        for row in self.tables["intake", "api_keys"]:
            key = KeyRegistered(
                key_id=row["key_id"], sha256=row["sha256"].hex(), principal_kind=row["principal_kind"],
                principal_id=row["principal_id"], scopes=row["scopes"], created_at=row["created_at"],
                expires_at=row["expires_at"], revoked_at=row["revoked_at"], version=row["version"],
                public_key=row["public_key"] and row["public_key"].hex(),
            )  # fmt: skip
            self.keys[key.key] = key

    def _read_form(self, regime: RegimePublished) -> None:
        try:
            self.forms[regime.key] = compile_form(regime.form)
        except FormError as error:
            self.forms[regime.key] = error
        if regime.replaces is not None:
            replaced = f"regime/{regime.code}/{regime.replaces}"
            self.replaced_by.setdefault(replaced, []).append((regime.regime_version, regime.key))

    def _read_rules(self) -> None:
        days: dict[str, list[CalendarDay]] = {}
        for row in self.tables["scoring", "calendar_days"]:
            days.setdefault(row["version"], []).append(
                CalendarDay.model_construct(day=row["day"], work=row["work"], name="", name_en="", source="")
            )
        years: dict[str, list[CalendarYear]] = {}
        for row in self.tables["scoring", "calendar_years"]:
            years.setdefault(row["version"], []).append(
                CalendarYear.model_construct(year=row["year"], status=row["status"], announcements=())
            )
        heads = sorted(self.tables["scoring", "calendar_versions"], key=lambda row: row["revision"])
        for row in heads:
            version = row["version"]
            self.current = self.calendars[version] = working_calendar(
                version, row["first_year"], row["last_year"], tuple(days.get(version, ())),
                tuple(years.get(version, ())),
            )  # fmt: skip
        for row in self.tables["scoring", "policies"]:
            try:
                policy = _policy(row["version"], row["body"])
            except PolicyError as error:
                self.unreadable[f"policy/{row['version']}"] = str(error)[:300]
                continue
            self.policies[row["version"]] = policy
        if self.policies:
            try:
                self.book = PolicyBook(self.policies.values())
            except PolicyError as error:
                self.unreadable["policies"] = str(error)
        self.rules = Rules(self.book)
        for row in self.tables["scoring", "reliefs"]:
            relief = Relief(
                row["relief_id"], row["starts_at"], row["ends_at"], row["status"], row["hold_until"], row["version"]
            )
            scope = (tuple(row["agencies"]), tuple(row["regimes"]), tuple(row["obligations"]))
            self.reliefs.append(ScopedRelief(relief, *scope))
        self.reliefs.sort(key=lambda scoped: (scoped.relief.starts_at, scoped.relief.relief_id))
        self.generation = next(iter(self.tables["scoring", "generation"]), None)


#: parsed policies by version and text: each comparison reads them again, and parsing is slow
_READ_POLICIES: dict[tuple[str, str], Policy] = {}


def _policy(version: str, body: str) -> Policy:
    read = _READ_POLICIES.get((version, body))
    if read is None:
        read = _READ_POLICIES[version, body] = parse_policy(f"policies/{version}", body.encode()).policy
    return read


@lru_cache(maxsize=64)
def kept_ladder(body: str) -> Ladder:
    """A ladder from its text. Remembered: every escalation has one, few are unlike. Raises LadderError."""
    return parse_ladder("ladders", body.encode()).ladder


def _office(held: PersonsOffice) -> Office:
    return Office(held.role, held.agency, Term(held.since, held.until), held.regimes)


def made_at(made: UUID) -> datetime:
    """Return the system time at the head of a UUIDv7 (RFC 9562)."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)


def in_order(rows: Sequence[asyncpg.Record], *columns: str) -> list[asyncpg.Record]:
    return sorted(rows, key=lambda row: tuple(row[column] for column in columns))

"""Compares every copy of the registry with intake's records, and the records with what was published."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import asyncpg

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.receipts import envelope
from deploy.reconcile.reference import Reference
from services.board.readmodel.store import form_of
from services.intake.registry import staffing
from services.intake.waivers.domain import audited_decision, audited_request
from services.intake.waivers.store import request_of
from services.notifier.planning.store import email_of, phone_of, reviews_at
from services.notifier.regimes.content import content_of
from services.validator.rules.pack_compiler import tables_looked_up
from services.validator.store import Submitters, Validity
from shared.contract.events import (
    AgencyRegistered,
    AgencyRegrouped,
    AgencyStaffing,
    EventModel,
    KeyRegistered,
    OfficerRegistered,
    PersonRegistered,
    ReferenceTablePublished,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SharingGranted,
    WaiverGranted,
)
from shared.contract.hierarchy import parents_of

_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    # a copy's table -> the kind of its records, and the columns that make their key
    "agencies": ("agency", ("code",)),
    "agency": ("agency", ("code",)),
    "officers": ("officer", ("officer_id",)),
    "regimes": ("regime", ("code", "regime_version")),
    "requests": ("request", ("request_id",)),
    "people": ("person", ("person_id",)),
    "regime": ("regime", ("code", "regime_version")),
    "reference_table": ("reference", ("code", "table_version")),
    "waiver": ("waiver", ("waiver_id",)),
    "access_people": ("person", ("person_id",)),
    "access_officers": ("officer", ("officer_id",)),
    "access_keys": ("key", ("key_id",)),
}
#: services that know keys by a copy
_WITH_KEYS = ("validator", "scoring", "notifier", "board")
#: columns computed from a record, where it has no attribute of their name
_MADE: dict[tuple[str, str, str], Callable[[Any], Any]] = {
    ("validator", "regime", "form"): lambda record: record.form.model_dump(mode="json"),
    ("validator", "regime", "validity"): lambda record: Validity.model_validate(
        record, from_attributes=True
    ).model_dump(mode="json"),
    ("validator", "regime", "key"): lambda record: record.key,
    ("validator", "regime", "submitters"): lambda record: Submitters.model_validate(
        record, from_attributes=True
    ).model_dump(mode="json"),
    ("validator", "agency", "parents"): lambda record: record.model_dump(mode="json")["parents"],
    ("validator", "agency", "ever_below"): lambda record: sorted(set(parents_of(record.parent, record.parents).ever())),
    ("validator", "regime", "looks_up"): lambda record: sorted(tables_looked_up(record.form)),
    ("validator", "reference_table", "columns"): lambda record: record.model_dump(mode="json")["columns"],
    ("validator", "reference_table", "rows"): lambda record: record.model_dump(mode="json")["rows"],
    ("validator", "regime", "replaces"): lambda record: (
        None if record.replaces is None else f"regime/{record.code}/{record.replaces}"
    ),
    ("scoring", "regimes", "cutoff"): lambda record: record.cutoff.model_dump(mode="json"),
    ("scoring", "regimes", "deadline"): lambda record: record.deadline.model_dump(mode="json"),
    ("scoring", "requests", "withdrawn"): lambda record: record.withdrawn_at is not None,
    ("notifier", "people", "email"): email_of,
    ("notifier", "people", "phone"): phone_of,
    ("notifier", "people", "reviews_at"): reviews_at,
    ("notifier", "people", "offices"): lambda record: record.model_dump(mode="json")["offices"],
    ("scoring", "agencies", "parents"): lambda record: record.model_dump(mode="json")["parents"],
    ("notifier", "agencies", "parents"): lambda record: record.model_dump(mode="json")["parents"],
    ("notifier", "regimes", "nil_allowed"): lambda record: record.form.nil_allowed,
    ("notifier", "regimes", "content"): content_of,
    **{
        (service, "access_people", "offices"): lambda record: record.model_dump(mode="json")["offices"]
        for service in _WITH_KEYS
    },
    ("board", "people", "offices"): lambda record: record.model_dump(mode="json")["offices"],
    ("board", "regimes", "form"): form_of,
    ("board", "agencies", "parents"): lambda record: record.model_dump(mode="json")["parents"],
}
_JSON = frozenset(
    {
        ("validator", "regime", "form"),
        ("validator", "regime", "validity"),
        ("validator", "regime", "submitters"),
        ("validator", "agency", "parents"),
        ("validator", "reference_table", "columns"),
        ("validator", "reference_table", "rows"),
        ("scoring", "regimes", "cutoff"),
        ("scoring", "regimes", "deadline"),
        ("notifier", "people", "digests"),
        ("notifier", "people", "offices"),
        ("notifier", "agencies", "parents"),
        ("notifier", "regimes", "content"),
        ("scoring", "agencies", "parents"),
        ("board", "people", "offices"),
        ("board", "regimes", "form"),
        ("board", "agencies", "parents"),
        *((service, "access_people", "offices") for service in _WITH_KEYS),
    }
)
#: columns that only the copy has
_OWN = frozenset(
    {
        ("validator", "regime", "learned_at"),
        ("validator", "reference_table", "learned_at"),
        ("scoring", "agencies", "planned"),
        ("scoring", "agencies", "regrouped_at"),
        ("notifier", "regimes", "kept_since"),
    }
)
_CLASSES: dict[str, type[RegistryEvent]] = {
    "agency": AgencyRegistered,
    "officer": OfficerRegistered,
    "person": PersonRegistered,
    "regime": RegimePublished,
    "request": RequestIssued,
    "sharing": SharingGranted,
    "reference": ReferenceTablePublished,
    "waiver": WaiverGranted,
}
_FOLLOWED = (
    ("validator", "regime"), ("validator", "agency"), ("validator", "reference_table"), ("validator", "waiver"),
    ("scoring", "agencies"), ("scoring", "officers"), ("scoring", "regimes"),
    ("scoring", "requests"), ("notifier", "agencies"), ("notifier", "officers"), ("notifier", "regimes"),
    ("notifier", "requests"), ("notifier", "people"),
    ("board", "agencies"), ("board", "officers"), ("board", "regimes"), ("board", "requests"), ("board", "people"),
    *((service, table) for service in _WITH_KEYS for table in ("access_people", "access_officers", "access_keys")),
)  # fmt: skip


def copies(reference: Reference) -> Iterator[Difference]:
    """Compare every copy of every record."""
    for service, table in _FOLLOWED:
        kind, names = _KINDS[table]
        wanted = _wanted(reference, kind)
        found = {
            f"{kind}/{'/'.join(str(row[name]) for name in names)}": row for row in reference.tables[service, table]
        }
        for key in sorted({*found, *wanted}):
            told = Teller(
                "registry", f"{service}.{table}", key, "theo intake.registry", "by intake.registry", "reference"
            )
            if key not in found:
                yield told.missing()
            elif key not in wanted:
                yield told.surplus()
            else:
                yield from _copy(service, table, found[key], wanted[key], told)


def _wanted(reference: Reference, kind: str) -> Mapping[str, EventModel]:
    if kind == "key":
        return reference.keys
    return {key: record for key, record in reference.records.items() if isinstance(record, _CLASSES[kind])}


def _copy(service: str, table: str, row: asyncpg.Record, record: EventModel, told: Teller) -> Iterator[Difference]:
    for column in row.keys():  # noqa: SIM118 - a Record is not its keys
        place = (service, table, column)
        if place in _OWN:
            continue
        expected = _MADE[place](record) if place in _MADE else getattr(record, column)
        found = json.loads(row[column]) if place in _JSON and row[column] is not None else row[column]
        yield from told.document(found, expected, column)


def records(reference: Reference) -> Iterator[Difference]:
    """Compare intake's records with what it published of them, and its revision."""
    by = ("theo sự kiện đã phát", "by the event published")
    stored = {row["key"]: row for row in reference.tables["intake", "registry"]}
    # keys are compared beside this; the others are records of no table here
    published = {
        key for key in reference.published if not key.startswith(("key/", "staffing/", "regrouped/", "webhook/"))
    }
    for key in sorted({*stored, *published}):
        told = Teller("registry", "intake.registry", key, *by, "reference")
        if key in reference.unreadable:
            yield told.difference("record", reference.unreadable[key], "đọc được / readable")
        if key not in stored:
            yield told.missing()
            continue
        event = reference.published.get(key)
        if event is None:
            yield Teller("event", "intake.outbox_archive", key, "theo intake.registry", "by intake.registry",
                         "reference").missing()  # fmt: skip
            continue
        body = _body(event["body"])
        if not isinstance(body, dict):
            yield told.difference("record", stored[key]["record"], "–")
            continue
        expected = _CLASSES.get(key.split("/", 1)[0])
        if expected is None:
            yield told.difference("key", key, ", ".join(_CLASSES))
            continue
        record = dict(json.loads(stored[key]["record"])) | {"version": stored[key]["version"]}
        yield from told.document(record, _whole(expected, body), "record")
        sent = Teller("event", "intake.outbox_archive", f"{key} {event['event_id']}", "theo intake.registry",
                      "by intake.registry", "reference")  # fmt: skip
        yield from envelope(event, expected.TYPE, sent)
        if stored[key]["kind"] != key.split("/", 1)[0]:
            yield told.difference("kind", stored[key]["kind"], key.split("/", 1)[0])
    yield from _asked(reference)
    yield from _waivers_asked(reference)
    yield from _staffing(reference)
    yield from _regrouped(reference)
    revisions = [row["revision"] for name in ("registry", "api_keys") for row in reference.tables["intake", name]]
    now = [row["revision"] for row in reference.tables["intake", "registry_revision"]]
    if revisions and now != [max(revisions)]:
        told = Teller("registry", "intake.registry_revision", "", "theo registry, api_keys", "by registry, api_keys",
                      "reference")  # fmt: skip
        yield told.difference("revision", now[0] if now else None, max(revisions))


def _regrouped(reference: Reference) -> Iterator[Difference]:
    """Compare when agencies changed groups, in intake, in scoring, and as it was published.

    Scoring hears of it later than intake, of one that changed before this was told by itself alone.
    """
    published = {key: event for key, event in reference.published.items() if key.startswith("regrouped/")}
    stored = {
        service: {f"regrouped/{row['agency']}": row for row in reference.tables[service, "regroupings"]}
        for service in ("intake", "scoring")
    }
    changed: dict[str, AgencyRegrouped] = {}
    for key in sorted({*published, *stored["intake"], *stored["scoring"]}):
        try:
            said = AgencyRegrouped.model_validate(_body(published[key]["body"])) if key in published else None
        except ValueError:
            said = None
        for service, rows in stored.items():
            told = Teller("registry", f"{service}.regroupings", key, "theo sự kiện đã phát", "by the event published",
                          "reference")  # fmt: skip
            if key not in rows:
                yield told.missing()
            elif said is None:
                yield told.surplus()
            else:
                names = ("agency", "at", "moved_at", "version")
                yield from told.values(rows[key], {name: getattr(said, name) for name in names})
        if key in published:
            sent = Teller("event", "intake.outbox_archive", key, "theo nội dung", "by its body", "reference")
            yield from envelope(published[key], AgencyRegrouped.TYPE, sent)
        if key in stored["intake"]:
            changed[key.removeprefix("regrouped/")] = AgencyRegrouped(**stored["intake"][key])
    tree = reference.tree
    for row in reference.tables["scoring", "agencies"]:
        own = changed.get(row["code"])
        moments = [changed[above].moved_at for above in tree.ever_above(row["code"]) if above in changed]
        moments += [own.at] if own is not None else []
        least = max((moment for moment in moments if moment is not None), default=None)
        if least is not None and (row["regrouped_at"] is None or row["regrouped_at"] < least):
            told = Teller("registry", "scoring.agencies", f"agency/{row['code']}", "theo intake.regroupings",
                          "by intake.regroupings", "reference")  # fmt: skip
            yield told.difference("regrouped_at", row["regrouped_at"], least)


def _staffing(reference: Reference) -> Iterator[Difference]:
    """Compare what was published of each agency's reporting officers with the officers' records.

    Nothing published says that the agency has had one since it was registered.
    """
    revision = max((row["revision"] for row in reference.tables["intake", "registry_revision"]), default=0)
    expected = {record.key: record for record in staffing.whole(reference.records.values(), revision)}
    for key in sorted({*expected, *(key for key in reference.published if key.startswith("staffing/"))}):
        told = Teller("event", "intake.outbox_archive", key, "theo intake.registry", "by intake.registry",
                      "reference")  # fmt: skip
        event = reference.published.get(key)
        if event is None:
            if not expected[key].designated:
                yield told.missing()
        elif key not in expected:
            yield told.surplus()
        else:
            body = _body(event["body"])
            version = body.get("version") if isinstance(body, dict) else None
            known = isinstance(version, int) and 0 < version <= revision
            wanted = expected[key].model_copy(update={"version": version}) if known else expected[key]
            yield from told.document(_whole(AgencyStaffing, body), wanted.model_dump(mode="json"), "record")
            yield from envelope(event, AgencyStaffing.TYPE, told)


def _asked(reference: Reference) -> Iterator[Difference]:
    """Compare who asked, by the key of the call, with the record. What a registry's file asks has no such row."""
    for row in reference.tables["intake", "information_requests"]:
        told = Teller("registry", "intake.information_requests", row["request_id"], "theo intake.registry",
                      "by intake.registry", "reference")  # fmt: skip
        record = reference.records.get(f"request/{row['request_id']}")
        if not isinstance(record, RequestIssued):
            yield told.surplus()
        else:
            yield from told.values(row, {"asker": record.asked_by})


def _waivers_asked(reference: Reference) -> Iterator[Difference]:
    """Compare requests for waivers with what the audit trail says of them, and those granted with the registry."""
    by = ("theo intake.audit_trail", "by intake.audit_trail")
    trail: dict[str, dict[str, asyncpg.Record]] = defaultdict(dict)
    for entry in reference.waiver_trail:
        trail[entry["key"]]["requested" if entry["action"] == "requested" else "decided"] = entry
    rows = {row["waiver_id"]: row for row in reference.tables["intake", "waiver_requests"]}
    for waiver_id in sorted({*rows, *trail}):
        told = Teller("registry", "intake.waiver_requests", waiver_id, *by, "reference")
        row, entries = rows.get(waiver_id), trail.get(waiver_id, {})
        if row is None:
            yield told.missing()
            continue
        if "requested" not in entries:
            yield told.surplus()
            continue
        request = request_of(row)
        asked, decided = entries["requested"], entries.get("decided")
        yield from told.document(audited_request(request), json.loads(asked["after"]), "asked")
        yield from told.values(row, {"made_by": asked["by"], "reason": asked["why"]})
        after = dict.fromkeys(audited_decision(request)) if decided is None else json.loads(decided["after"])
        yield from told.document(audited_decision(request), after, "decided")
        who = (None, None) if decided is None else (decided["by"], decided["why"])
        yield from told.values(row, {"decided_by": who[0], "decision_reason": who[1]})
        record = reference.records.get(f"waiver/{waiver_id}")
        if (row["decision"] == "granted") != isinstance(record, WaiverGranted):
            yield told.difference("decision", row["decision"], f"waiver/{waiver_id} trong danh mục / in the registry")
        elif isinstance(record, WaiverGranted):
            names = ("regime", "rule", "reason", "asked_by")
            wanted = {name: getattr(record, name) for name in names}
            wanted |= {"agencies": list(record.agencies), "decided_by": record.approved_by}
            yield from told.values(row, wanted | {"granted_since": record.since})


def keys(reference: Reference) -> Iterator[Difference]:
    """Intake's keys against what it published of them, and against the registry that knows their owners."""
    published = {key: event for key, event in reference.published.items() if key.startswith("key/")}
    for key in sorted({*reference.keys, *published}):
        told = Teller("registry", "intake.api_keys", key, "theo sự kiện đã phát", "by the event published", "reference")
        if key not in reference.keys:
            yield told.missing()
            continue
        stored, event = reference.keys[key], published.get(key)
        sent = Teller("event", "intake.outbox_archive", key, "theo intake.api_keys", "by intake.api_keys", "reference")
        if event is None:
            yield sent.missing()
        else:
            yield from told.document(stored.model_dump(mode="json"), _whole(KeyRegistered, _body(event["body"])), "key")
            yield from envelope(event, KeyRegistered.TYPE, sent)
        if not _owners(stored) & ({"itself"} | reference.records.keys()):
            yield told.difference("principal_id", stored.principal_id, "trong danh mục / in the registry")


def _owners(key: KeyRegistered) -> set[str]:
    """The records of which one must be there for the owner of the key."""
    match key.principal_kind:
        case "operator" | "issuer":
            return {"itself"}
        case "person":
            return {f"person/{key.principal_id}", f"officer/{key.principal_id}"}
        case kind:
            return {f"{kind}/{key.principal_id}"}


def _body(body: bytes | None) -> Any:
    try:
        return json.loads(body) if body is not None else None
    except ValueError:
        return None


def _whole(model: type[EventModel], body: Any) -> Any:
    """Return the event with its default fields filled in; unchanged where it cannot be read."""
    try:
        return dict(model.model_validate(body).model_dump(mode="json")) | dict(body)
    except (ValueError, TypeError):
        return body

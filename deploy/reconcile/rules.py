"""Compares calendars, policies and reliefs with their files and with the decisions about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.receipts import json_body
from deploy.reconcile.reference import Reference, in_order
from services.notifier.ladders.data import LadderError, ReadLadder, parse_ladder, shipped_ladders
from services.notifier.mailing.data import parse_rules, shipped_rules
from services.notifier.mailing.domain import digest
from services.scoring.calendar import shipped_calendars
from services.scoring.scores.policy import shipped_policies
from services.scoring.scores.policy.store import event_of
from shared.contract.events import CalendarLoaded, PolicyLoaded
from shared.contract.events.compliance import CALENDAR_KEY, POLICY_KEY

_FILE = ("theo tệp đi cùng bản phát hành", "by the file that ships")


def calendars(reference: Reference) -> Iterator[Difference]:
    """Compare loaded versions that also ship with their files; check that days and years belong to a loaded version."""
    shipped = _shipped()
    loaded = {row["version"] for row in reference.tables["scoring", "calendar_versions"]}
    for row in reference.tables["scoring", "calendar_versions"]:
        if all(day["version"] != row["version"] for day in reference.tables["scoring", "calendar_days"]):
            bare = Teller("rules", "scoring.calendar_versions", row["version"], "theo scoring.calendar_days",
                          "by scoring.calendar_days", "reference")  # fmt: skip
            yield bare.difference("version", "không có ngày nào / no days", "ngày nghỉ / days off")
        if row["version"] in shipped:
            told = Teller("rules", "scoring.calendar_versions", row["version"], *_FILE, "reference")
            yield from told.values(row, shipped[row["version"]]["head"])
    for version in shipped.keys() - loaded:
        # skipped where an operator has loaded another calendar of this revision
        taken = {row["revision"] for row in reference.tables["scoring", "calendar_versions"]}
        if loaded and shipped[version]["head"]["revision"] not in taken:
            yield Teller("rules", "scoring.calendar_versions", version, *_FILE, "reference").missing()
    for table, key, name in (("calendar_days", "day", "days"), ("calendar_years", "year", "years")):
        found: dict[str, dict[Any, Any]] = {}
        for row in reference.tables["scoring", table]:
            found.setdefault(row["version"], {})[row[key]] = row
        for version in sorted({*found, *(shipped.keys() & loaded)}):
            wanted = shipped.get(version, {}).get(name)
            if version not in loaded:
                told = Teller(
                    "rules", f"scoring.{table}", version, "theo scoring.calendar_versions", subject="reference"
                )
                yield told.surplus()
                continue
            if wanted is None:
                continue
            rows = found.get(version, {})
            for entry in sorted({*rows, *wanted}):
                told = Teller("rules", f"scoring.{table}", f"{version} {entry}", *_FILE, "reference")
                if entry not in rows:
                    yield told.missing()
                elif entry not in wanted:
                    yield told.surplus()
                else:
                    stored = dict(rows[entry])
                    if "announcements" in stored:
                        stored["announcements"] = json.loads(stored["announcements"])
                    yield from told.values(stored, wanted[entry])


def published_calendars(reference: Reference) -> Iterator[Difference]:
    """Compare what scoring published of its calendars, and notifier's copies, with the calendars loaded."""
    wanted = {row["version"]: _working_days(row, reference) for row in reference.tables["scoring", "calendar_versions"]}
    by = ("theo scoring.calendar_versions", "by scoring.calendar_versions")
    for event in reference.calendar_events:
        told = Teller("event", "scoring.outbox_archive", f"{event['key']} {event['event_id']}", *by, "reference")
        yield from told.values(event, {"type": CalendarLoaded.TYPE, "headers": None})
        expected = wanted.get(event["key"].removeprefix(CALENDAR_KEY))
        if expected is None:
            yield told.difference("key", event["key"], ", ".join(wanted))
        else:
            yield from told.document(json_body(event), expected, "body")
    copied = {row["calendar_version"]: row for row in reference.tables["notifier", "calendars"]}
    newest = {event["key"].removeprefix(CALENDAR_KEY) for event in reference.calendar_events[-1:]}
    for version in sorted({*copied, *newest}):
        told = Teller("copy", "notifier.calendars", version, *by, "reference")
        if version not in copied:
            yield told.missing()
        elif version not in wanted:
            yield told.surplus()
        else:
            row = dict(copied[version])
            row |= {name: json.loads(row[name]) for name in ("days_off", "made_up")}
            yield from told.document(row, wanted[version])


def published_policies(reference: Reference) -> Iterator[Difference]:
    """Compare what scoring published of its policies, and notifier's copies, with the policies loaded."""
    wanted = {version: event_of(policy).model_dump(mode="json") for version, policy in reference.policies.items()}
    by = ("theo scoring.policies", "by scoring.policies")
    for event in reference.policy_events:
        told = Teller("event", "scoring.outbox_archive", f"{event['key']} {event['event_id']}", *by, "reference")
        yield from told.values(event, {"type": PolicyLoaded.TYPE, "headers": None})
        expected = wanted.get(event["key"].removeprefix(POLICY_KEY))
        if expected is None:
            yield told.difference("key", event["key"], ", ".join(wanted))
        else:
            yield from told.document(json_body(event), expected, "body")
    copied = {row["policy_version"]: row for row in reference.tables["notifier", "policies"]}
    published = {event["key"].removeprefix(POLICY_KEY) for event in reference.policy_events}
    for version in sorted({*copied, *published}):
        told = Teller("copy", "notifier.policies", version, *by, "reference")
        if version not in copied:
            yield told.missing()
        elif version not in wanted:
            yield told.surplus()
        else:
            row = dict(copied[version]) | {"clauses": json.loads(copied[version]["clauses"])}
            yield from told.document(row, wanted[version])


def _working_days(row: Any, reference: Reference) -> dict[str, Any]:
    """The body of the event about a loaded calendar."""
    days = in_order([day for day in reference.tables["scoring", "calendar_days"] if day["version"] == row["version"]],
                    "day")  # fmt: skip
    return {
        "calendar_version": row["version"], "version": row["revision"], "first_year": row["first_year"],
        "last_year": row["last_year"], "days_off": [str(day["day"]) for day in days if not day["work"]],
        "made_up": [str(day["day"]) for day in days if day["work"]],
    }  # fmt: skip


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    found = {}
    for read in shipped_calendars():
        file = read.file
        head = file.model_dump(include={"version", "revision", "zone", "source", "first_year", "last_year"})
        found[file.version] = {
            "head": head | {"sha256": read.sha256},
            "days": {entry.day: entry.model_dump() for entry in file.days},
            "years": {entry.year: entry.model_dump(mode="json") for entry in file.years},
        }
    return found


def policies(reference: Reference) -> Iterator[Difference]:
    """Compare every policy with its text, its checksum, and the file that ships."""
    shipped = _policies()
    loaded = {row["version"]: row for row in reference.tables["scoring", "policies"]}
    for version, row in loaded.items():
        told = Teller(
            "rules", "scoring.policies", version, "theo tệp đã nạp", "by the file that was loaded", "reference"
        )
        yield from told.values(row, {"sha256": hashlib.sha256(row["body"].encode()).hexdigest()})
        policy = reference.policies.get(version)
        if policy is None:
            yield told.difference("body", reference.unreadable.get(f"policy/{version}"), "một quy tắc / a policy")
        else:
            yield from told.values(row, {"version": policy.version, "effective_from": policy.effective_from})
        if version in shipped:
            about = Teller("rules", "scoring.policies", version, *_FILE, "reference")
            yield from about.values(row, {"sha256": shipped[version][0]})
            if row["body"] != shipped[version][1]:
                yield about.difference("body", row["body"], shipped[version][1])
    if not loaded:
        yield Teller("rules", "scoring.policies", "", *_FILE, "reference").missing()


def ladders(reference: Reference) -> Iterator[Difference]:
    """Compare every ladder with its text, its checksum, and the file that ships."""
    shipped = _ladders()
    for row in reference.tables["notifier", "ladders"]:
        label = f"{row['name']}/{row['version']}"
        told = Teller(
            "rules", "notifier.ladders", f"{row['name']} {row['version']}", "theo tệp đã nạp",
            "by the file that was loaded", "reference",
        )  # fmt: skip
        yield from told.values(row, {"sha256": hashlib.sha256(row["body"].encode()).hexdigest()})
        try:
            read = parse_ladder(label, row["body"].encode())
        except LadderError as error:
            yield told.difference("body", str(error)[:200], "một thang / a ladder")
            continue
        yield from told.values(row, {"name": read.ladder.name, "version": read.ladder.version})
        if label in shipped and shipped[label].body != row["body"]:
            yield Teller("rules", "notifier.ladders", label, *_FILE, "reference").difference("body", "…", "…")
    if not reference.tables["notifier", "ladders"]:
        yield Teller("rules", "notifier.ladders", "", *_FILE, "reference").missing()


def mailing(reference: Reference) -> Iterator[Difference]:
    """Compare every version of the mailing rules with its text, its checksum, and the file that ships."""
    shipped = shipped_rules()
    for row in reference.tables["notifier", "mailing_rules"]:
        told = Teller(
            "rules", "notifier.mailing_rules", str(row["version"]), "theo tệp đã nạp", "by the file that was loaded",
            "reference",
        )  # fmt: skip
        yield from told.values(row, {"sha256": hashlib.sha256(row["body"].encode()).hexdigest()})
        try:
            read = parse_rules("mailing", row["body"].encode())
        except LadderError as error:
            yield told.difference("body", str(error)[:200], "quy tắc gửi thư / mailing rules")
            continue
        yield from told.values(row, {"version": read.rules.version})
        if read.rules.version == shipped.rules.version and row["body"] != shipped.body:
            yield Teller("rules", told.where, told.key, *_FILE, "reference").difference("body", "…", "…")


def silences(reference: Reference) -> Iterator[Difference]:
    """Check that every silence is as it was made and ended: who, what, until when and why."""
    for row in reference.tables["notifier", "silences"]:
        if row["sha256"] is not None:
            told = Teller("rules", "notifier.silences", str(row["id"]), "tính lại", "derived again", "reference")
            yield from told.values(row, {"sha256": digest(dict(row))})


@cache
def _ladders() -> dict[str, ReadLadder]:
    return {read.ladder.label: read for read in shipped_ladders()}


@cache
def _policies() -> dict[str, tuple[str, str]]:
    return {read.policy.version: (read.sha256, read.body) for read in shipped_policies()}


def reliefs(reference: Reference) -> Iterator[Difference]:
    """Compare every relief with the decisions about it; check that it has reached its obligations."""
    decisions: dict[str, list[Any]] = {}
    for row in in_order(reference.tables["scoring", "relief_decisions"], "relief_id", "version"):
        decisions.setdefault(row["relief_id"], []).append(row)
    found = {row["relief_id"]: row for row in reference.tables["scoring", "reliefs"]}
    by = ("theo scoring.relief_decisions", "by scoring.relief_decisions")
    for relief_id in sorted({*found, *decisions}):
        told = Teller("rules", "scoring.reliefs", relief_id, *by, "reference")
        row, made = found.get(relief_id), decisions.get(relief_id, [])
        if row is None:
            yield told.missing()
            continue
        if not made:
            yield Teller("rules", "scoring.relief_decisions", relief_id, "theo scoring.reliefs",
                         subject="reference").missing()  # fmt: skip
            continue
        first, last = made[0], made[-1]
        decided = len(made) > 1
        expected = {
            "version": last["version"], "status": last["after"], "reason": first["reason"],
            "proposed_by": first["decided_by"], "proposed_at": first["decided_at"],
            "decided_by": last["decided_by"] if decided else None,
            "decided_at": last["decided_at"] if decided else None,
        }  # fmt: skip
        yield from told.values(row, expected)
        yield from _scope(row, reference)
        steps = Teller("rules", "scoring.relief_decisions", relief_id, "phải nối tiếp nhau", "one after the other",
                       "reference")  # fmt: skip
        chain = [(item["version"], item["before"]) for item in made]
        right = [(place, None if place == 1 else made[place - 2]["after"]) for place in range(1, len(made) + 1)]
        if chain != right:
            yield steps.difference("version, before", chain, right)
        if (row["applied_version"], row["applied_until"]) != (row["version"], ""):
            waits = Teller("unfinished", "scoring.reliefs", relief_id, "đến mọi nghĩa vụ", "at every obligation",
                           "reference")  # fmt: skip
            yield waits.difference(
                "applied_version", f"{row['applied_version']} {row['applied_until']}", row["version"]
            )


def _scope(row: Any, reference: Reference) -> Iterator[Difference]:
    """Check that the registry knows whom it covers: a relief for somebody unknown relieves nobody."""
    told = Teller("rules", "scoring.reliefs", row["relief_id"], "theo danh mục", "by the registry", "reference")
    agencies = [*row["agencies"], *(key.split("/", 1)[0] for key in row["obligations"])]
    regimes = [*row["regimes"], *(key.split("/")[1] for key in row["obligations"] if key.count("/") == 2)]
    odd = [key for key in row["obligations"] if key.count("/") != 2]
    if unknown := [code for code in agencies if code not in reference.agencies]:
        yield told.difference("agencies", ", ".join(unknown), "cơ quan đã đăng ký / registered agencies")
    if unknown := [code for code in regimes if code not in reference.regimes]:
        yield told.difference("regimes", ", ".join(unknown), "chế độ báo cáo đã công bố / published regimes")
    if odd:
        yield told.difference("obligations", ", ".join(odd), "agency/regime/period")


def progress(reference: Reference) -> Iterator[Difference]:
    """Name what generation and the relays have not finished, and what a sweep could not do."""
    generation = reference.generation
    if generation is None and reference.tables["scoring", "plans"]:
        gone = Teller("unfinished", "scoring.generation", "", "theo scoring.plans", "by scoring.plans", "reference")
        yield gone.missing()
    if generation is not None and reference.current is not None and reference.book is not None:
        told = Teller("unfinished", "scoring.generation", "", "theo lịch và quy tắc đã nạp",
                      "by the calendars and policies loaded", "reference")  # fmt: skip
        yield from told.values(
            generation, {"rules": f"{reference.current.version} {reference.book.digest}", "replan_from": None}
        )
    for row in reference.tables["scoring", "agencies"]:
        if not row["planned"]:
            told = Teller("unfinished", "scoring.agencies", row["code"], "đã lập kế hoạch", "planned", "reference")
            yield told.difference("planned", False, True)
    for row in reference.tables["scoring", "setbacks"]:
        told = Teller("unfinished", "scoring.setbacks", f"{row['sweep']} {row['subject']}", "không lỗi", "no error",
                      "reference")  # fmt: skip
        yield told.difference("error", row["error"], None)
    yield from _clusters(reference)


def _clusters(reference: Reference) -> Iterator[Difference]:
    """Check that all relays know one Kafka cluster, and that none is sending its archive again."""
    seen: dict[str, str] = {}
    for (service, table), rows in reference.tables.items():
        if table != "relay_state":
            continue
        for row in rows:
            told = Teller("unfinished", f"{service}.relay_state", row["name"], "như các dịch vụ khác",
                          "as the other services", "reference")  # fmt: skip
            if row["name"] == "cluster":
                seen[service] = row["value"]
            else:
                yield told.difference("value", row["value"], None)
    usual = max(sorted(set(seen.values())), key=list(seen.values()).count, default=None)
    for service in sorted({table[0] for table in reference.tables}):
        if usual is not None and seen.get(service) != usual:
            told = Teller("unfinished", f"{service}.relay_state", "cluster", "như các dịch vụ khác",
                          "as the other services", "reference")  # fmt: skip
            yield told.difference("value", seen.get(service), usual)

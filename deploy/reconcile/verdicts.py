"""Judges every stored report again by its form, and compares the verdict with its findings, its event and its copy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import asyncpg

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.receipts import envelope, json_body, reports
from deploy.reconcile.reference import Reference
from services.validator.domain import Judgement, after_figures, in_force, judge, under_waivers, with_finding
from services.validator.references import References, reference_of
from services.validator.rules.catalogue import ALL_ZERO, LIKE_ANOTHER, LIKE_LAST, RULES_NOT_CHECKED
from services.validator.rules.flaws import pointer
from services.validator.rules.forms import CompiledForm
from shared.contract.events import Finding, NotJudged, ReferenceTablePublished, VerdictReached
from shared.contract.reporting_window import local_day

FINDING = ("code", "tier", "severity", "path", "provided", "expected", "difference", "message", "message_en", "fix",
           "fix_en", "legal_basis", "weight", "explain", "waived")  # fmt: skip
#: columns that a verdict repeats from its submission
_REPEATED = ("submission_id", "obligation", "agency", "regime", "regime_version", "period", "version", "officer_id",
             "received_at", "nil")  # fmt: skip
_COUNTS = ("errors", "warnings", "waived", "outcome", "required_items", "present_items", "findings_truncated",
           "any_nonzero", "rule_pack")  # fmt: skip
_TOLD = (*_REPEATED, "verdict_id", "decided_at", "outcome", "errors", "warnings", "waived", "required_items",
         "present_items", "findings_truncated", "rule_pack")  # fmt: skip


#: columns that intake's copy has of a verdict
_COPIED = ("verdict_id", "outcome", "decided_at", "errors", "warnings", "findings_truncated", "agency")
_PUBLISHED = ("theo sự kiện đã phát", "by the event published")


def compare(dossier: Dossier, reference: Reference) -> Iterator[Difference]:
    """Compare verdicts with submissions and forms, and their events and intake's copies with them."""
    findings: dict[object, list[asyncpg.Record]] = {}
    for row in dossier.findings:
        findings.setdefault(row["verdict_id"], []).append(row)
    by_submission = {row["submission_id"]: row for row in dossier.verdicts}
    unable = {row["submission_id"]: row for row in dossier.not_judged}
    yield from _against_submissions(dossier, by_submission, unable)
    yield from _judged_again(dossier, by_submission, findings, reference)
    yield from _events(dossier, findings, reference)
    yield from _copies(dossier, by_submission, findings, unable)


def _against_submissions(
    dossier: Dossier, verdicts: Mapping[object, asyncpg.Record], unable: Mapping[object, asyncpg.Record]
) -> Iterator[Difference]:
    submissions = {row["submission_id"]: row for row in dossier.submissions}
    for submission_id, submission in submissions.items():
        verdict = verdicts.get(submission_id)
        key = f"{dossier.key}#{submission['version']}"
        told = Teller("verdict", "validator.verdict", key, "theo intake.submissions", "by intake.submissions")
        if submission_id in unable:
            yield from _not_judged(dossier, submission, unable[submission_id], verdict)
        elif verdict is None:
            yield told.missing()
        if verdict is not None:
            yield from told.values(verdict, {name: submission[name] for name in _REPEATED})
    for submission_id, row in unable.items():
        if submission_id not in submissions:
            key = f"{dossier.key}#{row['version']} {submission_id}"
            yield Teller(
                "receipt", "intake.submissions", key, "theo validator.not_judged", "by validator.not_judged"
            ).missing()  # fmt: skip
    for submission_id, verdict in verdicts.items():
        if submission_id not in submissions:
            key = f"{dossier.key}#{verdict['version']} {submission_id}"
            told = Teller("receipt", "intake.submissions", key, "theo validator.verdict", "by validator.verdict")
            yield told.missing()
    if not dossier.key:
        for row in dossier.findings:
            told = Teller("verdict", "validator.finding", str(row["verdict_id"]), "theo kết quả", "by its verdict")
            yield told.surplus()


def _not_judged(
    dossier: Dossier, submission: asyncpg.Record, row: asyncpg.Record, verdict: asyncpg.Record | None
) -> Iterator[Difference]:
    """A report that could not be judged: what is said of it, and that it was judged if it says so."""
    key = f"{dossier.key}#{submission['version']}"
    told = Teller("verdict", "validator.not_judged", key, "theo intake.submissions", "by intake.submissions")
    names = ("submission_id", "obligation", "version")
    yield from told.values(row, {name: submission[name] for name in names})
    said = json.loads(row["document"])
    expected: dict[str, Any] = {name: submission[name] for name in _REPEATED}
    yield from told.document({name: said.get(name) for name in expected}, expected, "document")
    yield from told.document({"verdict_id": said.get("verdict_id")}, {"verdict_id": row["verdict_id"]}, "document")
    if (row["judged_at"] is None) != (verdict is None):
        by = Teller("verdict", "validator.not_judged", key, "theo validator.verdict", "by validator.verdict")
        yield by.difference("judged_at", row["judged_at"], None if verdict is None else verdict["decided_at"])
    if row["report"] is not None and json.loads(row["report"]).get("sha256") != submission["sha256"].hex():
        yield told.difference("report", "khác / another", "bản đã nhận / the one received")
    if row["tries"] < (2 if row["judged_at"] is not None else 1):
        yield told.difference("tries", row["tries"], "≥ 1")
    if not row["parked_at"] <= row["tried_at"] <= (row["judged_at"] or row["tried_at"]):
        yield told.difference("tried_at", row["tried_at"], "parked_at ≤ tried_at ≤ judged_at")


def _judged_again(
    dossier: Dossier,
    verdicts: Mapping[object, asyncpg.Record],
    findings: Mapping[object, list[asyncpg.Record]],
    reference: Reference,
) -> Iterator[Difference]:
    said = reports(dossier)
    returned_for_zeros = False
    for submission in dossier.submissions:
        verdict, report = verdicts.get(submission["submission_id"]), said[submission["submission_id"]]
        if verdict is None or report is None:
            continue
        form = reference.form_of(submission["regime"], submission["regime_version"])
        if not isinstance(form, CompiledForm):
            continue
        listed = findings.get(verdict["verdict_id"], [])
        period = dossier.key.rpartition("/")[2]
        judgement = judge(
            form,
            report.figures,
            report.narratives,
            report.tables,
            nil=report.nil,
            period=period,
            references=_references(verdict, reference),
        )
        waivers = reference.waivers_of(submission["regime"])
        received_on = local_day(submission["received_at"])
        judgement = under_waivers(judgement, in_force(waivers, submission["agency"], received_on))
        judgement = _compared(judgement, listed, returned_for_zeros)
        judgement = _looked_back(judgement, form, listed)
        judgement = _resembling(judgement, listed)
        returned_for_zeros = returned_for_zeros or _zero_error(listed)
        key = f"{dossier.key}#{submission['version']}"
        told = Teller("verdict", "validator.verdict", key, "kiểm tra lại theo biểu mẫu", "judged again by the form")
        yield from told.values(verdict, {name: getattr(judgement, name) for name in _COUNTS})
        kept = judgement.kept_figures(report.figures)
        if verdict["figures"] is not None or judgement.looks_back is not None:
            # before all figures were kept, those of a form without rules that look back were not
            yield from told.document(
                None if verdict["figures"] is None else json.loads(verdict["figures"]), kept, "figures"
            )
        expected = [finding.model_dump(mode="json") for finding in judgement.findings]
        for row, finding in zip(listed, expected, strict=False):
            if row["weight"] is None:  # listed before it was kept
                finding["weight"] = None
        about = Teller("verdict", "validator.finding", key, "kiểm tra lại theo biểu mẫu", "judged again by the form")
        yield from about.document(_plain(listed), expected)
        if [row["position"] for row in listed] != list(range(len(listed))):
            yield about.difference("position", [row["position"] for row in listed], list(range(len(listed))))


def _references(verdict: asyncpg.Record, reference: Reference) -> References:
    """The reference tables that the verdict says it looked up."""
    versions = json.loads(verdict["looked_up"])
    keys = tuple(f"reference/{version}" for version in (versions if isinstance(versions, list) else ()))
    tables = [reference.records.get(key) for key in keys]
    return References(
        {
            table.code: reference_of(table.columns, table.rows)
            for table in tables
            if isinstance(table, ReferenceTablePublished)
        },
        keys,
    )


def _compared(judgement: Judgement, listed: list[asyncpg.Record], confirmed: bool) -> Judgement:
    """Add the comparison with the period before, if the verdict made one.

    The verdict says which period that was: it depends on what another obligation had accepted by then.
    """
    found = next((row for row in listed if row["code"] == ALL_ZERO.code), None)
    if judgement.any_nonzero is not False or found is None:
        return judgement
    for before in _periods_in(found["message"]):
        again = after_figures(judgement, before, confirmed=confirmed)
        if any(entry.code == ALL_ZERO.code and entry.message == found["message"] for entry in again.findings):
            return again
    return judgement


def _looked_back(judgement: Judgement, form: CompiledForm, listed: list[asyncpg.Record]) -> Judgement:
    """Add what rules that look back said, as it is listed: reports of other periods are not at hand here."""
    if form.pack is None or not form.pack.looks_back:
        return judgement
    later = {rule.rule.code for rule in form.pack.later}
    found = {(finding.code, finding.message) for finding in judgement.findings}
    for row in listed:
        if (row["code"], row["message"]) not in found and (
            row["code"] in later or row["code"] == RULES_NOT_CHECKED.code
        ):
            judgement = with_finding(judgement, _found(row))
    return replace(judgement, looks_back=form.pack)


def _resembling(judgement: Judgement, listed: list[asyncpg.Record]) -> Judgement:
    """Add what was said of near-copies, as it is listed, where the section is one that is compared."""
    paths = {pointer("narratives", section.code) for section in judgement.sections}
    for row in listed:
        if row["code"] in (LIKE_LAST.code, LIKE_ANOTHER.code) and row["path"] in paths:
            judgement = with_finding(judgement, _found(row))
    return judgement


def _found(row: asyncpg.Record) -> Finding:
    """The listed finding as it was before any waiver."""
    (values,) = _plain([row])
    if (waived := values["waived"]) is not None:
        severity = "error" if waived["weight"] == "error" else "warning"
        values |= {"severity": severity, "weight": waived["weight"], "waived": None}
    return Finding.model_construct(**values)


def _periods_in(message: str) -> list[str]:
    return [word.strip(".,;:()“”\"'") for word in message.split() if any(letter.isdigit() for letter in word)]


def _zero_error(listed: list[asyncpg.Record]) -> bool:
    return any(row["code"] == ALL_ZERO.code and row["severity"] == "error" for row in listed)


def _events(
    dossier: Dossier, findings: Mapping[object, list[asyncpg.Record]], reference: Reference
) -> Iterator[Difference]:
    told_of: dict[str, asyncpg.Record] = {}
    by = ("theo validator.verdict", "by validator.verdict")
    for event in dossier.reached:
        body = json_body(event)
        name = str(body.get("verdict_id")) if isinstance(body, dict) else ""
        if name in told_of:
            yield Teller("event", "validator.outbox_archive", f"{dossier.key} {event['event_id']}", *by).surplus()
        told_of[name] = event
    for row in dossier.verdicts:
        key = f"{dossier.key}#{row['version']}"
        event = told_of.pop(str(row["verdict_id"]), None)
        if event is None:
            if reference.archived("validator", row["verdict_id"]):
                yield Teller("event", "validator.outbox_archive", key, *by).missing()
            continue
        told = Teller("event", "validator.outbox_archive", f"{key} {event['event_id']}", *by)
        expected: dict[str, Any] = {name: row[name] for name in _TOLD}
        expected |= {"revision": row["revision"], "findings": _plain(findings.get(row["verdict_id"], []))}
        expected["compared_with"] = json.loads(row["compared_with"]) or None
        expected["looked_up"] = json.loads(row["looked_up"]) or None
        body = json_body(event)
        yield from envelope(event, VerdictReached.TYPE, told)
        # the first verdict on a submission carries the default revision; older ones know of no waivers
        yield from told.document(
            {"revision": 1, "waived": 0} | body if isinstance(body, dict) else body, expected, "body"
        )
    yield from _earlier(dossier, told_of, reference)
    for row in dossier.not_judged:
        event = told_of.pop(str(row["verdict_id"]), None)
        key = f"{dossier.key}#{row['version']}"
        told = Teller("event", "validator.outbox_archive", key, "theo validator.not_judged", "by validator.not_judged")
        if event is not None:
            yield from envelope(event, NotJudged.TYPE, told)
            body = json_body(event)
            yield from told.document(body if isinstance(body, dict) else {}, json.loads(row["document"]), "body")
        elif reference.archived("validator", row["verdict_id"]):
            yield told.missing()
    for name, event in told_of.items():
        key = f"{dossier.key} {name or event['event_id']}"
        yield Teller("verdict", "validator.verdict", key, "theo sự kiện đã phát", "by the event published").missing()


def _earlier(dossier: Dossier, told_of: dict[str, asyncpg.Record], reference: Reference) -> Iterator[Difference]:
    """Verdicts that are in force no more, with their events, which are taken from `told_of`; and that none is left out.

    What rules about other reports said of a report before is no more derived: it hung on what had come by then.
    """
    newest = {row["submission_id"]: row for row in dossier.verdicts}
    first = {row["submission_id"]: 2 for row in dossier.not_judged}  # that it could not be judged was the first
    numbers: dict[object, list[int]] = {}
    for row in dossier.earlier_verdicts:
        numbers.setdefault(row["submission_id"], []).append(row["revision"])
        key = f"{dossier.key} {row['submission_id']} {row['revision']}"
        told = Teller("verdict", "validator.earlier_verdict", key, *_PUBLISHED)
        document = json.loads(row["document"])
        said = document if isinstance(document, dict) else {}
        names = ("verdict_id", "submission_id", "obligation")
        yield from told.document({name: str(row[name]) for name in names}, {name: said.get(name) for name in names})
        yield from told.values(row, {"revision": said.get("revision", 1)})
        event = told_of.pop(str(row["verdict_id"]), None)
        if event is None:
            if reference.archived("validator", row["verdict_id"]):
                sent = Teller("event", "validator.outbox_archive", key, "theo validator.earlier_verdict",
                              "by validator.earlier_verdict")  # fmt: skip
                yield sent.missing()
            continue
        body = json_body(event)
        known = {"revision": 1, "waived": 0}
        yield from told.document(known | said, known | body if isinstance(body, dict) else body, "document")
    for submission_id in sorted({*numbers, *newest}, key=str):
        verdict = newest.get(submission_id)
        wanted = [] if verdict is None else list(range(first.get(submission_id, 1), verdict["revision"]))
        if numbers.get(submission_id, []) != wanted:
            about = Teller("verdict", "validator.verdict", f"{dossier.key} {submission_id}", *_PUBLISHED)
            yield about.difference("revision", numbers.get(submission_id, []), wanted)


def _copies(
    dossier: Dossier,
    verdicts: Mapping[object, asyncpg.Record],
    findings: Mapping[object, list[asyncpg.Record]],
    unable: Mapping[object, asyncpg.Record],
) -> Iterator[Difference]:
    copies = {row["submission_id"]: row for row in dossier.intake_verdicts}
    for submission_id in sorted({*copies, *verdicts, *unable}):
        copy, verdict = copies.get(submission_id), verdicts.get(submission_id)
        key = f"{dossier.key} {submission_id}"
        told = Teller("copy", "intake.verdicts", key, "theo validator.verdict", "by validator.verdict")
        if copy is None:
            yield told.missing()
        elif verdict is None and submission_id in unable:
            said = json.loads(unable[submission_id]["document"])
            shown = {"errors": 0, "warnings": 0, "findings_truncated": False, "outcome": "not_judged"} | said
            yield from told.values(copy, {name: shown[name] for name in _COPIED})
            yield from told.document(json.loads(copy["findings"]), shown["findings"], "findings")
        elif verdict is None:
            yield told.surplus()
        else:
            yield from told.values(copy, {name: verdict[name] for name in _COPIED})
            said = _plain(findings.get(verdict["verdict_id"], []))
            yield from told.document(json.loads(copy["findings"]), said, "findings")


def _plain(rows: list[asyncpg.Record]) -> list[dict[str, Any]]:
    return [
        {name: row[name] for name in FINDING} | {"waived": None if row["waived"] is None else json.loads(row["waived"])}
        for row in rows
    ]

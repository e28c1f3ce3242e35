"""POST /v1/submissions: a thin raw handler, because this is where all agencies meet at the deadline.

A 201 or 200 leaves only after the commit; every other answer says whether something is stored, or how to find out.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import replace
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from services.intake import metrics, problems
from services.intake.access.callers import Access
from services.intake.registry.cache import RegistryCache
from services.intake.submissions import admission, handlers, store
from services.intake.submissions.admission import Admitted, Closed, Named, Refused, Windows
from services.intake.submissions.availability import Availability
from services.intake.submissions.domain import (
    Defect,
    KeyReused,
    Locked,
    NilAfterFigures,
    Outdated,
    Pending,
    Receipt,
    Replayed,
    Stored,
    SubmissionOutcome,
    TooManyVersions,
    Unchanged,
    Unknown,
)
from services.intake.submissions.group_commit import GroupCommit, QueueFull
from shared.contract.events import obligation_key
from shared.contract.ids import new_id
from shared.postgres.database import Database
from shared.reports.limits import MAX_BODY_BYTES
from shared.reports.problems import invalid, unreadable
from shared.reports.report_parser import Report, Unreadable, read_report
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.telemetry import tracing
from shared.web.allowance import Meter
from shared.web.app import read_body
from shared.web.arrival import arrival_of
from shared.web.errors import FieldError, Problem, internal, unprocessable
from shared.web.idempotency import KEY_MISSING, is_idempotency_key
from shared.web.media import must_be_json
from shared.web.problems import problem_for

_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_REPLAYED = (b"idempotent-replayed", b"true")
#: whether a sender without a right, or with too many requests, is answered tells nothing of whether we can store
_SAYS_NOTHING = (401, 403, 408, 429)
#: windows of regime and period, remembered until the registry changes
_MAX_REMEMBERED = 20_000
#: a body over this may take a millisecond or more of the loop
_LARGE_BYTES = 32_768
#: a registry that changes again and again while a report comes in is waited for so often
MAX_READMISSIONS = 5

_stored = metrics.SUBMISSIONS_TOTAL.labels("stored")


class SubmitEndpoint:
    """The ASGI application of the one hot route."""

    def __init__(
        self,
        access: Access,
        cache: RegistryCache,
        commits: GroupCommit,
        business_clock: Clock,
        database: Database,
        body_timeout_seconds: float,
        availability: Availability | None = None,
    ) -> None:
        self._access = access
        self._cache = cache
        self._commits = commits
        self._clock = business_clock
        self._database = database
        self._body_timeout_seconds = body_timeout_seconds
        self._availability = availability or Availability(business_clock, 1)
        self._in_flight: set[tuple[str, str]] = set()
        self._windows: Windows = {}
        self._windows_of = -1
        self._large = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One submission. Raises Problem for everything that is not a receipt."""
        if scope["query_string"] and is_dry_run(scope["query_string"]):
            await self._look(scope, receive, send)
            return
        try:
            await self._submit(scope, receive, send)
        except ClientDisconnect:
            raise  # nobody is there to be answered
        except Exception as error:
            status = problem_for(error).status
            if status >= 500:
                self._availability.refused()
            elif status not in _SAYS_NOTHING:
                self._availability.answered()
            raise
        self._availability.answered()

    async def _submit(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrival = arrival_of(scope, self._clock, self._body_timeout_seconds)
        principal = await self._access.principal_of(scope)
        agency = self._access.sends_for(principal)
        key = _idempotency_key(scope)
        body = await read_body(receive, MAX_BODY_BYTES)
        meter = Meter.of(scope)
        if meter is not None:
            meter.body_bytes = len(body)
        received_at = arrival.moment(self._clock)
        sha256 = hashlib.sha256(body).digest()
        report = await self._read(body)
        if isinstance(report, Unreadable):
            # no such body was ever stored: there is no receipt to look for
            raise await self._refusal_of(report, agency, received_at)
        self._access.must_send(principal, agency, report.regime)
        try:
            regime_version, revision = await self._admit(report, agency, received_at)
        except Problem:
            # a repetition gets its receipt whatever has changed since: an officer who left, a closed agency
            replayed = await self._replayed(agency, key)
            if replayed is None or replayed.receipt.sha256 != sha256:
                raise
            await _answer(replayed, send)
            return
        pending = _pending(report, agency, key, body, sha256, received_at, regime_version, revision)
        outcome = await self._store(pending)
        for _ in range(MAX_READMISSIONS):
            if not isinstance(outcome, Outdated):
                break
            await self._cache.refresh()
            regime_version, revision = await self._admit(report, agency, received_at)
            pending = replace(pending, regime_version=regime_version, registry_revision=revision)
            outcome = await self._store(pending)
        await _answer(outcome, send)

    async def _look(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A dry run: whether the report would be stored now. Raises the problem by which it would be refused.

        Nothing is stored, no receipt is given, and the Idempotency-Key, if any, is not used.
        """
        arrival = arrival_of(scope, self._clock, self._body_timeout_seconds)
        principal = await self._access.principal_of(scope)
        agency = self._access.sends_for(principal)
        must_be_json(scope["headers"])
        body = await read_body(receive, MAX_BODY_BYTES)
        meter = Meter.of(scope)
        if meter is not None:
            meter.body_bytes = len(body)
        received_at = arrival.moment(self._clock)
        report = await self._read(body)
        if isinstance(report, Unreadable):
            raise await self._refusal_of(report, agency, received_at)
        self._access.must_send(principal, agency, report.regime)
        outcome: SubmissionOutcome = Outdated()
        for attempt in range(MAX_READMISSIONS + 1):
            if attempt:
                await self._cache.refresh()
            regime_version, revision = await self._admit(report, agency, received_at)
            pending = _pending(report, agency, "", body, b"", received_at, regime_version, revision)
            async with self._database.read_transaction() as tx:
                outcome = await handlers.look(tx, pending)
            if not isinstance(outcome, Outdated):
                break
        if not isinstance(outcome, Stored):
            raise _refused(outcome)
        metrics.SUBMISSIONS_TOTAL.labels("dry_run").inc()
        await _send_json(send, 200, dry_run_document(outcome, regime_version))

    async def _read(self, body: bytes) -> Report | Unreadable:
        if len(body) <= _LARGE_BYTES:
            return read_report(body)
        # large ones have their turn one by one: between two of them every neighbour has a turn of the loop
        async with self._large:
            return read_report(body)

    async def _replayed(self, agency: str, key: str) -> Replayed | None:
        async with self._database.read_transaction() as tx:
            return await store.replayed(tx, agency, key)

    async def _store(self, pending: Pending) -> SubmissionOutcome:
        if pending.idempotency in self._in_flight:
            metrics.SUBMISSIONS_TOTAL.labels("in_flight").inc()
            raise problems.in_progress()
        try:
            answer = self._commits.offer(pending)
        except QueueFull:
            metrics.SUBMISSIONS_TOTAL.labels("full").inc()
            raise problems.queue_full() from None
        self._in_flight.add(pending.idempotency)
        answer.add_done_callback(lambda _: self._in_flight.discard(pending.idempotency))
        # a client that goes away cancels its own answer, never the commit that its neighbours share
        return await answer

    async def _admit(self, report: Report, agency: str, now: datetime) -> tuple[int, int]:
        """The governing version of the regime, and the revision of the registry that says so.

        Raises the problem that says why the report is refused.
        """
        await self._cache.be_fresh()
        revision = self._cache.revision
        judged = self._judge(report, agency, now)
        if not isinstance(judged, Admitted):
            # refused only by what the database holds now
            await self._cache.refresh()
            revision = self._cache.revision
            judged = self._judge(report, agency, now)
        match judged:
            case Admitted(regime_version):
                return regime_version, revision
            case Closed():
                raise problems.closed(judged)
            case Refused(errors):
                raise invalid(errors)

    async def _refusal_of(self, found: Unreadable, agency: str, now: datetime) -> Problem:
        """All that is wrong with a body that is no report: its form, and its envelope as far as it can be read."""
        if found.malformed:
            return unreadable(found.errors)
        await self._cache.be_fresh()
        judged = self._judge(found, agency, now)
        if isinstance(judged, Refused) and judged.errors:
            await self._cache.refresh()
            judged = self._judge(found, agency, now)
        match judged:
            case Refused(errors):
                return invalid([*errors, *found.errors], truncated=found.truncated)
            case Closed():
                return invalid([judged.error, *found.errors], truncated=found.truncated)
            case Admitted():
                return invalid(found.errors, truncated=found.truncated)

    def _judge(self, report: Named, agency: str, now: datetime) -> Admitted | Closed | Refused:
        if self._windows_of != self._cache.revision or len(self._windows) > _MAX_REMEMBERED:
            self._windows, self._windows_of = {}, self._cache.revision
        return admission.check(report, agency, self._cache.registry, now, self._windows)


def is_dry_run(query: bytes) -> bool:
    """Whether `?dry_run=` says so. Raises 422 for what is neither true nor false."""
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name == "dry_run":
            if value.lower() not in ("true", "false"):
                raise unprocessable([_DRY_RUN])
            return value.lower() == "true"
    return False


_DRY_RUN = FieldError(
    "/dry_run",
    "Phải là true hoặc false.",
    "It must be true or false.",
    "Ghi dry_run=true để kiểm tra thử, hoặc bỏ tham số này để gửi.",
    "Write dry_run=true to try the report, or leave it out to send it.",
    "query",
)


def _pending(
    report: Report,
    agency: str,
    key: str,
    body: bytes,
    sha256: bytes,
    received_at: datetime,
    regime_version: int,
    revision: int,
) -> Pending:
    return Pending(
        submission_id=new_id(),
        obligation=obligation_key(agency, report.regime, report.period),
        agency=agency,
        regime=report.regime,
        regime_version=regime_version,
        period=report.period,
        officer_id=report.officer,
        received_at=received_at,
        registry_revision=revision,
        idempotency_key=key,
        sha256=sha256,
        content_sha256=report.content_sha256(),
        body=body,
        nil=report.nil,
        nil_reason=report.nil_reason,
        declines=report.declines,
        refer_to=report.refer_to,
        figures=report.figures,
        narratives=report.narratives,
        tables=report.tables or None,
        traceparent=tracing.traceparent(),
    )


def _idempotency_key(scope: Scope) -> str:
    """The Idempotency-Key. Raises 400 without a good one, 415 for anything but plain JSON."""
    must_be_json(scope["headers"])
    keys: list[bytes] = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if len(keys) != 1 or not is_idempotency_key(keys[0]):
        raise Problem.of(KEY_MISSING)
    return keys[0].decode("ascii")


def receipt_document(receipt: Receipt, deadline: datetime | None) -> dict[str, Any]:
    """The answer's JSON members; of a repetition the same, with the deadline as it is by then."""
    return {
        "submission_id": str(receipt.submission_id),
        "obligation": receipt.obligation,
        "version": receipt.version,
        "received_at": _local(receipt.received_at),
        "deadline": None if deadline is None else _local(deadline),
        "sha256": receipt.sha256.hex(),
        "status": "received",
    }


def dry_run_document(outcome: Stored, regime_version: int) -> dict[str, Any]:
    """What would be stored, and where the same body's content is tried."""
    return {
        "dry_run": True,
        "obligation": outcome.receipt.obligation,
        "version": outcome.receipt.version,
        "received_at": _local(outcome.receipt.received_at),
        "deadline": None if outcome.deadline is None else _local(outcome.deadline),
        "regime_version": regime_version,
        "validation": f"/v1/validations?regime_version={regime_version}",
    }


def _local(moment: datetime) -> str:
    return moment.astimezone(LOCAL_ZONE).isoformat()


async def _answer(outcome: SubmissionOutcome, send: Send) -> None:
    match outcome:
        case Stored(receipt, deadline):
            _stored.inc()
            await _send_receipt(send, 201, receipt_document(receipt, deadline))
        case Replayed(receipt, deadline):
            metrics.SUBMISSIONS_TOTAL.labels("replayed").inc()
            await _send_receipt(send, 200, receipt_document(receipt, deadline), _REPLAYED)
        case _:
            metrics.SUBMISSIONS_TOTAL.labels(_RESULTS[type(outcome)]).inc()
            raise _refused(outcome)


#: what is counted of each outcome that is no receipt
_RESULTS: dict[type, str] = {
    KeyReused: "key_reused",
    Unchanged: "unchanged",
    NilAfterFigures: "nil_after_figures",
    TooManyVersions: "too_many_versions",
    Locked: "locked",
    Outdated: "outdated",
    Unknown: "unknown",
    Defect: "defect",
}


def _refused(outcome: SubmissionOutcome) -> Problem:
    """The problem that says why nothing is stored."""
    match outcome:
        case KeyReused(receipt):
            return problems.key_reused(receipt)
        case Unchanged(receipt):
            return problems.unchanged(receipt)
        case NilAfterFigures(receipt):
            return problems.nil_after_figures(receipt)
        case TooManyVersions(obligation):
            return problems.too_many_versions(obligation)
        case Locked():
            return problems.locked(outcome)
        case Outdated():
            return problems.registry_changing()
        case Unknown():
            return problems.outcome_unknown()
        case _:
            return internal()


async def _send_receipt(send: Send, status: int, document: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    location = (b"location", b"/v1/submissions/" + document["submission_id"].encode())
    await _send_json(send, status, document, location, *headers)


async def _send_json(send: Send, status: int, document: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    body = msgspec.json.encode(document)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [_JSON, _NO_STORE, (b"content-length", str(len(body)).encode()), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})

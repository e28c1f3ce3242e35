"""An agency's own software: it posts with retries under one idempotency key and keeps every receipt.

A receipt is the agency's proof: each one must be in the store at the end.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import httpx

from deploy.demo.people import Duty, Prospect
from deploy.demo.reports import Report
from shared.runtime.clock import monotonic_seconds
from shared.runtime.retry import Backoff

#: how long an agency keeps trying
PATIENCE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 2.0
VERDICT_PATIENCE_SECONDS = 60.0
_RETRIED = frozenset({409, 429, 500, 502, 503, 504})


class GaveUp(Exception):
    """No usable answer within the agency's patience."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A 2xx answer of intake."""

    submission_id: str
    obligation: str
    version: int


@dataclass(slots=True)
class Ledger:
    """All answers to all agencies: the demo's only record of its own, compared with the stores at the end."""

    receipts: dict[str, Receipt] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)  # problem type -> how often
    gave_up: list[str] = field(default_factory=list)  # obligations
    prospects: dict[str, Prospect] = field(default_factory=dict)  # of duties due in the quarter, by obligation
    retries: int = 0
    requests: int = 0


class Concurrency:
    """Limits the requests in flight of all agencies together, so that reports do not queue behind reads."""

    def __init__(self, posts: int = 24, reads: int = 16) -> None:
        self.most = posts + reads
        self._posts = asyncio.Semaphore(posts)
        self._reads = asyncio.Semaphore(reads)

    def of(self, method: str) -> asyncio.Semaphore:
        return self._posts if method == "POST" else self._reads


class Portal:
    """The public interface of intake with one agency's key."""

    def __init__(self, http: httpx.AsyncClient, key: str, concurrency: Concurrency, ledger: Ledger) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}
        self._concurrency = concurrency
        self._ledger = ledger

    async def duties(self) -> list[Duty]:
        """The obligations for which the agency has sent nothing, from the public API. Raises GaveUp."""
        found: list[Duty] = []
        after: str | None = None
        while True:
            query = {"limit": "1000", "standing": "nothing_sent"} | ({"after": after} if after else {})
            answer = await self._call("GET", "/v1/obligations", params=query)
            if answer.status_code != 200:
                raise GaveUp(f"GET /v1/obligations: {answer.status_code} {answer.text[:300]}")
            page = answer.json()
            found += [_duty(item) for item in page["items"]]
            after = page["next"]
            if after is None:
                return found

    async def submit(self, duty: Duty, officer: str, report: Report) -> Receipt | None:
        """Post one version; None if it is refused, which is counted. Raises GaveUp."""
        body = {"regime": duty.regime, "period": duty.period, "officer": officer, "nil": report.nil}
        if report.nil:
            body["nil_reason"] = "Trong kỳ không phát sinh việc nào."
        else:
            body |= {"figures": dict(report.figures), "narratives": dict(report.narratives)}
            if report.tables:
                body["tables"] = dict(report.tables)
        answer = await self._call(
            "POST",
            "/v1/submissions",
            content=json.dumps(body, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": str(uuid4())},
        )
        if answer.is_success:
            document = answer.json()
            receipt = Receipt(document["submission_id"], document["obligation"], document["version"])
            self._ledger.receipts[receipt.submission_id] = receipt
            return receipt
        self._ledger.refusals[f"{answer.status_code} {_problem(answer)}"] += 1
        return None

    async def verdict(self, submission_id: str) -> dict[str, Any]:
        """Wait for the submission's verdict and return the submission. Raises GaveUp."""
        give_up_at = monotonic_seconds() + VERDICT_PATIENCE_SECONDS
        pauses = Backoff(0.2, LONGEST_PAUSE_SECONDS)
        while monotonic_seconds() < give_up_at:
            answer = await self._call("GET", f"/v1/submissions/{submission_id}")
            document = answer.json()
            if answer.status_code == 200 and document["status"] != "received":
                return dict(document)
            await asyncio.sleep(pauses.next_seconds())
        raise GaveUp(f"no verdict on {submission_id}")

    async def certify(self, submission_id: str) -> None:
        """Sign a report as the head. Raises GaveUp."""
        await self._step(f"/v1/submissions/{submission_id}/certification", {})

    async def ask_for_time(self, regime: str, period: str, until: datetime, reason: str) -> None:
        """Ask for an extension. Raises GaveUp."""
        said = {"reason": reason, "until": until.isoformat()}
        await self._step(f"/v1/obligations/{regime}/{period}/extensions", said)

    async def explain_lateness(self, regime: str, period: str, cause: str, remedy: str) -> None:
        """Say why a report is late, and what is done about it. Raises GaveUp."""
        await self._step(f"/v1/obligations/{regime}/{period}/lateness", {"reason": cause, "remedy": remedy})

    async def waiting(self, kind: str, limit: int) -> list[dict[str, Any]]:
        """What waits for this person, the oldest first. Raises GaveUp."""
        answer = await self._call("GET", "/v1/reviews/open", params={"kind": kind, "limit": str(limit)})
        if answer.status_code != 200:
            raise GaveUp(f"GET /v1/reviews/open: {answer.status_code} {answer.text[:300]}")
        return list(answer.json()["items"])

    async def decide(self, item: Mapping[str, Any], decision: str, reason: str = "") -> None:
        """Decide what waits, at the route that the list names. Raises GaveUp."""
        await self._step(str(item["route"]).removeprefix("POST "), {"decision": decision, "reason": reason})

    async def _step(self, path: str, said: Mapping[str, Any]) -> None:
        answer = await self._call(
            "POST",
            path,
            content=json.dumps(said, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": str(uuid4())},
        )
        if not answer.is_success:
            self._ledger.refusals[f"{answer.status_code} {_problem(answer)}"] += 1

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Make one call, with retries under the same idempotency key while the service is in trouble."""
        give_up_at = monotonic_seconds() + PATIENCE_SECONDS
        backoff = Backoff(0.1, LONGEST_PAUSE_SECONDS, spread=0.5)
        headers = {**self._headers, **request.pop("headers", {})}
        while True:
            said, asked_seconds = "", None
            try:
                async with self._concurrency.of(method):
                    self._ledger.requests += 1
                    answer = await self._http.request(method, path, headers=headers, **request)
                if answer.status_code not in _RETRIED or not _may_pass(answer):
                    return answer
                said = f"HTTP {answer.status_code}"
                asked_seconds = _asked_pause(answer.headers)
            except httpx.TransportError as error:
                said = repr(error)
            self._ledger.retries += 1
            pause_seconds = asked_seconds or backoff.next_seconds()
            if monotonic_seconds() + pause_seconds > give_up_at:
                raise GaveUp(f"{method} {path}: {said}")
            await asyncio.sleep(pause_seconds)


def _duty(item: Mapping[str, Any]) -> Duty:
    closed = item.get("cutoff_to")
    return Duty(
        obligation=item["obligation"],
        regime=item["regime"],
        period=item["period"],
        deadline=datetime.fromisoformat(item["deadline"]),
        figures_closed_on=date.fromisoformat(closed) if closed else None,
    )


def _problem(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("type", "")).rsplit("/", 1)[-1]
    except ValueError:
        return "?"


def _may_pass(answer: httpx.Response) -> bool:
    """Whether to try again: a 409 only if the first request with this key is still in progress."""
    return answer.status_code != 409 or "retry-after" in answer.headers


def _asked_pause(headers: httpx.Headers) -> float | None:
    text = headers.get("retry-after", "")
    return min(float(text), 10.0) if text.isdigit() else None

"""Intake by hand: raw ASGI, one statement and one commit per group of requests; answers follow the commit."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import ConsumerRecord

from tests.programs.bench.floor.base import Process, event_id, event_type, new_id, pool, province

TABLES = """
CREATE TABLE obligations (obligation text PRIMARY KEY, last_version int NOT NULL);
CREATE TABLE submissions (
    submission_id uuid PRIMARY KEY, obligation text NOT NULL, version int NOT NULL, agency text NOT NULL,
    period text NOT NULL, officer_id text NOT NULL, received_at timestamptz NOT NULL, idempotency_key text NOT NULL,
    sha256 bytea NOT NULL, body bytea NOT NULL, UNIQUE (obligation, version), UNIQUE (agency, idempotency_key));
CREATE INDEX submissions_of_agency ON submissions (agency, submission_id);
CREATE TABLE verdicts (submission_id uuid PRIMARY KEY, outcome text NOT NULL, decided_at timestamptz NOT NULL);
CREATE TABLE standings (obligation text PRIMARY KEY, version int NOT NULL, standing text NOT NULL,
    document json NOT NULL);
"""
_STORE = """
WITH asked AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
                         $8::bytea[], $9::bytea[], $10::uuid[], $11::bytea[])
        AS a (submission_id, obligation, agency, period, officer_id, received_at, idempotency_key, sha256, body,
              event_id, tail)
), fresh AS (
    SELECT * FROM asked AS a WHERE NOT EXISTS (
        SELECT FROM submissions AS s WHERE s.agency = a.agency AND s.idempotency_key = a.idempotency_key)
), versions AS (
    INSERT INTO obligations AS o (obligation, last_version) SELECT obligation, 1 FROM fresh ORDER BY obligation
    ON CONFLICT (obligation) DO UPDATE SET last_version = o.last_version + 1 RETURNING obligation, last_version
), stored AS (
    INSERT INTO submissions (submission_id, obligation, version, agency, period, officer_id, received_at,
                             idempotency_key, sha256, body)
    SELECT submission_id, obligation, last_version, agency, period, officer_id, received_at, idempotency_key, sha256,
           body FROM fresh JOIN versions USING (obligation)
), told AS (
    INSERT INTO outbox (event_id, topic, key, type, body)
    SELECT event_id, 'submissions', obligation, 'vn.thongsuot.submission.received.v1',
           convert_to('{"version":' || last_version || ',', 'UTF8') || tail
      FROM fresh JOIN versions USING (obligation)
)
SELECT submission_id, last_version FROM fresh JOIN versions USING (obligation)
"""
_KNOWN = "SELECT submission_id, version, sha256 FROM submissions WHERE agency = $1 AND idempotency_key = $2"
_FOLLOW = """
WITH claim AS (
    INSERT INTO inbox (consumer, event_id) SELECT 'follow', id FROM unnest($1::uuid[]) AS id ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
), v AS (
    INSERT INTO verdicts SELECT submission_id, outcome, decided_at
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[])
           AS v (event_id, submission_id, outcome, decided_at) JOIN claim USING (event_id)
    ON CONFLICT DO NOTHING
), s AS (
    INSERT INTO standings SELECT DISTINCT ON (obligation) obligation, version, standing, document
      FROM unnest($6::uuid[], $7::text[], $8::int[], $9::text[], $10::json[])
           AS s (event_id, obligation, version, standing, document) JOIN claim USING (event_id)
     ORDER BY obligation, version DESC
    ON CONFLICT (obligation) DO UPDATE SET version = excluded.version, standing = excluded.standing,
        document = excluded.document
     WHERE standings.version < excluded.version
)
SELECT count(*) FROM claim
"""


class Body(msgspec.Struct, forbid_unknown_fields=True):
    regime: str
    period: str
    officer: str
    figures: msgspec.Raw
    narratives: msgspec.Raw


class Followed(msgspec.Struct):
    obligation: str
    version: int = 0
    submission_id: UUID | None = None
    outcome: str = ""
    decided_at: datetime | None = None
    standing: str = ""


_body = msgspec.json.Decoder(Body)
_followed = msgspec.json.Decoder(Followed)


class Intake(Process):
    """The process."""

    def __init__(self) -> None:
        super().__init__("intake")
        registry = province()
        self.keys = {row["key"].split("_")[1]: (row["agency"], _sha(row["key"])) for row in registry["agencies"]}
        self.officers = {row["officer"]: row["agency"] for row in registry["agencies"]}
        self.regime, self.periods = registry["regime"], set(registry["periods"])
        self.queue: deque[tuple[tuple[Any, ...], asyncio.Future[Any]]] = deque()
        self.arrived = asyncio.Event()

    async def begin(self) -> None:
        self.pool = await pool(self.url, 6)
        for _ in range(2):
            self.start(self.lane)
        self.start(self.relay)
        self.consume("follow", ("verdicts", "compliance"), self.follow)

    async def lane(self) -> None:
        async with self.pool.acquire() as connection:
            while True:
                while not self.queue:
                    self.arrived.clear()
                    await self.arrived.wait()
                await asyncio.sleep(
                    0
                )  # requests that came with the first; the next group gathers during the other lane's commit
                rows: list[tuple[Any, ...]] = []
                futures: list[asyncio.Future[Any]] = []
                seen: set[Any] = set()
                later: list[tuple[tuple[Any, ...], asyncio.Future[Any]]] = []
                while self.queue and len(rows) < 100:
                    row, future = self.queue.popleft()
                    if row[1] in seen or (row[2], row[6]) in seen:
                        later.append((row, future))  # the same obligation or key twice: the next group
                        continue
                    seen |= {row[1], (row[2], row[6])}
                    rows.append(row)
                    futures.append(future)
                self.queue.extendleft(reversed(later))
                if rows:
                    await self.store(connection, rows, futures)

    async def store(self, connection: Any, rows: list[tuple[Any, ...]], futures: list[asyncio.Future[Any]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        while True:
            try:
                stored = dict(await connection.fetch(_STORE, *columns))
                break
            except asyncpg.UniqueViolationError:
                continue  # the other lane stored one of the keys first: now it is visible
        for row, future in zip(rows, futures, strict=True):
            version = stored.get(row[0])
            if version is not None:
                future.set_result((201, row[0], version, row[7]))
                continue
            known = await connection.fetchrow(_KNOWN, row[2], row[6])
            status = 200 if known["sha256"] == row[7] else 422
            future.set_result((status, known["submission_id"], known["version"], known["sha256"]))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await self.begin()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["path"] != "/v1/submissions":
            await self.answer(scope, send)
        else:
            status, document = await self.submit(scope, receive)
            content = msgspec.json.encode(document)
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})

    async def submit(self, scope: Any, receive: Any) -> tuple[int, Any]:
        token = key = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                token = value[7:]
            elif name == b"idempotency-key":
                key = value
        presented = token.decode("latin-1")
        agency, expected = self.keys.get(presented[4:20], ("", b""))
        if not expected or _sha(presented) != expected:
            return 401, {"title": "unauthorized"}
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > 262144:
                return 413, {"title": "too large"}
            if not message.get("more_body"):
                break
        try:
            read = _body.decode(body)
        except msgspec.MsgspecError as error:
            return 400, {"title": str(error)}
        if not key or read.regime != self.regime or read.period not in self.periods:
            return 422, {"title": "key, regime or period"}
        if self.officers.get(read.officer) != agency:
            return 422, {"title": "officer"}
        digest, submission_id, now = hashlib.sha256(body).digest(), new_id(), datetime.now(UTC)
        obligation = f"{agency}/{read.regime}/{read.period}"
        tail = (
            f'"submission_id":"{submission_id}","obligation":"{obligation}","agency":"{agency}",'
            f'"regime":"{read.regime}","regime_version":1,"period":"{read.period}","officer_id":"{read.officer}",'
            f'"received_at":"{now.isoformat()}","sha256":"{digest.hex()}","nil":false,"figures":'
        ).encode() + b"".join((read.figures, b',"narratives":', read.narratives, b"}"))
        row = (
            submission_id, obligation, agency, read.period, read.officer, now, key.decode("ascii"), digest, body,
            new_id(), tail,
        )  # fmt: skip
        if len(self.queue) >= 2000:
            return 503, {"title": "full"}
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.queue.append((row, future))
        self.arrived.set()
        status, submission_id, version, digest = await future
        return status, {
            "submission_id": str(submission_id),
            "obligation": obligation,
            "version": version,
            "received_at": now.isoformat(),
            "sha256": digest.hex(),
            "status": "received",
        }

    async def follow(self, records: Sequence[ConsumerRecord]) -> int:
        ids = [event_id(record) for record in records]
        bodies = [_followed.decode(record.value) for record in records]
        pairs = list(zip(ids, records, bodies, strict=True))
        verdicts = [
            (i, b.submission_id, b.outcome, b.decided_at)
            for i, r, b in pairs
            if event_type(r).startswith("vn.thongsuot.v")
        ]
        standings = [
            (i, b.obligation, b.version, b.standing, r.value.decode())
            for i, r, b in pairs
            if not event_type(r).startswith("vn.thongsuot.v")
        ]
        v = [list(column) for column in zip(*verdicts, strict=True)] or [[], [], [], []]
        s = [list(column) for column in zip(*standings, strict=True)] or [[], [], [], [], []]
        return int(await self.pool.fetchval(_FOLLOW, ids, *v, *s))


def _sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def build() -> tuple[Process, Any]:
    """The process and its application."""
    intake = Intake()
    return intake, intake

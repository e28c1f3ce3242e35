"""What a sweep could not do for one period or obligation, recorded so that it goes on with the others; no commit.

A setback rests before the row is tried again, each time twice as long, at most an hour. One about planning leaves when
its regime or request plans well again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text

from services.scoring import metrics
from shared.postgres.database import ReadTransaction, Transaction
from shared.telemetry.logging import get_logger
from shared.telemetry.readiness import Check

log = get_logger()

#: plan, generate: subject regime/version/period; deadline, withdraw, relief: subject is the obligation
Sweep = Literal["plan", "generate", "deadline", "withdraw", "relief"]
SWEEPS: tuple[Sweep, ...] = ("plan", "generate", "deadline", "withdraw", "relief")

_READ = text("""
    SELECT sweep, subject, error, next_try_at > clock_timestamp() AS resting FROM setbacks
     WHERE sweep = ANY(CAST(:sweeps AS text[]))
""")
_DUE = text("""
    SELECT subject FROM setbacks WHERE sweep = :sweep AND next_try_at <= clock_timestamp() ORDER BY subject LIMIT :limit
""")
_RECORD = text("""
    INSERT INTO setbacks AS s (sweep, subject, error)
    SELECT :sweep, * FROM unnest(CAST(:subjects AS text[]), CAST(:errors AS text[])) ORDER BY 1, 2
    ON CONFLICT (sweep, subject) DO UPDATE SET error = excluded.error, tries = s.tries + 1,
        next_try_at = clock_timestamp() + least(60 * power(2, least(s.tries, 10)), 3600) * interval '1 second'
    RETURNING s.subject, s.error, s.tries
""")
_CLEAR = text("DELETE FROM setbacks WHERE sweep = :sweep AND subject = ANY(CAST(:subjects AS text[]))")
_COUNT = text("SELECT sweep, count(*) AS subjects, min(subject) AS first FROM setbacks GROUP BY sweep ORDER BY sweep")
SHOWN = ("sweep", "subject", "error", "since", "tries", "next_try_at")
_LIST = text(f"""
    SELECT {", ".join(SHOWN)} FROM setbacks
     WHERE (sweep, subject) > (:after_sweep, :after_subject) ORDER BY sweep, subject LIMIT :limit
""")  # noqa: S608 - constants
_RETRY = text("""
    WITH again AS (
        DELETE FROM setbacks
         WHERE sweep <> 'relief' AND (:everything OR subject = ANY(CAST(:subjects AS text[])))
        RETURNING sweep, subject
    ), relieved AS (
        UPDATE setbacks SET next_try_at = clock_timestamp()
         WHERE sweep = 'relief' AND (:everything OR subject = ANY(CAST(:subjects AS text[])))
        RETURNING sweep, subject
    ), withdrawals AS (
        UPDATE agencies SET planned = false
         WHERE code IN (SELECT split_part(subject, '/', 1) FROM again WHERE sweep = 'withdraw')
    ), requested AS (
        UPDATE requests SET withdrawn = false
         WHERE request_id IN (SELECT split_part(subject, '/', 3) FROM again WHERE sweep = 'withdraw')
    )
    SELECT sweep, subject FROM again UNION ALL SELECT sweep, subject FROM relieved ORDER BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Setback:
    """One recorded failure. While `resting` it is not tried again."""

    error: str
    resting: bool


def why(error: BaseException) -> str:
    """The error as it is recorded: one line, bounded, fit for PostgreSQL."""
    return f"{type(error).__name__}: {error}".replace("\x00", "")[:500]


async def read(tx: ReadTransaction, *sweeps: Sweep) -> dict[str, Setback]:
    """Setbacks of these sweeps by subject."""
    rows = await tx.execute(_READ, {"sweeps": list(sweeps)})
    return {row.subject: Setback(row.error, row.resting) for row in rows}


async def due(tx: ReadTransaction, sweep: Sweep, limit: int) -> list[str]:
    """Subjects of this sweep that have rested long enough."""
    return list((await tx.execute(_DUE, {"sweep": sweep, "limit": limit})).scalars())


async def record(tx: Transaction, sweep: Sweep, failed: Mapping[str, str]) -> None:
    """Record what failed now (subject -> why); what is new is logged, once."""
    if not failed:
        return
    rows = await tx.execute(
        _RECORD, {"sweep": sweep, "subjects": list(failed), "errors": [error[:500] for error in failed.values()]}
    )
    for row in rows:
        if row.tries == 1:
            log.warning(
                "A sweep could not handle one subject and goes on with the others.",
                action="scoring.setback",
                sweep=sweep,
                subject=row.subject,
                error=row.error,
            )


async def clear(tx: Transaction, sweep: Sweep, subjects: Iterable[str]) -> None:
    """Forget setbacks that are over."""
    over = sorted(subjects)
    if over:
        await tx.execute(_CLEAR, {"sweep": sweep, "subjects": over})
        log.info("Setbacks are over.", action="scoring.setback_over", sweep=sweep, subjects=over[:20])


async def settle(tx: Transaction, sweep: Sweep, tried: Iterable[str], failed: Mapping[str, str]) -> None:
    """Record what failed now, forget the setbacks of what was tried and did not fail."""
    await record(tx, sweep, failed)
    recorded = await read(tx, sweep)
    await clear(tx, sweep, (set(tried) & recorded.keys()) - failed.keys())


async def publish_counts(tx: ReadTransaction) -> None:
    """Set the gauge from the table."""
    counts = {row.sweep: row.subjects for row in await tx.execute(_COUNT)}
    for sweep in SWEEPS:
        metrics.SETBACKS.labels(sweep).set(counts.get(sweep, 0))


async def listed(tx: ReadTransaction, after: tuple[str, str], limit: int) -> Sequence[Mapping[str, Any]]:
    """Up to `limit` setbacks after (sweep, subject), in that order."""
    rows = await tx.execute(_LIST, {"after_sweep": after[0], "after_subject": after[1], "limit": limit})
    return [dict(row) for row in rows.mappings()]


async def check(tx: ReadTransaction) -> Check:
    """A warning for readiness: what is set back stops nobody else, so the instance does its work."""
    rows = list(await tx.execute(_COUNT))
    if not rows:
        return Check(ok=True, detail="none")
    seen = "; ".join(f"{row.sweep}: {row.subjects}, such as {row.first}" for row in rows)
    return Check(ok=True, detail=f"WARNING {seen}; see `python -m services.scoring setbacks list`")


async def retry(tx: Transaction, subjects: Sequence[str] | None) -> list[str]:
    """Have these (None: all) tried at the next tick. Returns what was found, as `sweep subject`."""
    rows = await tx.execute(_RETRY, {"everything": subjects is None, "subjects": list(subjects or ())})
    return [f"{row.sweep} {row.subject}" for row in rows]

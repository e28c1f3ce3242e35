"""What is asked of the read model about a period, and the frozen figures. Nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import RowMapping, text

from services.board.lateness import days_after
from services.board.periods.figures import MOST_ITEMS, Agency, Count, Figures, Item, Regime, in_order, total_of
from services.board.readmodel import queries
from services.board.readmodel.queries import SEEN, seen
from services.board.viewing import View
from shared.contract.reporting_window import local_day
from shared.postgres.database import ReadTransaction, Transaction

#: frozen figures of one period that a page lists
MOST_LISTED = 20

# what SEEN says of the agency alone, for the index
_NEAR = "o.agency = ANY(CAST(:whole AS text[]) || CAST(:agencies AS text[]))"
# who is overdue scoring says: it knows of graces, reliefs and standstills
_ROWS = f"""
    SELECT o.agency, o.regime, o.obligation, o.standing, o.deadline, o.answer_received_at, o.overdue,
           o.standing = 'fulfilled' AS answered, COALESCE(o.on_time, false) AS on_time
      FROM obligations o WHERE o.owed AND o.period = :period AND o.opens_at <= :now AND {_NEAR} AND {SEEN}
"""  # noqa: S608 - text of this module
_COUNTS = text(f"""
    SELECT agency, regime, count(*) AS owed,
           count(*) FILTER (WHERE answered AND on_time) AS on_time,
           count(*) FILTER (WHERE answered AND NOT on_time) AS late,
           count(*) FILTER (WHERE NOT answered AND overdue) AS missing,
           count(*) FILTER (WHERE NOT answered AND NOT overdue) AS not_due,
           count(*) FILTER (WHERE standing = 'returned') AS returned,
           count(*) FILTER (WHERE standing = 'awaiting_verdict') AS awaiting
      FROM ({_ROWS}) AS o GROUP BY GROUPING SETS ((agency), (regime))
""")  # noqa: S608 - text of this module
# messages that left, whoever was told: what was suppressed reminded nobody
_REMINDED = """
    SELECT count(*) FROM notices n
     WHERE n.obligation = o.obligation AND n.outcome = 'sent' AND n.kind IN ('reminder', 'overdue', 'escalation')
"""
_MISSING = text(f"""
    SELECT agency, regime, deadline, standing AS state, CAST(NULL AS timestamptz) AS until, ({_REMINDED}) AS reminded
      FROM ({_ROWS}) AS o WHERE NOT answered AND overdue ORDER BY deadline, obligation LIMIT :rows
""")  # noqa: S608 - text of this module
_LATE = text(f"""
    SELECT agency, regime, deadline, 'late' AS state, answer_received_at AS until, ({_REMINDED}) AS reminded
      FROM ({_ROWS}) AS o WHERE answered AND NOT on_time ORDER BY deadline, obligation LIMIT :rows
""")  # noqa: S608 - text of this module
# whoever sees few agencies reads nobody else's rows; of the periods most are nobody's, which one look tells
_KNOWN = text(f"""
    SELECT given.period FROM unnest(CAST(:periods AS text[])) WITH ORDINALITY AS given (period, place)
     WHERE given.period = (SELECT next.period FROM obligations next WHERE next.period >= given.period
                            ORDER BY next.period, next.agency LIMIT 1)
       AND EXISTS (
         SELECT FROM obligations o
          WHERE o.owed AND o.period = given.period AND o.opens_at <= :now AND {_NEAR} AND {SEEN})
     ORDER BY given.place
""")  # noqa: S608 - text of this module

_FREEZE = text("""
    INSERT INTO period_figures (figures_id, period, agency, agencies, as_of, frozen_at, frozen_by, sha256, document)
    VALUES (:figures_id, :period, :agency, :agencies, :as_of, :frozen_at, :frozen_by, :sha256, :document)
""")
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('board: freeze'), hashtext(:period))")
#: whoever reads frozen figures sees every agency in them
_MAY_READ = "agencies <@ CAST(:whole AS text[])"
_LISTED = text(f"""
    SELECT figures_id, agency, as_of, frozen_by, sha256 FROM period_figures
     WHERE period = :period AND {_MAY_READ} ORDER BY as_of DESC, figures_id DESC LIMIT :rows
""")  # noqa: S608 - text of this module
_ONE = text(f"""
    SELECT figures_id, agency, as_of, frozen_by, sha256, document FROM period_figures
     WHERE figures_id = :figures_id AND period = :period AND {_MAY_READ}
""")  # noqa: S608 - text of this module
_NEWEST = text("""
    SELECT figures_id, document FROM period_figures
     WHERE period = :period AND agency = :agency AND agencies = CAST(:agencies AS text[])
     ORDER BY as_of DESC, figures_id DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Frozen:
    """Figures to be kept."""

    figures_id: UUID
    period: str
    agency: str  # at the top of what they cover
    agencies: Sequence[str]
    as_of: datetime
    frozen_at: datetime
    frozen_by: str
    sha256: str
    document: bytes


async def figures_of(
    snapshot: ReadTransaction,
    view: View,
    agencies: Mapping[str, queries.Agency],
    period: str,
    now: datetime,
    issuer: str,
) -> Figures | None:
    """The period's figures as the viewer sees them; None where nothing of it is owed that the viewer sees.

    issuer: the agency that would send the report about them.
    """
    given = {**seen(view), "period": period, "now": now}
    rows = (await snapshot.execute(_COUNTS, given)).mappings().all()
    if not rows:
        return None
    counts = {(row["agency"], row["regime"]): _count(row) for row in rows}
    names = await queries.regimes(snapshot, [code for _, code in counts if code is not None], local_day(now))
    titles = (await queries.requests(snapshot, [period])).get(period, ("", ""))
    of_agencies = in_order(
        Agency(code=code, name=_name(agencies, code), name_en=_name_en(agencies, code), count=count)
        for (code, _), count in counts.items()
        if code is not None
    )
    of_regimes = tuple(
        Regime(
            code=code,
            name=names[code]["name"] if code in names else code,
            name_en=(names[code]["name_en"] or names[code]["name"]) if code in names else code,
            count=counts[None, code],
        )
        for code in sorted(code for _, code in counts if code is not None)
    )
    above = agencies[issuer].above.on(local_day(now)) if issuer in agencies else None
    limited = {**given, "rows": MOST_ITEMS}
    missing = (await snapshot.execute(_MISSING, limited)).mappings().all()
    late = (await snapshot.execute(_LATE, limited)).mappings().all()
    return Figures(
        period=period, title=titles[0], title_en=titles[1] or titles[0], as_of=_utc(now),
        issuer=_name(agencies, issuer), issuer_above=_name(agencies, above) if above else "",
        total=total_of(one.count for one in of_agencies), regimes=of_regimes, agencies=of_agencies,
        missing=tuple(_item(row, now) for row in missing), late=tuple(_item(row, now) for row in late),
    )  # fmt: skip


async def known_periods(snapshot: ReadTransaction, view: View, periods: Sequence[str], now: datetime) -> list[str]:
    """Those of these periods under which the viewer sees anything owed, in their order."""
    given = {**seen(view), "periods": list(periods), "now": now}
    return list((await snapshot.execute(_KNOWN, given)).scalars().all())


async def newest(tx: Transaction, period: str, agency: str, agencies: Sequence[str]) -> tuple[UUID, bytes] | None:
    """The newest frozen figures of these agencies; whoever freezes next waits until this transaction ends."""
    await tx.execute(_ONE_AT_A_TIME, {"period": period})
    found = (await tx.execute(_NEWEST, {"period": period, "agency": agency, "agencies": list(agencies)})).one_or_none()
    return (found[0], found[1]) if found else None


async def freeze(tx: Transaction, frozen: Frozen) -> None:
    """Keep the figures for good."""
    values = {name: getattr(frozen, name) for name in Frozen.__slots__}
    await tx.execute(_FREEZE, {**values, "agencies": list(frozen.agencies)})


async def listed(snapshot: ReadTransaction, view: View, period: str) -> Sequence[RowMapping]:
    """The newest frozen figures of the period that the viewer may read."""
    given = {"period": period, "whole": sorted(view.whole), "rows": MOST_LISTED}
    return (await snapshot.execute(_LISTED, given)).mappings().all()


async def one(snapshot: ReadTransaction, view: View, period: str, figures_id: UUID) -> RowMapping | None:
    """Frozen figures, if the viewer may read them."""
    given = {"period": period, "figures_id": figures_id, "whole": sorted(view.whole)}
    return (await snapshot.execute(_ONE, given)).mappings().one_or_none()


def _count(row: RowMapping) -> Count:
    return Count(**{name: row[name] for name in Count.__struct_fields__})


def _item(row: RowMapping, now: datetime) -> Item:
    return Item(
        agency=row["agency"], regime=row["regime"], deadline=_utc(row["deadline"]), state=row["state"],
        days_late=days_after(row["deadline"], row["until"] or now), reminded=row["reminded"],
    )  # fmt: skip


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _name(agencies: Mapping[str, queries.Agency], code: str) -> str:
    return agencies[code].name if code in agencies else code


def _name_en(agencies: Mapping[str, queries.Agency], code: str) -> str:
    return (agencies[code].name_en or agencies[code].name) if code in agencies else code

"""The accepted reports that rules of a batch of reports look at: loaded at once, each report judged with its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.validator import store
from services.validator.beneath import MAX_BENEATH, Beneath, directly_below, ever_above
from services.validator.domain import Earlier, Held, Judgement, after_history, standing
from services.validator.form_cache import form_name
from services.validator.periods import obligation_before, obligation_year_ago, periods_around
from services.validator.rules.packs import Pack
from services.validator.stopwatch import Limits, Stopwatch
from shared.contract.events import SubmissionReceived, obligation_key
from shared.contract.hierarchy import Tree
from shared.contract.period import PeriodError, cutoff_range, parse
from shared.postgres.database import ReadTransaction

#: by obligation
Accepted = Mapping[str, Sequence[Held[Earlier | None]]]


@dataclass(slots=True)
class Others:
    """`compared` and `beneath` by submission; the others by obligation: its accepted versions, the newest first.

    added_up: of the agencies beneath, with no figures but those that some rule adds up. fresh: accepted since the
    beginning, whose verdicts are not stored yet.
    """

    compared: Mapping[UUID, _Compared]
    beneath: Mapping[UUID, Sequence[str]]
    accepted: Accepted
    added_up: Accepted
    fresh: dict[str, list[Held[Callable[[], Earlier | None]]]]

    @classmethod
    def none(cls) -> Others:
        return cls({}, {}, {}, {}, {})

    @classmethod
    async def load(cls, tx: ReadTransaction, asked: Sequence[tuple[SubmissionReceived, Pack]]) -> Others:
        """What the rules of these packs look at for these reports."""
        others = cls.none()
        await others.add(tx, asked)
        return others

    async def add(self, tx: ReadTransaction, asked: Sequence[tuple[SubmissionReceived, Pack]]) -> None:
        """Load what the rules look at for these reports in place of what they looked at for those before."""
        self.compared = {body.submission_id: _Compared.of(body, pack) for body, pack in asked}
        self.beneath = await _beneath([body for body, pack in asked if pack.adds_up], tx)
        keys = {key for one in self.compared.values() for key in one.keys}
        self.accepted = await store.looked_back_to(tx, sorted(keys))
        below = {key for found in self.beneath.values() for key in found}
        codes = {code for _, pack in asked for code in pack.adds_up}
        self.added_up = await store.added_up(tx, sorted(below), sorted(codes)) if below else {}

    def accept(self, obligation: str, held: Held[Callable[[], Earlier | None]]) -> None:
        """From now on this report is the newest of its obligation; few are looked at before they are stored."""
        self.fresh[obligation] = [held, *self.fresh.get(obligation, ())]

    def _stood(self, stored: Accepted, key: str, moment: datetime) -> Earlier | None:
        if (accepted := self.fresh.get(key)) is not None and (fresh := standing(accepted, moment)) is not None:
            return fresh[1]()
        held = standing(stored.get(key), moment)
        return None if held is None else held[1]

    def judge(
        self, judgement: Judgement, body: SubmissionReceived, limits: Limits, *, again: datetime | None = None
    ) -> Judgement:
        """The judgement with what rules say about other reports; as it is where the report was not asked for.

        Beside the reports that stood when it was received, or, judged again, that stand at the moment `again`. Raises
        Overran where the rules take more than they may.
        """
        compared = self.compared.get(body.submission_id)
        if compared is None:
            return judgement
        stopwatch = Stopwatch(limits)
        moment = again or body.received_at
        beneath = self.beneath.get(body.submission_id, ())
        stood = {key: self._stood(self.accepted, key, moment) for key in compared.keys}
        others = {
            regime: found
            for regime, keys in compared.others.items()
            if (found := next(filter(None, map(stood.get, keys)), None)) is not None
        }
        children = [self._stood(self.added_up, key, moment) for key in beneath]
        known = body.submission_id in self.beneath and None not in children
        return after_history(
            judgement,
            body.figures,
            body.period,
            stood.get(compared.previous or ""),
            stood.get(compared.year_ago or ""),
            others=others,
            given_narratives=body.narratives,
            given_tables=body.tables,
            children=[child for child in children if child is not None] if known else None,
            looked_at=tuple(dict.fromkeys((*compared.keys, *beneath))),
            again=again is not None,
            enter=stopwatch.enter,
        )


async def _beneath(bodies: Sequence[SubmissionReceived], tx: ReadTransaction) -> dict[UUID, list[str]]:
    """The obligations of the nearest agencies beneath that report under the same regime, by submission.

    Left out where they are not known: the period has no cut-off, the agency or the regime's terms are not here yet, or
    there are too many. One query for a level of the tree, for all reports together.
    """
    names = await store.in_place(tx, sorted({form_name(body) for body in bodies})) if bodies else {}
    terms = await store.terms(tx, names.values()) if names else {}
    searches: dict[UUID, Beneath] = {}
    for body in bodies:
        if (known_terms := terms.get(names.get(form_name(body), ""))) is not None:
            validity, submitters = known_terms
            with suppress(PeriodError):
                day = cutoff_range(parse(body.period), validity.frequency, validity.cutoff)[1]
                searches[body.submission_id] = Beneath(body.agency, day, submitters)
    if not searches:
        return {}
    known = {agency.code: agency for agency in await store.agencies(tx, {one.root for one in searches.values()})}
    searches = {key: one for key, one in searches.items() if one.root in known}
    missing = ever_above(known.values(), known)
    while missing and (above := await store.agencies(tx, missing)):
        known |= {agency.code: agency for agency in above}
        missing = ever_above(above, known)
    while wanted := {code for one in searches.values() for code in one.ahead}:
        level = await store.agencies(tx, wanted, below=True)
        known |= {agency.code: agency for agency in level}
        tree = Tree({code: agency.above for code, agency in known.items()})
        below = {day: directly_below(level, day) for day in {one.day for one in searches.values()}}
        for one in searches.values():
            one.look(tree, below[one.day])
    by_submission = {body.submission_id: body for body in bodies}
    return {
        key: [obligation_key(code, by_submission[key].regime, by_submission[key].period) for code in one.found]
        for key, one in searches.items()
        if len(one.found) <= MAX_BENEATH
    }


@dataclass(frozen=True, slots=True)
class _Compared:
    """The obligations whose accepted reports a report is compared with; of `others` by regime, the nearest first."""

    previous: str | None
    year_ago: str | None
    others: Mapping[str, tuple[str, ...]]
    adds_up: bool  # over the reports of the agencies beneath

    @property
    def keys(self) -> Iterator[str]:
        yield from (key for key in (self.previous, self.year_ago) if key is not None)
        for keys in self.others.values():
            yield from keys

    @classmethod
    def of(cls, body: SubmissionReceived, pack: Pack) -> _Compared:
        periods = periods_around(body.period) if pack.refers_to else ()
        return cls(
            obligation_before(body),
            obligation_year_ago(body),
            {
                regime: tuple(obligation_key(body.agency, regime, period) for period in periods)
                for regime in pack.refers_to
            },
            bool(pack.adds_up),
        )

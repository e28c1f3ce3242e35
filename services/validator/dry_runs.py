"""A dry run: the verdict that a report would get, by the engine that judges what is submitted. Nothing is stored.

Whether intake would take the report (its officer, its term, a lock) is intake's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from services.validator import handlers, store
from services.validator.domain import Judgement
from services.validator.judging import Judging
from services.validator.store import Validity
from shared.consuming.batch import Batch, Event, Record
from shared.contract.events import SubmissionReceived, obligation_key
from shared.contract.ids import new_id
from shared.contract.period import PeriodError, governing_version, parse
from shared.postgres.database import Database
from shared.reports import problems
from shared.reports.report_parser import Report, Unreadable, read_report
from shared.runtime.clock import LOCAL_ZONE
from shared.runtime.trouble import InfrastructureTrouble
from shared.web.errors import FieldError, Problem, describe, unavailable

#: a body over this may take a millisecond or more of the loop
_LARGE_BYTES = 32_768
#: how long a costly report may wait for its turn in the process beside
_PATIENCE_SECONDS = 10.0

NOT_JUDGED = describe(
    "not-judged",
    422,
    "Không kiểm tra được báo cáo này",
    "This report cannot be judged",
    "Báo cáo tốn quá nhiều thời gian để kiểm tra, hoặc biểu mẫu của chế độ có lỗi. Hãy báo cho người vận hành.",
    "The report takes too long to judge, or the form of its regime is at fault. Tell the operators.",
)


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would be said of the report, by the form of this version of the regime; `seconds` of CPU it took.

    `apart`: in the process beside.
    """

    regime_version: int
    judgement: Judgement
    seconds: float
    apart: bool


class DryRuns:
    """Tries reports, each by itself. `judging` is its own: no batch of submissions waits for a dry run."""

    def __init__(self, database: Database, judging: Judging) -> None:
        self._database = database
        self._judging = judging
        self._large = asyncio.Lock()

    async def read(self, body: bytes) -> Report:
        """The report in the body. Raises the problem with everything that is wrong with it."""
        if len(body) <= _LARGE_BYTES:
            found = read_report(body)
        else:
            async with self._large:  # between two of them every neighbour has a turn of the loop
                found = read_report(body)
        if isinstance(found, Unreadable):
            if found.malformed:
                raise problems.unreadable(found.errors)
            raise problems.invalid(found.errors, truncated=found.truncated)
        return found

    async def judge(self, report: Report, agency: str, version: int | None, now: datetime) -> DryRun:
        """Judge the agency's report as if it came now, business time. `version`: of the regime; None: by the period.

        Raises the problem that says why there is no verdict.
        """
        async with self._database.read_transaction() as snapshot:
            known = await store.validities(snapshot, report.regime)
        found = version_of(report, known, version, now.astimezone(LOCAL_ZONE).date())
        if isinstance(found, FieldError):
            raise problems.invalid([found])
        body = _submission(report, agency, found, now)
        record = Record(body.TOPIC, 0, 0, None, body.encode(), ())
        event = Event(new_id(), body.TYPE, body.key, body, record)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                tried = await self._judging.try_one(event, self._database.read_transaction)
        except (TimeoutError, ChildProcessError, InfrastructureTrouble):
            raise unavailable(2) from None
        if not isinstance(tried.prepared.values.get(event.id), Judgement):
            raise Problem.of(NOT_JUDGED)
        batch = Batch((event,), prepared=tried.prepared.values)
        async with self._database.read_transaction() as snapshot:
            judgement = (await handlers.with_earlier(batch, snapshot, self._judging.looking)).get(event.id)
            if judgement is None:
                raise Problem.of(NOT_JUDGED)
            in_place = await store.in_place(snapshot, [f"regime/{report.regime}/{found}"])
        by = int(next(iter(in_place.values())).rpartition("/")[2])
        return DryRun(by, judgement, tried.seconds, tried.apart)


def version_of(
    report: Report, known: Mapping[int, Validity | None], asked: int | None, today: date
) -> int | FieldError:
    """The version of the regime under which the report is judged, or why there is none.

    An ad hoc request is governed by the day it was issued on, which only intake knows: the version of today is taken.
    """
    if not known:
        return FieldError(
            "/regime",
            f"Không có chế độ báo cáo “{report.regime}”.",
            f"There is no reporting regime “{report.regime}”.",
            "Kiểm tra mã chế độ; GET /v1/obligations của intake liệt kê những báo cáo phải gửi.",
            "Check the code; intake's GET /v1/obligations lists what is owed.",
        )
    listed = ", ".join(map(str, known))
    if asked is not None:
        return asked if asked in known else _which(f"không có phiên bản {asked}", f"has no version {asked}", listed)
    versions = [validity for validity in known.values() if validity is not None]
    if len(versions) < len(known):
        return _which("có phiên bản chưa rõ hiệu lực", "has versions whose validity is not known here", listed)
    try:
        period = parse(report.period)
        governing = governing_version(versions, period, issued_on=today)
    except PeriodError as error:
        return _period(report, "không phải kỳ báo cáo", f"is no period: {error}")
    if governing is None:
        return _period(report, "không thuộc chế độ báo cáo này", "is no period of this regime")
    return governing.regime_version


def _which(why: str, why_en: str, listed: str) -> FieldError:
    return FieldError(
        "/regime_version",
        f"Chế độ báo cáo này {why}.",
        f"The regime {why_en}.",
        f"Ghi regime_version là một trong: {listed}.",
        f"Give regime_version, one of: {listed}.",
        "query",
    )


def _period(report: Report, why: str, why_en: str) -> FieldError:
    return FieldError(
        "/period",
        f"“{report.period}” {why}.",
        f"“{report.period}” {why_en}.",
        "Kiểm tra kỳ báo cáo; GET /v1/obligations của intake liệt kê những kỳ phải gửi.",
        "Check the period; intake's GET /v1/obligations lists those that are owed.",
    )


def _submission(report: Report, agency: str, regime_version: int, now: datetime) -> SubmissionReceived:
    """The event that would tell of it. It names no submission: nothing is stored under its id."""
    return SubmissionReceived(
        submission_id=new_id(),
        obligation=obligation_key(agency, report.regime, report.period),
        agency=agency,
        regime=report.regime,
        regime_version=regime_version,
        period=report.period,
        version=1,
        officer_id=report.officer,
        received_at=now,
        sha256="",
        nil=report.nil,
        figures=report.figures,
        narratives=report.narratives,
        nil_reason=report.nil_reason,
        declines=report.declines or None,
        refer_to=report.refer_to or None,
        tables=report.tables,
    )

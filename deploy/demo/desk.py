"""The reviewer's desk: two agencies ask for more time and one of them gets it; reports that wait are approved.

Another agency explains why its report is late, and the reviewer notes that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from deploy.demo.client import GaveUp, Ledger, Portal
from deploy.demo.pace import Hold, Pace
from shared.runtime.clock import LOCAL_ZONE

#: the monthly report of March, due on 18/3
REGIME, PERIOD = "KTXH-THANG", "2026-M03"
ASKED_AT = datetime(2026, 3, 16, 9, 0, tzinfo=LOCAL_ZONE)
DECIDED_AT = datetime(2026, 3, 16, 14, 0, tzinfo=LOCAL_ZONE)
UNTIL = datetime(2026, 3, 20, 17, 0, tzinfo=LOCAL_ZONE)
#: two days after the quarterly reports are due
REVIEWED_AT = datetime(2026, 3, 20, 9, 0, tzinfo=LOCAL_ZONE)
#: reports that the reviewer gets through on that day
MOST_REVIEWS = 40
REASONS = ("Mất điện toàn xã ba ngày, có xác nhận của Điện lực.", "Cán bộ bận việc khác.")
CAUSE = "Cán bộ đầu mối nghỉ ốm dài ngày, chưa cử người thay."
REMEDY = "Đã cử người thay từ ngày 20; từ kỳ sau mỗi chế độ có hai người biết làm."


@dataclass(frozen=True, slots=True)
class Desk:
    """The reviewer, with the reviewer's own key, the two agencies that ask, and one that is late."""

    reviewer: Portal
    askers: tuple[Portal, Portal]
    late: Portal
    pace: Pace
    ledger: Ledger

    def hold(self) -> tuple[Hold, Hold, Hold]:
        """Hold the moments of what happens here; before the quarter begins."""
        moments = (ASKED_AT, "asking for time"), (DECIDED_AT, "deciding extensions"), (REVIEWED_AT, "reviewing")
        asked, decided, reviewed = (self.pace.hold(moment, what) for moment, what in moments)
        return asked, decided, reviewed

    async def work(self, asked: Hold, decided: Hold, reviewed: Hold) -> None:
        """Ask, decide and review, each at its moment."""
        try:
            if await self.pace.reach(asked):
                for asker, reason in zip(self.askers, REASONS, strict=True):
                    await asker.ask_for_time(REGIME, PERIOD, UNTIL, reason)
            self.pace.release(asked)
            if await self.pace.reach(decided):
                await self._decide()
            self.pace.release(decided)
            if await self.pace.reach(reviewed):
                await self.late.explain_lateness(REGIME, PERIOD, CAUSE, REMEDY)
                for item in await self.reviewer.waiting("lateness", 1):
                    await self.reviewer.decide(item, "note", "Đề nghị giữ đúng cam kết.")
                for item in await self.reviewer.waiting("review", MOST_REVIEWS):
                    await self.reviewer.decide(item, "approve")
        except GaveUp as error:
            self.ledger.gave_up.append(f"reviewer: {error}")
        finally:
            for held in (asked, decided, reviewed):
                self.pace.release(held)

    async def _decide(self) -> None:
        for item in await self.reviewer.waiting("extension", len(self.askers)):
            if item["reason"] == REASONS[0]:
                await self.reviewer.decide(item, "grant", "Có xác nhận của Điện lực.")
            else:
                await self.reviewer.decide(item, "refuse", "Lý do chưa chính đáng.")

"""Measures the cost of a verdict: `python -m tests.programs.measure_judging [<migrated database URL>]`.

It judges the report of the budget: 36 figures, 12 sums, 600 characters of narrative. It reports this process's CPU,
the best of many rounds, since the machine is shared. With a database it also runs the handler in transactions of 500
submissions and reports CPU and elapsed time, in turns with reports of 40 figures under 60 rules, a third of them
against the period before.
"""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

from services.validator import domain, handlers
from services.validator.form_cache import FormCache, form_name
from services.validator.judging import Judging
from services.validator.rules.forms import compile_form
from services.validator.store import Governing
from shared.consuming.batch import Batch
from shared.consuming.preparing import Snapshots
from shared.contract.events import FigureField, Form, NarrativeField, SubmissionReceived, SumRule, obligation_key
from shared.postgres.database import Database
from tests.integration.validator.rig import Rig, regime, submission

JUDGE_BUDGET_MICROSECONDS = 60
HANDLER_BUDGET_MICROSECONDS = 150
BATCH = 500

TEXT = (
    "Trong kỳ, Ủy ban nhân dân xã đã tiếp nhận và giải quyết hồ sơ thủ tục hành chính đúng hạn; công tác phối hợp "
    "với các sở được duy trì thường xuyên. Khó khăn chủ yếu là thiếu cán bộ chuyên trách công nghệ thông tin, đường "
    "truyền tại hai thôn chưa ổn định.\nKiến nghị tỉnh bố trí kinh phí nâng cấp hạ tầng, tập huấn nghiệp vụ báo cáo "
    "cho cán bộ đầu mối trong quý tới, sớm ban hành hướng dẫn thống nhất về biểu mẫu và thời gian chốt số liệu; rà "
    "soát các chế độ báo cáo trùng lặp giữa các ngành, giảm yêu cầu báo cáo bằng giấy, tăng chia sẻ dữ liệu giữa các "
    "cơ quan để giảm gánh nặng cho cơ sở và nâng cao chất lượng tổng hợp, nhất là tại các xã mới thành lập."
)[:600]

FORM = Form(
    figures=tuple(
        FigureField(code=f"A{i:02}", label=f"Chỉ tiêu {i}", minimum="0", maximum="1000000000", fraction_digits=2)
        for i in range(36)
    ),
    narratives=(NarrativeField(code="N1", label="Đánh giá", min_characters=100),),
    sums=tuple(
        SumRule(code=f"K{k}", total=f"A{3 * k:02}", terms=(f"A{3 * k + 1:02}", f"A{3 * k + 2:02}")) for k in range(12)
    ),
)


def report(faults: int = 0) -> tuple[dict[str, str | None], dict[str, str]]:
    """A valid report, or one whose first totals are wrong."""
    figures: dict[str, str | None] = {}
    for k in range(12):
        terms = (f"{12345 + k}.25", "1234")
        figures[f"A{3 * k + 1:02}"], figures[f"A{3 * k + 2:02}"] = terms
        figures[f"A{3 * k:02}"] = str(sum(map(Decimal, terms)) + (1 if k < faults else 0))
    return figures, {"N1": TEXT}


def ruled(rules: int = 60) -> Form:
    """40 figures and so many rules: a third are sums, a third compare figures, a third look at the period before."""
    texts = {"message": "{[A00]}", "message_en": "{[A00]}", "fix": "Sửa.", "fix_en": "Correct it."}
    asserted = ("[A{0:02}] = [A{1:02}] + [A{2:02}]", "AND([A{1:02}] >= 0; [A{2:02}] <= [A{0:02}])",
                "ABS([A{0:02}] - PREV([A{0:02}])) <= 20% * PREV([A{0:02}])")  # fmt: skip
    given = [
        {"id": f"QT-{n:02}", "tier": "consistency", "severity": "confirm", **texts, "tests": [{}],
         "assert": asserted[n % 3].format(*(3 * (n // 3 % 12) + place for place in range(3)))}
        for n in range(rules)
    ]  # fmt: skip
    more = tuple(FigureField(code=f"B{i}", label=f"Chỉ tiêu thêm {i}", fraction_digits=2) for i in range(4))
    base = FORM.model_dump(mode="json") | {"rules": given}
    return Form.model_validate(base | {"figures": [*base["figures"], *(one.model_dump(mode="json") for one in more)]})


def best_microseconds(work: Callable[[], object], times: int = 200, rounds: int = 40) -> float:
    """CPU microseconds of one call in the best round."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time_ns()
        for _ in range(times):
            work()
        best = min(best, (time.process_time_ns() - started) / times / 1000)
    return best


def measure_judge() -> None:
    """The pure decision."""
    form = compile_form(FORM)
    for faults in (0, 3):
        figures, narratives = report(faults)
        judgement = domain.judge(form, figures, narratives, nil=False)
        assert (judgement.errors, len(narratives["N1"])) == (faults, 600), judgement
        cost = best_microseconds(lambda f=figures, n=narratives: domain.judge(form, f, n, nil=False))  # type: ignore[misc]
        print(f"judge, {faults} faults: {cost:6.1f} us CPU (budget {JUDGE_BUDGET_MICROSECONDS} for a valid report)")
    sample = submission(figures=report()[0], narratives=report()[1]).encode()
    print(
        f"parse of the event:  {best_microseconds(lambda: SubmissionReceived.model_validate_json(sample)):6.1f} us CPU"
    )


class _InMemory(FormCache):
    """Every form is its own: what the database says costs its time, not this process'."""

    async def governing(self, snapshots: Snapshots, bodies: Iterable[SubmissionReceived]) -> dict[str, Governing]:
        return {name: Governing(name, name, ()) for name in {form_name(body) for body in bodies}}


async def measure_stage() -> None:
    """What judging before the transaction adds to judging: the stage as it is served against the bare decision.

    Both in turns within each round, so that the machine's moods strike both.
    """
    form = compile_form(FORM)
    judging = Judging(_InMemory())
    judging._forms._forms["regime/M/1"] = form
    batch = Batch.of(
        [submission(f"H99.{i}", code="M", figures=f, narratives=n) for i in range(BATCH) for f, n in [report()]]
    )

    @asynccontextmanager
    async def nothing() -> AsyncIterator[Any]:
        raise AssertionError("the form is in memory")
        yield

    bare = staged = float("inf")
    for _ in range(30):
        started = time.process_time_ns()
        for event in batch.events:
            domain.judge(form, event.body.figures, event.body.narratives, nil=event.body.nil)
        bare = min(bare, time.process_time_ns() - started)
        started = time.process_time_ns()
        prepared = await judging.prepare(batch.events, nothing, apart=False)
        staged = min(staged, time.process_time_ns() - started)
        assert len(prepared.values) == BATCH
    print(
        f"stage:   {staged / BATCH / 1000:6.1f} us CPU a submission, judging alone {bare / BATCH / 1000:6.1f}:"
        f" {staged / bare:.2f} times"
    )


async def measure_ruled(url: str) -> None:
    """The handler on reports of 40 figures, 60 rules and a period before, in turns with reports without rules."""
    database = Database(url, pool_size=2)
    rig = Rig(database)
    forms = {f"M-{uuid4()}": FORM, f"R-{uuid4()}": ruled()}
    for code, form in forms.items():
        await rig.keep(regime(code, form=form))
    best = dict.fromkeys(forms, float("inf"))
    for _ in range(8):
        agencies = [f"H99.{uuid4()}" for _ in range(BATCH)]
        for period in ("2026-M02", "2026-M03"):  # the second has one before it
            for code in forms:
                figures, narratives = report()
                figures |= {f"B{i}": "1.5" for i in range(4)} if code.startswith("R") else {}
                batch = Batch.of(
                    submission(agency, code=code, figures=figures, narratives=narratives, period=period,
                               obligation=obligation_key(agency, code, period))
                    for agency in agencies
                )  # fmt: skip
                cpu = time.process_time_ns()
                prepared = await rig.judging.prepare(batch.events, database.read_transaction, apart=False)
                batch.prepared = prepared.values
                async with database.transaction() as tx:
                    await handlers.record(batch, tx, clock=rig.clock)
                    cpu = time.process_time_ns() - cpu
                if period == "2026-M03":
                    best[code] = min(best[code], cpu / BATCH / 1000)
    plain, with_rules = best.values()
    print(
        f"handler: {with_rules:6.1f} us CPU a report of 40 figures, 60 rules and a period before"
        f" ({1e6 / with_rules:,.0f} a second), {plain:6.1f} without rules: {with_rules / plain:.2f} times"
    )
    await database.close()


async def measure_handler(url: str, *, profile: bool = False) -> None:
    """The handler with its SQL, 500 submissions in a transaction, every 10th with three findings."""
    database = Database(url, pool_size=2)
    rig = Rig(database)
    code = f"M-{uuid4()}"
    await rig.keep(regime(code, form=FORM))
    best_cpu = best_elapsed = float("inf")
    profiler = cProfile.Profile()
    for turn in range(12):
        batch = Batch.of(
            [
                submission(f"H99.{uuid4()}", code=code, figures=f, narratives=n)
                for f, n in (report(3 if i % 10 == 0 else 0) for i in range(BATCH))
            ]
        )
        if profile and turn > 2:
            profiler.enable()
        cpu, elapsed = time.process_time_ns(), time.perf_counter_ns()
        batch.prepared = (await rig.judging.prepare(batch.events, database.read_transaction, apart=False)).values
        async with database.transaction() as tx:
            await handlers.record(batch, tx, clock=rig.clock)
            cpu, elapsed = time.process_time_ns() - cpu, time.perf_counter_ns() - elapsed
            profiler.disable()
        best_cpu, best_elapsed = min(best_cpu, cpu / BATCH / 1000), min(best_elapsed, elapsed / BATCH / 1000)
    print(
        f"handler: {best_cpu:6.1f} us CPU, {best_elapsed:6.1f} us elapsed with PostgreSQL, a submission"
        f" (budget {HANDLER_BUDGET_MICROSECONDS} CPU)"
    )
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    await database.close()


if __name__ == "__main__":
    measure_judge()
    asyncio.run(measure_stage())
    if len(sys.argv) > 1:
        asyncio.run(measure_handler(sys.argv[1], profile="--profile" in sys.argv))
        asyncio.run(measure_ruled(sys.argv[1]))

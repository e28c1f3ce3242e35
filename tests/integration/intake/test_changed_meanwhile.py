"""The registry changes while reports come in: what is answered is so, and what was answered stays answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from services.intake.submissions import store
from shared.contract.events import FigureField, Form, NarrativeField
from shared.postgres.database import Transaction
from tests.integration.intake import rig
from tests.integration.intake.rig import DEPARTMENT, Intake, Province, intake, load, report, rows
from tests.integration.intake.test_submitting import assert_problem

#: an instance that looks for news so seldom that it hears of none by itself
DEAF: dict[str, Any] = {"registry_poll_seconds": 600, "registry_max_age_seconds": 600}
SECOND = rig.regime(
    regime_version=2,
    effective_from=date(2026, 1, 1),
    form=Form(
        figures=(FigureField(code="A01", label="Thu ngân sách", fraction_digits=2),),
        narratives=(NarrativeField(code="danh_gia", label="Đánh giá", required=True),),
    ),
)


async def versions_stamped(client: Intake) -> list[int]:
    """The regime version of a report sent just after a second one was published by somebody else."""
    assert (await client.post(report(1))).status_code == 201
    await load(client.province.url, [SECOND])
    assert (await client.post(report(2))).status_code == 201
    found = await rows(client.province.url, "SELECT regime_version FROM submissions ORDER BY version")
    return [row[0] for row in found]


async def test_a_regime_version_that_was_just_published_governs_at_once(province: Province) -> None:
    async with intake(province, **DEAF) as client:
        assert await versions_stamped(client) == [1, 2]


async def test_without_the_look_at_the_revision_the_old_version_would_be_stamped(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    lock = store.lock_obligations

    async def blind(tx: Transaction, keys: Sequence[str]) -> store.Known:
        return (await lock(tx, keys))._replace(registry_revision=0)

    monkeypatch.setattr(store, "lock_obligations", blind)
    async with intake(province, **DEAF) as client:
        assert await versions_stamped(client) == [1, 1]


async def test_an_officer_who_has_just_left_can_send_nothing_more(province: Province) -> None:
    async with intake(province, **DEAF) as client:
        assert (await client.post(report(1))).status_code == 201
        await load(province.url, [rig.officer("cb-01", DEPARTMENT, active=False)])
        refused = assert_problem(await client.post(report(2)), 422, "invalid-report")
    assert refused["errors"][0]["pointer"] == "/officer"
    assert len(await rows(province.url, "SELECT 1 FROM submissions")) == 1


async def test_a_repetition_gets_its_receipt_although_it_would_be_refused_today(province: Province) -> None:
    async with intake(province) as client:
        first = await client.post(report(1), key="k")
        await load(province.url, [rig.officer("cb-01", DEPARTMENT, active=False)])
        assert_problem(await client.post(report(1), key="another"), 422, "invalid-report")
        again = await client.post(report(1), key="k")
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        # another body under the key is a new report, and is told what is wrong with it
        assert_problem(await client.post(report(2), key="k"), 422, "invalid-report")

"""What is stored can be derived again, and every value that is not what it follows from is named."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from sqlalchemy import text

from deploy.local.options import ROOT
from services.scoring.recomputing import recompute_command
from tests.integration.scoring.rig import KEY, Rig, agency, local, regime
from tests.unit.scoring.samples import DEADLINE, verdict


async def recomputed(url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("SCORING_DATABASE_URL", url)
    return await asyncio.to_thread(recompute_command, arguments)


async def a_few(rig: Rig) -> None:
    await rig.registry(regime(), agency(), agency("H99.32"))
    await rig.generate()
    await rig.follow(verdict(outcome="returned", present=2), verdict(2, received_at=local(2026, 10, 20, 9)))
    await rig.at(local(2026, 10, 21))


async def test_what_is_stored_follows_from_terms_and_facts(
    rig: Rig, scoring_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await a_few(rig)
    assert await recomputed(scoring_url, monkeypatch) == 0
    assert "Đã tính lại 6 nghĩa vụ, 0 sai lệch" in capsys.readouterr().out


SPOILED = {
    "column owed": "owed = false, overdue = false",
    "column standing": "standing = 'returned'",
    "column deadline": "deadline = deadline + interval '1 day'",
    "column received_at": "received_at = received_at + interval '1 second'",
    "column next_at": "next_at = deadline",
    "score": "document = jsonb_set(CAST(document AS jsonb), '{state,score}', '\"99\"')::json",
    "on_time": "document = jsonb_set(CAST(document AS jsonb), '{state,on_time}', 'true')::json",
    "answer": "document = jsonb_set(CAST(document AS jsonb), '{state,answer}', '1')::json",
    "measured": "document = jsonb_set(CAST(document AS jsonb), '{state,measured}', '1')::json",
    "officer_id": "document = jsonb_set(CAST(document AS jsonb), '{state,officer_id}', '\"x\"')::json",
    "lines in force": "document = jsonb_set(CAST(document AS jsonb), '{lines,0,points}', '\"61\"')::json",
    "lines in the ledger": "document = jsonb_set(CAST(document AS jsonb), '{lines,0,cause}', '\"khác\"')::json",
}


@pytest.mark.parametrize("what", SPOILED)
async def test_each_value_that_was_spoiled_is_named(
    rig: Rig, scoring_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    await a_few(rig)
    async with rig.database.transaction() as tx:
        await tx.execute(text(f"UPDATE obligations SET {SPOILED[what]} WHERE obligation = :key"), {"key": KEY})
    assert await recomputed(scoring_url, monkeypatch) == 1
    assert f"{KEY}  {what}" in capsys.readouterr().out


#: in a process of its own: a pool of processes leaves its tracker behind as long as its parent lives
_IN_RANGES_OF_TWO = """
import sys
from services.scoring import recomputing
recomputing.RANGE_ROWS, recomputing.PAGE_ROWS = 2, 1
sys.exit(recomputing.recompute_command([]))
"""


async def test_ranges_of_keys_are_derived_side_by_side_and_none_is_left_out(rig: Rig, scoring_url: str) -> None:
    await a_few(rig)
    async with rig.database.transaction() as tx:
        await tx.execute(text("UPDATE obligations SET next_at = next_at - interval '1 hour' WHERE next_at IS NOT NULL"))
        spoiled = await tx.execute(text("SELECT obligation FROM obligations WHERE next_at IS NOT NULL"))
        keys = sorted(spoiled.scalars())
    assert len(keys) > 2
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _IN_RANGES_OF_TWO],
        env={**os.environ, "SCORING_DATABASE_URL": scoring_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"Đã tính lại 6 nghĩa vụ, {len(keys)} sai lệch" in done.stdout
    assert [line.split("  ")[0] for line in done.stdout.splitlines() if "column next_at" in line] == keys


async def test_a_fact_that_was_spoiled_shows_in_what_follows_from_it(
    rig: Rig, scoring_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await a_few(rig)
    async with rig.database.transaction() as tx:
        await tx.execute(
            text(
                "UPDATE obligations SET document = replace(CAST(document AS text), '2026-10-20', '2026-10-19')::json"
                " WHERE obligation = :key"
            ),
            {"key": KEY},
        )
    assert await recomputed(scoring_url, monkeypatch, KEY) == 1
    assert "on_time" in capsys.readouterr().out


async def test_how_it_stood_is_derived_as_of_any_moment(
    rig: Rig, scoring_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await a_few(rig)
    for moment, said in (
        (DEADLINE.isoformat(), f"{KEY}  awaiting_verdict  None"),
        ("2026-12-01T00:00:00+07:00", f"{KEY}  fulfilled  90"),
    ):
        assert await recomputed(scoring_url, monkeypatch, KEY, "--as-of", moment) == 0
        assert said in capsys.readouterr().out


async def test_an_obligation_that_does_not_exist_is_said(
    rig: Rig, scoring_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await a_few(rig)
    assert await recomputed(scoring_url, monkeypatch, KEY, "H99.31/NOPE/2026") == 1
    assert "H99.31/NOPE/2026" in capsys.readouterr().out

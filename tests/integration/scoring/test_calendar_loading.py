"""Calendar versions in the database: loaded once, never changed, the newest gives new deadlines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.scoring.calendar import CalendarError, read_calendar, shipped_calendars
from services.scoring.calendar.loading import calendar_loader, load_command
from services.scoring.calendar.store import CalendarShelf, NoCalendar, load_calendars, read_years
from shared.contract.events import CalendarLoaded
from shared.contract.working_days import WorkingCalendar
from shared.postgres.database import Database, is_infrastructure
from tests.integration.scoring.rig import KEY, Rig, agency, key_of, local, regime
from tests.unit.scoring.samples import verdict

SHIPPED = shipped_calendars()[-1]


def newer() -> str:
    """The shipped file as a later version in which 19 October 2026 is a holiday."""
    body = Path("services/scoring/calendar/vn-2026-2.yaml").read_text(encoding="utf-8")
    extra = '  - {day: 2026-10-19, name: "Ngày nghỉ", name_en: "Day off"}\n'
    return body.replace("version: VN-2026.2", "version: VN-2026.9").replace("revision: 2", "revision: 9") + extra


async def test_loading_twice_loads_once(rig: Rig) -> None:
    async with rig.database.transaction() as tx:
        assert await load_calendars(tx, shipped_calendars()) == []
    assert len(await rig.rows("SELECT 1 FROM calendar_days")) == sum(
        len(shipped.file.days) for shipped in shipped_calendars()
    )


async def test_a_version_in_use_may_not_change(rig: Rig) -> None:
    with pytest.raises(CalendarError, match="may not change"):
        async with rig.database.transaction() as tx:
            await load_calendars(tx, [replace(SHIPPED, sha256="0" * 64)])


@pytest.mark.parametrize(("revision", "code"), [("2", 1), ("9", 0)])
async def test_a_revision_that_is_taken_is_refused_in_words(
    rig: Rig,
    scoring_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    revision: str,
    code: int,
) -> None:
    path = tmp_path / "vn-2026-9.yaml"
    path.write_text(newer().replace("revision: 9", f"revision: {revision}"), encoding="utf-8")
    monkeypatch.setenv("SCORING_DATABASE_URL", scoring_url)
    assert await asyncio.to_thread(load_command, [str(path)]) == code
    said = capsys.readouterr().err
    assert ("revision 2 belongs to calendar VN-2026.2: use 3" in said) == (code == 1), said
    assert len(await rig.rows("SELECT 1 FROM calendar_versions")) == len(shipped_calendars()) + (code == 0)


async def test_a_shipped_calendar_whose_revision_the_operator_took_is_left_out_and_the_service_starts(
    scoring_url: str, tmp_path: Path
) -> None:
    database = Database(scoring_url, pool_size=2)
    path = tmp_path / "own.yaml"
    path.write_text(newer().replace("revision: 9", "revision: 2"), encoding="utf-8")
    async with database.transaction() as tx:
        assert await load_calendars(tx, [read_calendar(path)]) == ["VN-2026.9"]
    loader = calendar_loader(database)
    await loader.start()
    check = loader.checks()["calendars"]
    assert check.ok
    assert "WARNING" in check.detail
    assert "VN-2026.9" in check.detail
    with pytest.raises(CalendarError, match="belongs to calendar"):  # the command refuses
        async with database.transaction() as tx:
            await load_calendars(tx, [SHIPPED])
    await loader.stop()
    await database.close()


async def test_what_is_provisional_is_read_back_with_who_announced_the_rest(rig: Rig) -> None:
    async with rig.database.read_transaction() as snapshot:
        current = await CalendarShelf().current(snapshot)
        assert await read_years(snapshot, current.version) == list(SHIPPED.file.years)
    assert current.provisional(2027)
    assert not current.provisional(date(2026, 1, 2))
    with pytest.raises(DBAPIError, match="calendar_year_is_announced_by"):
        async with rig.database.transaction() as tx:
            await tx.execute(
                text("INSERT INTO calendar_years VALUES (:version, 2099, 'announced', '[]')"),
                {"version": current.version},
            )


async def test_a_day_off_announced_later_reaches_open_obligations_and_those_already_called_overdue(
    rig: Rig, scoring_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.registry(regime(), agency(), agency("H99.32"))
    await rig.generate()
    await rig.follow(verdict(key=key_of("H99.32", "2026-M10"), received_at=local(2026, 10, 20, 9)))
    await rig.at(local(2026, 10, 19, 18))
    assert [(await rig.one(KEY))["overdue"], (await rig.one(key_of("H99.32", "2026-M10")))["score"]] == [True, 90]
    path = tmp_path / "vn-2026-9.yaml"
    path.write_text(newer(), encoding="utf-8")
    monkeypatch.setenv("SCORING_DATABASE_URL", scoring_url)

    assert await asyncio.to_thread(load_command, [str(path)]) == 0
    await rig.registry(agency("H99.40"))
    await rig.generate()
    for code in ("H99.31", "H99.32", "H99.40"):
        row = await rig.one(key_of(code, "2026-M10"))
        assert (row["calendar_version"], row["deadline"]) == ("VN-2026.9", local(2026, 10, 20, 17))
    assert (await rig.one(KEY))["overdue"] is False
    assert (await rig.changes())[-1] == ("terms_changed", "overdue_withdrawn", "score")
    assert (await rig.one(key_of("H99.32", "2026-M10")))["score"] == 100
    await rig.check_scores()


async def test_a_wrong_file_is_refused_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("SCORING_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    path = tmp_path / "wrong.yaml"
    path.write_text("version: X\n", encoding="utf-8")
    assert await asyncio.to_thread(load_command, [str(path)]) == 1


async def test_without_a_calendar_everything_waits_and_nothing_is_guessed(scoring_url: str) -> None:
    database = Database(scoring_url, pool_size=2)
    async with database.read_transaction() as snapshot:
        with pytest.raises(NoCalendar) as caught:
            await CalendarShelf().current(snapshot)
    assert is_infrastructure(caught.value)
    loader = calendar_loader(database)
    await loader.start()
    async with database.read_transaction() as snapshot:
        assert not (await CalendarShelf().current(snapshot)).is_working_day(date(2026, 1, 2))
    await loader.stop()
    await database.close()


async def test_the_loader_waits_for_a_database_that_is_away() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none", pool_size=1)
    loader = calendar_loader(database)
    await loader.start()
    await loader.stop()
    await database.close()


async def test_the_calendar_in_force_is_published_at_each_start_and_none_but_it(rig: Rig) -> None:
    loader = calendar_loader(rig.database)
    for _ in range(2):
        await loader.start()
    rows = await rig.rows("SELECT key, body FROM outbox WHERE type = 'vn.thongsuot.calendar.loaded.v1' ORDER BY id")
    assert [row["key"] for row in rows] == ["calendar/VN-2026.2"] * 2
    said = CalendarLoaded.model_validate_json(bytes(rows[0]["body"]))
    copied = WorkingCalendar("copy", said.first_year, said.last_year, days_off=said.days_off, made_up=said.made_up)
    own = SHIPPED.file.calendar()
    first, last = date(said.first_year, 1, 1), date(said.last_year, 12, 31)
    assert copied.working_days_between(first, last) == own.working_days_between(first, last)
    assert copied.is_working_day(date(2026, 1, 10)), "a Saturday made up"
    assert not copied.is_working_day(date(2026, 1, 2)), "the Friday given for it"

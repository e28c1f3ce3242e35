"""A load stores all or nothing, publishes only what changed, and is heard by every running instance."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.intake.access import commands as access
from services.intake.registry import load as loading
from services.intake.registry import store
from services.intake.registry.cache import RegistryCache
from services.intake.registry.commands import registry
from services.intake.registry.load import RegistryRefused
from services.intake.registry.records import KINDS, kind_of
from shared.contract.events import (
    MODELS,
    AgencyRegistered,
    AgencyRegrouped,
    AgencyStaffing,
    RegimePublished,
    RegistryEvent,
)
from shared.postgres.database import Database
from shared.runtime.clock import SystemClock
from tests.integration.intake import rig
from tests.integration.intake.rig import COMMUNE, DEPARTMENT, OFFICE, Province, load, rows
from tests.unit.intake.test_registry_files import AGENCIES, REGIME, write

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "deploy" / "sample"
WHY = ("--why", "a test")


async def published(url: str) -> list[tuple[str, int]]:
    """(key, version) of every event of a record, in order; each parses to its model. Of staffing: `staffed`."""
    found = []
    for kind, key, body in await rows(url, "SELECT type, key, body FROM outbox WHERE topic = 'registry' ORDER BY id"):
        event = MODELS[kind].model_validate_json(body)
        assert event.key == key
        if isinstance(event, AgencyRegrouped | AgencyStaffing):
            continue
        found.append((key, event.version))  # type: ignore[attr-defined]
    return found


async def staffed(url: str) -> list[tuple[str, bool]]:
    """What was published of agencies' reporting officers, in order; the versions of each grow."""
    bodies = await rows(url, "SELECT body FROM outbox WHERE starts_with(key, 'staffing/') ORDER BY id")
    events = [AgencyStaffing.model_validate_json(body) for (body,) in bodies]
    assert [event.version for event in events] == sorted(event.version for event in events)
    return [(event.agency, event.designated) for event in events]


async def test_an_agency_that_comes_to_another_group_is_told_with_the_hour_and_told_again(province: Province) -> None:
    async def told() -> list[AgencyRegrouped]:
        bodies = await rows(province.url, "SELECT body FROM outbox WHERE starts_with(key, 'regrouped/') ORDER BY id")
        return [AgencyRegrouped.model_validate_json(body) for (body,) in bodies]

    await load(province.url, [rig.agency("H99.60", kind="office", parent=DEPARTMENT)])
    await load(province.url, [rig.agency("H99.60", kind="office", parent=DEPARTMENT, name="Tên mới")])
    assert await told() == [], "it is new, and another name changes no group"
    await load(province.url, [rig.agency("H99.60", kind="department", parent=DEPARTMENT, name="Tên mới")])
    (first,) = await told()
    assert (first.agency, first.at, first.moved_at) == ("H99.60", rig.NOW, None)
    await load(province.url, [rig.agency("H99.60", kind="department", parent="H99", name="Tên mới")])
    second = (await told())[-1]
    assert (second.at, second.moved_at) == (rig.NOW, rig.NOW)
    await load(province.url, [rig.agency("H99.60", kind="office", parent="H99", name="Tên mới")])
    third = (await told())[-1]
    assert (third.at, third.moved_at) == (rig.NOW, rig.NOW), "the last of each is kept"
    assert first.version < second.version < third.version
    database = Database(province.url, pool_size=1)
    async with database.transaction() as tx:
        await loading.republish(tx)
    await database.close()
    assert (await told())[3:] == [third]


async def test_an_agency_that_loses_its_last_officer_or_gets_one_is_told(province: Province) -> None:
    # a new one without any is told; one that comes with its officer is not
    assert await staffed(province.url) == [("H99", False), (rig.OFFICE, False)]
    told = 2

    async def says(*records: RegistryEvent) -> list[tuple[str, bool]]:
        nonlocal told
        await load(province.url, records)
        everything = await staffed(province.url)
        new, told = everything[told:], len(everything)
        return new

    left = rig.officer("cb-01", DEPARTMENT, active=False)
    assert await says(rig.officer("cb-01", DEPARTMENT, name="Trần Thị B")) == []  # nothing of that changes
    assert await says(rig.officer("cb-03", DEPARTMENT, role="head")) == []
    assert await says(left) == [(DEPARTMENT, False)]
    assert await says(left) == []
    assert await says(rig.officer("cb-04", DEPARTMENT), rig.officer("cb-05", DEPARTMENT)) == [(DEPARTMENT, True)]
    assert await says(rig.officer("cb-05", DEPARTMENT, active=False)) == []  # another is there
    assert await says(rig.officer("cb-50", COMMUNE, role="head")) == [(COMMUNE, False)]
    assert await says(rig.agency("H99.60"), rig.officer("cb-60", "H99.60")) == []
    assert await says(rig.officer("cb-04", OFFICE)) == [(DEPARTMENT, False), (OFFICE, True)]  # he moves


async def test_a_replay_tells_how_every_agency_is_staffed(province: Province) -> None:
    before = len(await staffed(province.url))
    database = Database(province.url)
    try:
        async with database.transaction() as tx:
            await loading.republish(tx)
    finally:
        await database.close()
    told = dict((await staffed(province.url))[before:])
    assert told == {"H99": False, OFFICE: False, DEPARTMENT: True, COMMUNE: True, rig.DISTRICT: True}


async def test_a_first_load_publishes_everything_as_version_one_and_a_second_nothing(database_of_intake: str) -> None:
    first = await load(database_of_intake, rig.records())
    assert (first.published, first.new["agency"], first.unchanged) == (len(rig.records()), 5, {})
    assert await published(database_of_intake) == [(record.key, 1) for record in rig.records()]
    second = await load(database_of_intake, rig.records())
    assert (second.published, second.unchanged["agency"]) == (0, 5)
    assert len(await published(database_of_intake)) == len(rig.records())
    assert await rows(database_of_intake, "SELECT revision FROM registry_revision") == [(1,)]


async def test_only_what_changed_gets_a_new_version_and_is_published(province: Province) -> None:
    before = len(await published(province.url))
    loaded = await load(
        province.url, [rig.agency(DEPARTMENT, parent="H99", name="Sở mới"), rig.officer("cb-01", DEPARTMENT)]
    )
    assert (loaded.changed, loaded.unchanged) == ({"agency": 1}, {"officer": 1})
    assert (await published(province.url))[before:] == [(f"agency/{DEPARTMENT}", 2)]
    body = (await rows(province.url, "SELECT body FROM outbox WHERE topic = 'registry' ORDER BY id DESC LIMIT 1"))[0][0]
    assert AgencyRegistered.model_validate_json(body).name == "Sở mới"


async def test_one_error_and_nothing_is_stored_or_published(province: Province) -> None:
    before = await rows(province.url, "SELECT key, version, revision FROM registry ORDER BY key")
    with pytest.raises(RegistryRefused) as refused:
        await load(province.url, [rig.agency("H99.61"), rig.officer("cb-61", "H77"), rig.regime(name="Khác")])
    assert len(refused.value.errors) == 2
    assert "regime_version: 2" in str(refused.value)
    assert await rows(province.url, "SELECT key, version, revision FROM registry ORDER BY key") == before


async def test_a_new_version_of_a_regime_stands_beside_the_old_one(province: Province) -> None:
    await load(province.url, [rig.regime(name="Khác", regime_version=2, effective_from=date(2027, 1, 1))])
    keys = [
        row[0] for row in await rows(province.url, "SELECT key FROM registry WHERE key LIKE 'regime/KTXH/%' ORDER BY 1")
    ]
    assert keys == ["regime/KTXH/1", "regime/KTXH/2"]


async def test_two_loads_at_once_are_one_after_the_other(database_of_intake: str) -> None:
    renamed = [*rig.records()[1:], rig.agency("H99", "province", name="Tên khác")]
    await asyncio.gather(load(database_of_intake, rig.records()), load(database_of_intake, renamed))
    versions: dict[str, list[int]] = {}
    for key, version in await published(database_of_intake):
        versions.setdefault(key, []).append(version)
    assert versions.pop("agency/H99") == [1, 2]
    assert all(given == [1] for given in versions.values())


@pytest.mark.parametrize("page", [1, 2, 500])
async def test_the_door_knows_every_record_however_many_are_read_at_a_time(
    database_of_intake: str, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PAGE_RECORDS", page)
    await load(database_of_intake, rig.records())
    database = Database(database_of_intake)
    try:
        cache = RegistryCache(database, SystemClock())
        await cache.refresh()
        expected = Counter(kind_of(record.key) for record in rig.records())
        assert cache.registry.sizes() == {kind: expected[kind] for kind in KINDS}
        # a change later is taken into what is known, and nothing else is forgotten
        await load(database_of_intake, [rig.officer("cb-01", DEPARTMENT, active=False)])
        assert cache.registry.officers["cb-01"].active
        await cache.refresh()
        assert not cache.registry.officers["cb-01"].active
        assert cache.registry.sizes() == {kind: expected[kind] for kind in KINDS}
    finally:
        await database.close()


SLOW: dict[str, float] = {"poll_seconds": 0.01, "max_age_seconds": 0.6}


async def _slowly(tx: Any, after: int) -> AsyncIterator[list[RegistryEvent]]:
    """Its pages come one after the other, and all of them take longer than the cache may be old."""
    for record in [record async for page in _pages_after(tx, after) for record in page]:
        await asyncio.sleep(0.15)
        yield [record]


_pages_after = store.pages_after


async def test_a_registry_that_takes_longer_to_read_than_it_may_be_old_is_read_all_the_same(
    database_of_intake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "pages_after", _slowly)
    await load(database_of_intake, rig.records())
    assert len(rig.records()) * 0.15 > 2 * SLOW["max_age_seconds"]
    database = Database(database_of_intake)
    cache = RegistryCache(database, SystemClock(), **SLOW)
    try:
        with pytest.raises(TimeoutError):  # the control: a request waits no longer than that, and the poll did so too
            await cache.refresh()
        assert cache.revision == -1
        await cache.start()
        deadline = asyncio.get_running_loop().time() + 30
        while sum(cache.registry.sizes().values()) < len(rig.records()):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
    finally:
        await cache.stop()
        await database.close()


def run(url: str, command: Callable[[Sequence[str]], int], *arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("INTAKE_DATABASE_URL", url)
    return command(arguments)


def test_the_commands_load_republish_and_make_keys(
    database_of_intake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = database_of_intake
    folder = write(tmp_path, agencies=AGENCIES, regimes__ktxh=REGIME)
    assert run(url, registry, "apply", str(folder), *WHY, "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)["published"] == 3
    assert run(url, registry, "apply", str(folder), *WHY, monkeypatch=monkeypatch) == 0
    assert "published: 0" in capsys.readouterr().out
    assert run(url, registry, "republish", monkeypatch=monkeypatch) == 0
    assert asyncio.run(published(url)) == [
        ("agency/H99", 1), ("agency/H99.01", 1), ("regime/KTXH/1", 1),
        ("agency/H99", 1), ("agency/H99.01", 1), ("regime/KTXH/1", 1),
    ]  # fmt: skip

    assert run(url, access.api_keys, "create", "--all", "--json", monkeypatch=monkeypatch) == 0
    out = capsys.readouterr().out
    made = json.loads(out[out.index("{") :])["keys"]
    assert [key["agency"] for key in made] == ["H99", "H99.01"]
    assert (
        run(url, access.api_keys, "create", "--agency", "H99", "--expires", "2099-01-01", monkeypatch=monkeypatch) == 0
    )
    assert run(url, access.api_keys, "create", "--agency", "H99", monkeypatch=monkeypatch) == 1
    assert "revoke one first" in capsys.readouterr().err
    # one agency with two keys keeps no other from having one, and is told at the end
    assert run(url, access.api_keys, "create", "--all", "--json", monkeypatch=monkeypatch) == 1
    shown = capsys.readouterr()
    second = json.loads(shown.out)
    assert [key["agency"] for key in second["keys"]] == ["H99.01"]
    assert [refused["agency"] for refused in second["refused"]] == ["H99"]
    assert "1 keys made; 1 agencies have no new key" in shown.err
    assert run(url, access.api_keys, "create", "--all", monkeypatch=monkeypatch) == 1
    shown = capsys.readouterr()
    assert "tsk_" not in shown.out
    assert shown.err.count("revoke one first") == 2
    assert run(url, access.api_keys, "revoke", made[0]["key_id"], "--why", "mất khóa", monkeypatch=monkeypatch) == 0
    assert run(url, access.api_keys, "revoke", made[0]["key_id"], "--why", "mất khóa", monkeypatch=monkeypatch) == 1
    capsys.readouterr()
    assert run(url, access.api_keys, "list", "--json", monkeypatch=monkeypatch) == 0
    listed = capsys.readouterr().out
    assert [key["live"] for key in json.loads(listed)["keys"]] == [False, True, True, True]
    assert not any(key["key"][13:] in listed for key in made)
    assert run(url, access.api_keys, "list", "--agency", "H99.01", monkeypatch=monkeypatch) == 0
    assert "H99.01" in capsys.readouterr().out
    assert run(url, access.api_keys, "list", "--agency", "NOPE", monkeypatch=monkeypatch) == 1
    assert "There is no agency NOPE in the registry" in capsys.readouterr().err


def test_a_load_with_errors_tells_them_all_and_exits_with_one(
    database_of_intake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = AGENCIES.replace("parent: H99", "parent: H77").replace("kind: province", "kind: planet")
    late = REGIME.replace("receiver: H99", "receiver: H99.01").replace("day: 18", "day: 3")
    folder = write(tmp_path, agencies=bad, regimes__ktxh=late)
    assert run(database_of_intake, registry, "apply", str(folder), *WHY, monkeypatch=monkeypatch) == 1
    told = capsys.readouterr().err
    assert "agencies.yaml:4:11 /agencies/0/kind" in told
    assert "agencies.yaml:9:13 /agencies/1/parent" in told
    assert "regimes/ktxh.yaml:8:1 /deadline" in told, "what scoring says comes with the rest"
    assert "before its own cut-off" in told
    assert "3 errors; nothing was stored" in told
    assert asyncio.run(rows(database_of_intake, "SELECT count(*) FROM registry")) == [(0,)]


def test_a_check_can_be_switched_off_loudly_and_only_by_name(
    database_of_intake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path, agencies=AGENCIES, regimes__ktxh=REGIME.replace("day: 18", "day: 3"))
    assert run(database_of_intake, registry, "apply", str(folder), *WHY, monkeypatch=monkeypatch) == 1
    monkeypatch.setenv("INTAKE_CHECKS_OFF", "scoring, planner")
    assert run(database_of_intake, registry, "apply", str(folder), *WHY, monkeypatch=monkeypatch) == 2
    assert "planner" in capsys.readouterr().err
    monkeypatch.setenv("INTAKE_CHECKS_OFF", "scoring")
    assert run(database_of_intake, registry, "apply", str(folder), *WHY, "--json", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert "WARNING: INTAKE_CHECKS_OFF – scoring does NOT check" in said.err
    assert json.loads(said.out)["unchecked_by"] == ["scoring"]


async def test_a_registry_that_moved_since_it_was_looked_at_is_looked_at_again(province: Province) -> None:
    database = Database(province.url, pool_size=1)
    try:
        async with database.read_transaction() as tx:
            made = await loading.draft(tx, rig.proposed([rig.agency("H99.61")]), rig.NOW)
        await load(province.url, [rig.agency("H99.62")])
        with pytest.raises(loading.RegistryMoved):
            async with database.transaction() as tx:
                await loading.save(tx, made, rig.NOW, rig.AUTHOR)
    finally:
        await database.close()


@pytest.mark.parametrize(
    "arguments", [("registry", "republish"), ("registry", "apply", str(SAMPLE), "--past-requests", *WHY)]
)
def test_a_command_without_its_database_says_so(arguments: tuple[str, ...]) -> None:
    url = "postgresql://nobody:x@127.0.0.1:9/none"
    done = subprocess.run(
        [sys.executable, "-m", "services.intake", *arguments],
        env={**os.environ, "INTAKE_DATABASE_URL": url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert "database" in done.stderr


def test_the_sample_province_loads(
    database_of_intake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(database_of_intake, registry, "apply", str(SAMPLE), *WHY, monkeypatch=monkeypatch) == 1
    assert "--past-requests" in capsys.readouterr().err, "the quarter of its requests is over"
    asked = (str(SAMPLE), "--past-requests", "--json", *WHY)
    assert run(database_of_intake, registry, "apply", *asked, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr()
    assert "ignored, no YAML: names.py" in said.err
    counts = json.loads(said.out)
    assert counts["new"]["agency"] >= 120
    assert counts["new"]["regime"] >= 6


def test_regimes_are_compared_by_what_they_say_not_by_how_they_were_written() -> None:
    from services.intake.registry.records import content_of, record_of

    regime = rig.regime(version=3)
    stored = record_of(regime.key, 3, json.loads(json.dumps(content_of(regime))))
    assert isinstance(stored, RegimePublished)
    assert stored == regime

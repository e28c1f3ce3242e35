"""Policies in the database: loaded once, never changed, none that changes scores already given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.scoring.scores.policy import PolicyError, PolicyMissing, shipped_policies
from services.scoring.scores.policy.data import ReadPolicy, parse_policy
from services.scoring.scores.policy.loading import load_command, policy_loader
from services.scoring.scores.policy.store import PolicyShelf, load_policies
from shared.contract.events import PolicyLoaded
from shared.postgres.database import Database, is_infrastructure
from shared.runtime.clock import ManualClock
from tests.integration.scoring.rig import Rig, agency, key_of, local, regime
from tests.stack import as_owner
from tests.unit.scoring.samples import verdict

(SHIPPED,) = shipped_policies()
TODAY = date(2026, 10, 1)

PUT_UNDER = (
    "UPDATE obligations SET terms = jsonb_set(CAST(terms AS jsonb), '{policy_version}', CAST(:version AS jsonb))::json"
)


def another(version: str = "2027.1", effective_from: str = "2027-01-01", points: str = "60") -> ReadPolicy:
    body = SHIPPED.body.replace('version: "2019.1"', f'version: "{version}"')
    body = body.replace("effective_from: 2019-03-12", f"effective_from: {effective_from}")
    return parse_policy(f"{version}.yaml", body.replace('full: "60"', f'full: "{points}"').encode())


async def load(rig: Rig, *policies: ReadPolicy, today: date = TODAY) -> tuple[list[str], dict[str, str]]:
    async with rig.database.transaction() as tx:
        loaded = await load_policies(tx, policies, today)
    return loaded.versions, loaded.left_out


async def judged(rig: Rig) -> None:
    await rig.registry(regime(), agency())
    await rig.generate()


async def test_loading_twice_loads_once(rig: Rig) -> None:
    assert await load(rig, SHIPPED) == ([], {})
    assert [row["sha256"] for row in await rig.rows("SELECT sha256 FROM policies")] == [SHIPPED.sha256]


async def test_a_version_with_other_contents_is_refused_with_both_checksums(rig: Rig) -> None:
    changed = another("2019.1", "2019-03-12", points="61")
    with pytest.raises(PolicyError, match="may not change") as caught:
        await load(rig, changed)
    assert SHIPPED.sha256 in str(caught.value)
    assert changed.sha256 in str(caught.value)


async def test_two_policies_do_not_begin_on_one_day(rig: Rig) -> None:
    assert await load(rig, another()) == (["2027.1"], {})
    with pytest.raises(PolicyError, match=r"2027\.1 already begins on 2027-01-01"):
        await load(rig, another("2027.2"))


async def test_what_was_scored_is_not_judged_again_by_a_policy_of_an_earlier_day(rig: Rig) -> None:
    await judged(rig)
    for first_day in ("2026-09-30", "2026-10-01"):
        versions, left_out = await load(rig, another("2026.9", first_day))
        assert versions == []
        assert "would change scores already given" in left_out["2026.9"]
    assert await load(rig, another("2026.10", "2026-10-02")) == (["2026.10"], {})


async def test_where_nothing_is_judged_yet_any_day_may_be_the_first(rig: Rig) -> None:
    assert await load(rig, another("2026.9", "2026-09-01")) == (["2026.9"], {})


async def test_the_control_a_policy_of_an_earlier_day_would_take_over_what_is_scored(rig: Rig) -> None:
    """Past the gate the book gives another policy to a deadline that was judged by the first one."""
    await judged(rig)
    was = (
        await rig.rows(
            "SELECT terms->>'policy_version' AS policy_version, deadline FROM obligations ORDER BY 2 LIMIT 1"
        )
    )[0]
    async with rig.database.transaction() as tx:
        await load_policies(tx, [another("2026.9", "2026-09-01")], date(2026, 8, 1))
        book = await PolicyShelf().refresh(tx)
    assert book.governing(was["deadline"].date()).version == "2026.9" != was["policy_version"]


async def test_a_version_that_obligations_name_may_come_back(rig: Rig) -> None:
    await judged(rig)
    async with rig.database.transaction() as tx:
        await tx.execute(text(PUT_UNDER), {"version": '"2020.1"'})
    assert await load(rig, another("2020.1", "2020-01-01")) == (["2020.1"], {})


@pytest.mark.parametrize(
    "statement",
    ["UPDATE policies SET loaded_at = now()", "DELETE FROM policies", "TRUNCATE policies",
     "INSERT INTO policies VALUES ('x', '2030-01-01', repeat('0', 64), 'x')"],
)  # fmt: skip
async def test_the_database_keeps_a_policy_as_it_was_loaded(rig: Rig, scoring_url: str, statement: str) -> None:
    """From the tables' owner, too."""
    owner = Database(as_owner(scoring_url), pool_size=1)
    with pytest.raises(DBAPIError, match=r"never changes|policy_is_its_file"):
        async with owner.transaction() as tx:
            await tx.execute(text(statement))
    await owner.close()


async def test_a_policy_loaded_meanwhile_governs_deadlines_from_its_first_day(rig: Rig) -> None:
    await judged(rig)
    assert await load(rig, another("2026.12", "2026-12-01")) == (["2026.12"], {})
    await rig.registry(agency("H99.40"))
    await rig.at(local(2026, 10, 20, 8))
    policies = {row["period"]: row["policy_version"] for row in await rig.rows(
        "SELECT period, terms->>'policy_version' AS policy_version FROM obligations WHERE agency = 'H99.40'"
    )}  # fmt: skip
    assert policies["2026-M11"] == "2019.1"  # due on 18/11
    assert policies["2026-M12"] == "2026.12"


async def test_a_policy_that_another_instance_has_just_used_is_read_when_it_is_met(rig: Rig) -> None:
    await judged(rig)
    await load(rig, another("2026.10", "2026-10-05", points="50"))
    async with rig.database.transaction() as tx:
        await tx.execute(text(PUT_UNDER), {"version": '"2026.10"'})
    await rig.follow(verdict())  # no generator ticks between
    assert (await rig.one(key_of("H99.31", "2026-M10")))["score"] == 90


async def test_without_a_policy_everything_waits(scoring_url: str) -> None:
    database = Database(scoring_url, pool_size=2)
    async with database.read_transaction() as snapshot:
        with pytest.raises(PolicyMissing) as caught:
            await PolicyShelf().refresh(snapshot)
    assert is_infrastructure(caught.value)
    await database.close()


async def test_a_policy_of_a_newer_release_is_waited_for_and_not_passed_over(rig: Rig) -> None:
    body = SHIPPED.body.replace("2019.1", "2030.1").replace("2019-03-12", "2030-01-01") + "bonus: 1\n"
    async with rig.database.transaction() as tx:
        await tx.execute(
            text("INSERT INTO policies (version, effective_from, sha256, body) VALUES ('2030.1', '2030-01-01',"
                 " encode(sha256(convert_to(:body, 'UTF8')), 'hex'), :body)"), {"body": body}
        )  # fmt: skip
    with pytest.raises(PolicyMissing, match=r"2030\.1.*cannot be read"):
        async with rig.database.read_transaction() as snapshot:
            await PolicyShelf().refresh(snapshot)


async def test_two_loads_at_once_do_not_both_take_a_day(rig: Rig) -> None:
    outcomes = await asyncio.gather(
        load(rig, another("2027.1")), load(rig, another("2027.2")), load(rig, another("2027.1")), return_exceptions=True
    )
    assert len(await rig.rows("SELECT 1 FROM policies WHERE effective_from = '2027-01-01'")) == 1
    assert all(isinstance(outcome, tuple | PolicyError) for outcome in outcomes), outcomes


# --- at start and by command ----------------------------------------------------------------------------------------


async def test_the_service_loads_what_it_ships_and_waits_for_a_database_that_is_away(
    scoring_url: str, rig: Rig
) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", pool_size=1)
    loader = policy_loader(away, rig.clock)
    await loader.start()
    assert not loader.checks()["policies"].ok
    await loader.stop()
    await away.close()
    loader = policy_loader(rig.database, rig.clock)
    await loader.start()
    assert loader.checks()["policies"].ok
    await loader.stop()


async def test_a_shipped_policy_of_an_earlier_day_is_left_out_and_readiness_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await judged(rig)
    later = another("2026.9", "2026-09-01")
    monkeypatch.setattr("services.scoring.scores.policy.loading.shipped_policies", lambda: [SHIPPED, later])
    loader = policy_loader(rig.database, rig.clock)
    await loader.start()
    check = loader.checks()["policies"]
    assert check.ok
    assert "WARNING" in check.detail
    assert "2026.9" in check.detail
    changed = replace(SHIPPED, sha256="0" * 64)
    monkeypatch.setattr("services.scoring.scores.policy.loading.shipped_policies", lambda: [changed])
    with pytest.raises(PolicyError):
        await policy_loader(rig.database, rig.clock).start()


@pytest.fixture
def command(
    rig: Rig, scoring_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    monkeypatch.setenv("SCORING_DATABASE_URL", scoring_url)
    monkeypatch.setenv("BUSINESS_CLOCK", "2026-10-01T08:00:00+07:00@4102444800x1")  # stands: its start is in 2100

    def run(body: str) -> tuple[int, str]:
        path = tmp_path / "policy.yaml"
        path.write_text(body, encoding="utf-8")
        code = load_command([str(path)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


async def test_the_command_loads_refuses_and_says_why(rig: Rig, command: Callable[[str], tuple[int, str]]) -> None:
    await judged(rig)
    code, said = await asyncio.to_thread(command, another().body)
    assert code == 0
    assert another().sha256 in said
    assert (await asyncio.to_thread(command, another().body))[0] == 0  # again: nothing new
    for body, complaint in (
        (another(points="61").body, another().sha256),  # same version, other contents
        (another("2026.9", "2026-10-01").body, "would change scores already given"),
        (another("2027.2").body, "already begins"),
        (another().body.replace("counts: accepted", "counts: all"), "policy.yaml:"),
    ):
        code, said = await asyncio.to_thread(command, body)
        assert (code, complaint in said) == (1, True), said
    assert len(await rig.rows("SELECT 1 FROM policies")) == 2


async def test_every_policy_is_published_at_each_start_with_what_its_clauses_say(rig: Rig) -> None:
    await load(rig, another(points="50"))
    loader = policy_loader(rig.database, ManualClock(local(2026, 10, 1)))
    for _ in range(2):
        await loader.start()
    rows = await rig.rows("SELECT key, body FROM outbox WHERE type = :type ORDER BY id", type=PolicyLoaded.TYPE)
    assert [row["key"] for row in rows] == ["policy/2019.1", "policy/2027.1"] * 2
    told = [PolicyLoaded.model_validate_json(bytes(row["body"])) for row in rows[:2]]
    assert [(one.effective_from, int(one.timeliness_full), int(one.off_per_working_day)) for one in told] == [
        (date(2019, 3, 12), 60, 10), (date(2027, 1, 1), 50, 10),
    ]  # fmt: skip
    late = next(clause for clause in told[0].clauses if clause.rule == "late")
    assert (late.clause, late.text[:11]) == ("1.b", "Trừ 10 điểm")
    assert {clause.rule for clause in told[0].clauses} == {"on_time", "late", "overdue", "complete"}

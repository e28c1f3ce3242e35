"""Reliefs: how they are proposed and decided, and how they reach the obligations they cover, all and no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.scoring.obligations import setbacks, store
from services.scoring.reliefs import decisions
from services.scoring.reliefs import store as reliefs
from services.scoring.reliefs.commands import reliefs_command
from services.scoring.reliefs.decisions import Proposal, Refused
from services.scoring.tables import metadata
from shared.contract.events import PersonRegistered
from shared.contract.events.registry import PersonsOffice
from tests.fakes.operators import OPERATOR, let_agency_in, let_person_in
from tests.integration.scoring.rig import KEY, REGIME, Rig, agency, key_of, local, regime
from tests.integration.scoring.test_scoring_service import client, every_page
from tests.unit.scoring.samples import DEADLINE, verdict

__all__ = ["client"]

AFTER = DEADLINE + timedelta(minutes=1)
STARTS, ENDS = DEADLINE - timedelta(hours=3), DEADLINE + timedelta(days=1)
GRACE = timedelta(hours=24)


async def ready(rig: Rig, agencies: int = 1, *more: Any) -> list[str]:
    codes = [f"H99.{31 + number}" for number in range(agencies)]
    await rig.registry(regime(), *(agency(code) for code in codes), *more)
    await rig.generate()
    return [key_of(code, "2026-M10") for code in codes]


async def proposed(rig: Rig, starts_at: datetime = STARTS, ends_at: datetime = ENDS, **scope: Any) -> str:
    proposal = Proposal(starts_at, ends_at, "Mất điện toàn tỉnh", "Trần Thị B", **scope)
    async with rig.database.transaction() as tx:
        assert await decisions.propose(tx, proposal, rig.clock.now(), GRACE)
    return proposal.relief_id


async def decided(rig: Rig, relief_id: str, status: Any = "granted") -> None:
    async with rig.database.transaction() as tx:
        await decisions.decide(tx, relief_id, status, "Lê Văn C", "theo công văn 12", rig.clock.now())


async def granted(rig: Rig, starts_at: datetime = STARTS, ends_at: datetime = ENDS, **scope: Any) -> str:
    relief_id = await proposed(rig, starts_at, ends_at, **scope)
    await decided(rig, relief_id)
    return relief_id


async def deadlines(rig: Rig, period: str = "2026-M10") -> dict[str, datetime]:
    query = "SELECT obligation, deadline FROM obligations WHERE period = :period"
    return {row["obligation"]: row["deadline"] for row in await rig.rows(query, period=period)}


# --- reaching the obligations -------------------------------------------------------------------------------------


async def test_more_obligations_than_a_tick_takes_all_get_it_before_anybody_is_marked(rig: Rig) -> None:
    keys = await ready(rig, 10)  # a tick takes three
    relief_id = await granted(rig)
    await rig.at(AFTER)
    assert await deadlines(rig) == dict.fromkeys(keys, ENDS)
    assert await rig.published("overdue") == []
    assert {event.reliefs for event in await rig.published("relief")} == {(relief_id,)}
    await rig.at(ENDS + timedelta(minutes=1))
    assert sorted(event.obligation for event in await rig.published("overdue")) == sorted(keys)
    await rig.check_scores()


@pytest.mark.parametrize("waits", [True, False])
async def test_marking_waits_until_a_relief_is_applied(rig: Rig, monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    """The control: a sweep that does not look for reliefs first calls agencies overdue that have until tomorrow."""
    await ready(rig, 4)
    await granted(rig)
    if not waits:

        async def nothing(tx: Any) -> None:
            return None

        monkeypatch.setattr(reliefs, "lock_unapplied", nothing)
    await rig.at(AFTER)
    assert len(await rig.published("overdue")) == (0 if waits else 4)


async def test_progress_that_is_rolled_back_is_made_again(rig: Rig) -> None:
    keys = await ready(rig, 7)
    relief_id = await granted(rig)

    async def until() -> str:
        row = (await rig.rows("SELECT applied_until FROM reliefs WHERE relief_id = :id", id=relief_id))[0]
        return str(row["applied_until"])

    async with rig.database.transaction() as tx:
        assert await rig.sweep.tick(tx) == 3
    first = await until()
    assert first != ""
    with suppress(ConnectionError):
        async with rig.database.transaction() as tx:
            assert await rig.sweep.tick(tx) == 3
            raise ConnectionError
    assert await until() == first, "progress and what was done stand or fall together"
    assert sum(deadline == ENDS for deadline in (await deadlines(rig)).values()) == 3
    await rig.at(AFTER)
    assert await deadlines(rig) == dict.fromkeys(keys, ENDS)
    assert [len(await rig.published("relief", key)) for key in keys] == [1] * 7


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({"agencies": ("H99.31",)}, {"H99.31/KTXH-THANG", "H99.31/OTHER"}),
        ({"regimes": ("OTHER",)}, {"H99.31/OTHER", "H99.32/OTHER"}),
        ({"obligations": (KEY,)}, {"H99.31/KTXH-THANG"}),
        ({"agencies": ("H99.32",), "regimes": ("OTHER",)}, {"H99.32/OTHER"}),
        ({}, {"H99.31/KTXH-THANG", "H99.31/OTHER", "H99.32/KTXH-THANG", "H99.32/OTHER"}),
    ],
)
async def test_it_reaches_its_scope_and_nothing_else(rig: Rig, scope: dict[str, Any], covered: set[str]) -> None:
    await ready(rig, 2, regime("OTHER"))
    await granted(rig, **scope)
    await rig.at(AFTER)
    moved = {key for key, deadline in (await deadlines(rig)).items() if deadline == ENDS}
    assert {key.rpartition("/")[0] for key in moved} == covered


async def test_what_is_taken_back_moves_the_deadlines_back(rig: Rig) -> None:
    keys = await ready(rig, 5)
    relief_id = await granted(rig)
    await rig.mark()
    assert set((await deadlines(rig)).values()) == {ENDS}
    await decided(rig, relief_id, "rejected")
    await rig.mark()
    assert await deadlines(rig) == dict.fromkeys(keys, DEADLINE)
    await rig.at(AFTER)
    assert len(await rig.published("overdue")) == 5


async def test_a_relief_that_another_one_prolonged_can_still_be_taken_back(rig: Rig) -> None:
    """Its deadlines lie behind its own end then: they are found by what was planned."""
    await ready(rig, 2)
    first = await granted(rig)
    await granted(rig, ENDS - timedelta(hours=1), ENDS + timedelta(days=2))
    await rig.mark()
    assert set((await deadlines(rig)).values()) == {ENDS + timedelta(days=2)}
    await decided(rig, first, "rejected")
    await rig.mark()
    assert set((await deadlines(rig)).values()) == {DEADLINE}


async def test_obligations_opened_later_get_it_too(rig: Rig) -> None:
    await ready(rig)
    await granted(rig)
    await rig.mark()
    await rig.registry(agency("H99.40"))
    await rig.generate()
    await rig.follow(verdict(key=key_of("H99.41", "2026-M10"), received_at=DEADLINE + timedelta(hours=2)))
    await rig.registry(agency("H99.41"))
    await rig.at(AFTER)
    found = await deadlines(rig)
    assert {found[KEY], found[key_of("H99.40", "2026-M10")], found[key_of("H99.41", "2026-M10")]} == {ENDS}
    assert await rig.published("overdue") == []


async def test_a_deadline_that_moves_into_it_gets_it_too(rig: Rig) -> None:
    """Brought forward from behind the relief's end, where it was none of its business."""
    await rig.registry(regime(deadline={"rule": "day_of_month", "day": 28}), agency())
    await rig.generate()
    await granted(rig)
    await rig.mark()
    assert (await deadlines(rig))[KEY] > ENDS
    await rig.registry(regime(version=2))
    await rig.at(local(2026, 10, 2))
    assert (await deadlines(rig))[KEY] == ENDS


async def test_a_report_within_the_relief_is_in_time(rig: Rig) -> None:
    await ready(rig)
    await rig.follow(verdict(received_at=DEADLINE + timedelta(hours=5)))
    assert (await rig.one())["on_time"] is False
    rig.clock.set(DEADLINE + timedelta(hours=6))
    await granted(rig)
    await rig.mark()
    row = await rig.one()
    assert (row["on_time"], row["score"]) == (True, 100)
    await rig.check_scores()


async def test_while_it_is_only_proposed_nobody_it_covers_is_called_overdue_before_its_hold_is_over(rig: Rig) -> None:
    await ready(rig, 2)
    await proposed(rig, agencies=("H99.31",))
    await rig.at(AFTER)
    assert [event.agency for event in await rig.published("overdue")] == ["H99.32"]
    await rig.at(ENDS + GRACE)
    assert len(await rig.published("overdue")) == 1
    await rig.at(ENDS + GRACE + timedelta(minutes=1))
    assert [event.agency for event in await rig.published("overdue")] == ["H99.32", "H99.31"]


async def test_what_is_rejected_holds_nothing_back_any_more(rig: Rig) -> None:
    await ready(rig)
    relief_id = await proposed(rig)
    await rig.at(AFTER)
    await decided(rig, relief_id, "rejected")
    await rig.mark()
    assert len(await rig.published("overdue")) == 1


async def test_an_obligation_that_cannot_take_it_is_tried_again_and_keeps_no_other_back(rig: Rig) -> None:
    keys = await ready(rig, 3)
    document = (await rig.rows("SELECT document FROM obligations WHERE obligation = :key", key=keys[1]))[0]["document"]
    await spoil(rig, keys[1], {"facts": 1})
    await granted(rig)
    await rig.at(AFTER)
    assert {key for key, deadline in (await deadlines(rig)).items() if deadline == ENDS} == {keys[0], keys[2]}
    async with rig.database.transaction() as tx:
        assert list(await setbacks.read(tx, "relief")) == [keys[1]]
        assert f"relief {keys[1]}" in await setbacks.retry(tx, [keys[1]])
    await spoil(rig, keys[1], document)
    await rig.mark()
    assert (await rig.one(keys[1]))["deadline"] == ENDS
    async with rig.database.transaction() as tx:
        assert await setbacks.read(tx, "relief") == {}


async def spoil(rig: Rig, key: str, document: Any) -> None:
    async with rig.database.transaction() as tx:
        await tx.execute(
            text("UPDATE obligations SET document = CAST(:document AS json) WHERE obligation = :key"),
            {"key": key, "document": json.dumps(document)},
        )


# --- deciding -----------------------------------------------------------------------------------------------------


async def test_every_decision_is_kept_and_none_can_be_changed(rig: Rig) -> None:
    await ready(rig)
    relief_id = await granted(rig)
    await decided(rig, relief_id, "rejected")
    async with rig.database.read_transaction() as snapshot:
        shown = await reliefs.one(snapshot, relief_id)
    assert shown is not None
    assert [(decision["before"], decision["after"], decision["decided_by"]) for decision in shown["decisions"]] == [
        (None, "proposed", "Trần Thị B"), ("proposed", "granted", "Lê Văn C"), ("granted", "rejected", "Lê Văn C"),
    ]  # fmt: skip
    for change in ("UPDATE relief_decisions SET reason = 'x'", "DELETE FROM relief_decisions"):
        with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
            async with rig.database.transaction() as tx:
                await tx.execute(text(change))


#: three working days of notice before the span begins on Monday 19 October at 14:00: from Wednesday on
MOMENTS = {
    "begin": STARTS,
    "within the notice": STARTS - timedelta(days=5) + timedelta(seconds=1),
    "before the notice": STARTS - timedelta(days=5),
}


@pytest.mark.parametrize(
    ("steps", "refusal"),
    [
        (["granted", "granted"], "is decided already"),
        (["rejected", "rejected"], "is decided already"),
        (["rejected", "granted"], "is decided already"),
        (["granted", "begin", "rejected"], "agencies rely on it"),
        (["granted", "within the notice", "rejected"], "agencies rely on it"),
        (["granted", "before the notice", "rejected"], None),
        (["granted", "rejected"], None),
        (["begin", "rejected"], None),
    ],
)
async def test_what_may_be_decided_after_what(rig: Rig, steps: list[str], refusal: str | None) -> None:
    relief_id = await proposed(rig)
    for step in steps[:-1]:
        if step in MOMENTS:
            rig.clock.set(MOMENTS[step])
        else:
            await decided(rig, relief_id, step)
    if refusal is None:
        await decided(rig, relief_id, steps[-1])
        return
    with pytest.raises(Refused, match=refusal):
        await decided(rig, relief_id, steps[-1])


async def test_where_the_calendar_ends_a_relief_is_not_taken_back_and_it_is_said_why(rig: Rig) -> None:
    async with rig.database.transaction() as tx:
        last = (await rig.rules.current_calendar(tx)).last_year
        span = Proposal(local(last, 12, 31, 14), local(last, 12, 31, 16), "Mất điện toàn tỉnh", "Trần Thị B")
        await decisions.propose(tx, span, rig.clock.now(), GRACE)
    await decided(rig, span.relief_id, "granted")
    rig.clock.set(local(last, 12, 31, 9))
    with pytest.raises(Refused, match=f"no calendar of {last + 1}"):
        await decided(rig, span.relief_id, "rejected")
    rig.clock.set(local(last, 12, 31, 15))
    with pytest.raises(Refused, match="agencies rely on it"):
        await decided(rig, span.relief_id, "rejected")


async def test_who_was_reminded_of_a_deadline_that_a_relief_moved_relies_on_it(rig: Rig) -> None:
    await rig.registry(regime(remind_working_days=9), agency())
    await rig.generate()
    relief_id = await granted(rig)
    await rig.mark()
    await rig.at(local(2026, 10, 9, 8))  # reminded, by the planned deadline's day, of the moved one
    assert len(await rig.published("due_soon")) == 1
    with pytest.raises(Refused, match="were reminded by it"):
        await decided(rig, relief_id, "rejected")
    assert (await rig.one())["deadline"] == ENDS


async def test_the_same_proposal_stands_there_once(rig: Rig) -> None:
    await proposed(rig)
    async with rig.database.transaction() as tx:
        again = Proposal(STARTS, ENDS, "Mất điện toàn tỉnh", "Trần Thị B")
        assert not await decisions.propose(tx, again, rig.clock.now(), GRACE)
    assert len(await rig.rows("SELECT 1 FROM reliefs")) == len(await rig.rows("SELECT 1 FROM relief_decisions")) == 1


async def test_readiness_warns_of_proposals_until_they_are_decided(rig: Rig) -> None:
    async def said() -> str:
        async with rig.database.read_transaction() as snapshot:
            seen = await decisions.check_proposals(snapshot)
        assert seen.ok
        return seen.detail

    assert "WARNING" not in await said()
    relief_id = await proposed(rig)
    assert "WARNING 1 proposed" in await said()
    await decided(rig, relief_id)
    assert "WARNING" not in await said()


# --- commands and HTTP --------------------------------------------------------------------------------------------


@pytest.fixture
def command(
    rig: Rig, scoring_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("SCORING_DATABASE_URL", scoring_url)
    monkeypatch.setenv("BUSINESS_CLOCK", "2026-10-01T08:00:00+07:00@4102444800x1")  # stands: its start is in 2100

    def run(*line: str) -> tuple[int, str]:
        try:
            code = reliefs_command(line)
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def adding(**changes: str) -> list[str]:
    options = {
        "from": STARTS.isoformat(), "to": ENDS.isoformat(), "reason": "Mất điện", "by": "Trần Thị B",
    } | changes  # fmt: skip
    return ["add", *(part for name, value in options.items() for part in (f"--{name}", value))]


async def test_the_commands_propose_list_show_and_decide(
    rig: Rig, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    await ready(rig)
    paper = tmp_path / "công văn 12.pdf"
    paper.write_bytes(b"x" * 10)
    code, said = await asyncio.to_thread(command, *adding(agency="H99.31", regime=REGIME, evidence=str(paper)))
    assert code == 0, said
    relief_id = said.split("proposed: ")[1].split()[0]
    again = adding(agency="H99.31", regime=REGIME)
    assert f"it is there already: {relief_id}\n" in (await asyncio.to_thread(command, *again))[1]
    decision = ["--by", "Lê Văn C", "--reason", "công văn 12"]
    assert (await asyncio.to_thread(command, "grant", relief_id, *decision))[0] == 0
    code, said = await asyncio.to_thread(command, *again)
    assert (code, said.endswith(f"it is there already, đã chấp thuận / granted: {relief_id}\n")) == (0, True)
    code, said = await asyncio.to_thread(command, "grant", relief_id, *decision)
    assert (code, "is decided already" in said) == (1, True)
    assert relief_id in (await asyncio.to_thread(command, "list", "--status", "granted"))[1]
    assert relief_id not in (await asyncio.to_thread(command, "list", "--status", "proposed"))[1]
    shown = json.loads((await asyncio.to_thread(command, "show", relief_id))[1])
    assert (shown["status"], shown["agencies"], len(shown["decisions"])) == ("granted", ["H99.31"], 2)
    assert (shown["evidence"][0]["file"], shown["evidence"][0]["bytes"]) == ("công văn 12.pdf", 10)
    await rig.at(AFTER)
    assert (await rig.one())["deadline"] == ENDS


@pytest.mark.parametrize(
    ("changes", "refusals"),
    [
        ({"to": STARTS.isoformat()}, ["must be after --from"]),
        ({"to": (STARTS + timedelta(days=61)).isoformat()}, ["longer than 60 days"]),
        (
            {"to": STARTS.isoformat(), "agency": "H99.99", "regime": "NONE", "obligation": "H99.31/X/2026"},
            ["must be after", "no agency H99.99", "no regime NONE", "no obligation H99.31/X/2026"],
        ),
        ({"evidence": "/nowhere/at/all.pdf"}, ["cannot be read"]),
        ({"to": (STARTS + timedelta(days=60)).isoformat()}, []),
    ],
)
async def test_a_proposal_that_cannot_be_is_refused_with_every_fault(
    rig: Rig, command: Callable[..., tuple[int, str]], changes: dict[str, str], refusals: list[str]
) -> None:
    await ready(rig)
    code, said = await asyncio.to_thread(command, *adding(**changes))
    assert (code, all(refusal in said for refusal in refusals)) == (1 if refusals else 0, True), said
    assert len(await rig.rows("SELECT 1 FROM reliefs")) == (0 if refusals else 1)


async def test_who_proposes_is_told_until_when_it_holds_and_that_what_was_rejected_needs_another_reason(
    rig: Rig, command: Callable[..., tuple[int, str]]
) -> None:
    await ready(rig)
    code, said = await asyncio.to_thread(command, *adding())
    assert (code, f"until it is decided, or {(ENDS + GRACE):%F %T%z}" in said.lower()) == (0, True), said
    relief_id = said.split("proposed: ")[1].split()[0]
    await asyncio.to_thread(command, "reject", relief_id, "--by", "Lê Văn C", "--reason", "không mất điện")
    code, said = await asyncio.to_thread(command, *adding())
    assert (code, "was rejected; to propose it again, give another reason" in said) == (1, True), said
    assert (await asyncio.to_thread(command, *adding(reason="Mất điện lần hai")))[0] == 0


async def test_an_unknown_relief_is_said_to_be_none(command: Callable[..., tuple[int, str]]) -> None:
    for line in (["show", "GH-1"], ["grant", "GH-1", "--by", "x", "--reason", "y"]):
        code, said = await asyncio.to_thread(command, *line)
        assert (code, "there is no relief GH-1" in said) == (1, True)


async def test_reliefs_are_read_over_http(rig: Rig, client: httpx.AsyncClient) -> None:
    await ready(rig)
    first = await granted(rig)
    others = [await proposed(rig, STARTS - timedelta(days=day), STARTS) for day in (1, 2, 3)]
    assert {relief["relief_id"] for relief in await every_page(client, "/v1/reliefs", limit="2")} == {first, *others}
    assert [relief["relief_id"] for relief in await every_page(client, "/v1/reliefs", status="granted")] == [first]
    shown = (await client.get(f"/v1/reliefs/{first}")).json()
    assert (shown["status"], shown["starts_at"], shown["applied"]) == ("granted", STARTS.isoformat(), False)
    assert [decision["after"] for decision in shown["decisions"]] == ["proposed", "granted"]
    await rig.mark()
    assert (await client.get(f"/v1/reliefs/{first}")).json()["applied"] is True
    missing = await client.get("/v1/reliefs/GH-0")
    assert (missing.status_code, "GH-0" in missing.json()["detail_vi"]) == (404, True)
    assert (await client.get("/v1/reliefs", headers={"Authorization": ""})).status_code == 401


async def test_whom_a_relief_covers_reads_why_and_sees_nobody_else(rig: Rig, client: httpx.AsyncClient) -> None:
    keys = await ready(rig, 3)
    evidence = ({"seen": "H99.32 waited 3 hours"},)
    shared = await granted(rig, obligations=tuple(keys[:2]), evidence=evidence)
    own = await granted(rig, agencies=("H99.31",), evidence=evidence)
    for_all = await granted(rig, evidence=evidence)
    url = rig.database.url
    covered, neighbour, stranger = [await let_agency_in(url, metadata, code) for code in ("H99.31", "H99.32", "H99.33")]

    async def seen(who: dict[str, str], relief_id: str) -> Any:
        answer = await client.get(f"/v1/reliefs/{relief_id}", headers=who)
        return answer.json() if answer.status_code == 200 else answer.status_code

    theirs = await seen(covered, shared)
    assert (theirs["obligations"], theirs["evidence"]) == ([keys[0]], [])
    assert (theirs["reason"], theirs["ends_at"]) == ("Mất điện toàn tỉnh", ENDS.isoformat())
    assert [decision["reason"] for decision in theirs["decisions"]][-1] == "theo công văn 12"
    assert (await seen(neighbour, shared))["obligations"] == [keys[1]]
    assert await seen(stranger, shared) == await seen(stranger, own) == await seen(stranger, "GH-0") == 404
    # what is theirs alone, or everybody's, is whole
    assert (await seen(covered, own))["evidence"] == (await seen(stranger, for_all))["evidence"] == list(evidence)
    assert (await seen(OPERATOR, shared))["obligations"] == keys[:2]
    blind = await let_agency_in(url, metadata, "H99.31", ("submit",))
    assert await seen(blind, own) == 403
    assert (await client.get("/v1/reliefs", headers=covered)).status_code == 403, "to list them is an operator's"


async def test_who_stands_above_reads_the_relief_of_those_below(rig: Rig, client: httpx.AsyncClient) -> None:
    await ready(rig, 1, agency("H99.31", parent="H99", version=2), agency("H99.32"))
    own, others = await granted(rig, agencies=("H99.31",)), await granted(rig, agencies=("H99.32",))
    office = PersonsOffice(role="chair", agency="H99", since=date(2020, 1, 1))
    chair = PersonRegistered(
        person_id="ct", agency="H99", name="Chủ Tịch", offices=(office,), version=1, title="", contacts=()
    )
    who = await let_person_in(rig.database.url, metadata, chair, "read")
    assert (await client.get(f"/v1/reliefs/{own}", headers=who)).status_code == 200
    assert (await client.get(f"/v1/reliefs/{others}", headers=who)).status_code == 404


async def test_covers_and_the_query_agree(rig: Rig) -> None:
    """Two statements of one scope: who is opened later is asked in code, who is there already in SQL."""
    keys = await ready(rig, 2, regime("OTHER"))
    scopes: list[dict[str, Any]] = [{}, {"agencies": ("H99.31",)}, {"regimes": ("OTHER",)}, {"obligations": (keys[1],)}]
    for scope in scopes:
        relief_id = await proposed(rig, **scope)
        async with rig.database.transaction() as tx:
            scoped = next(relief for relief in await reliefs.read_all(tx) if relief.relief.relief_id == relief_id)
            found = await store.lock_covered(
                tx, scoped.relief, agencies=scoped.agencies, regimes=scoped.regimes, keys=scoped.obligations,
                after="", limit=100,
            )  # fmt: skip
        due = {key for key in await rig.keys() if scoped.covers(key) and key.endswith("M10")}
        assert {obligation.key for obligation in found.obligations} == due

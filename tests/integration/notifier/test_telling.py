"""Who is told what: registry, compliance and verdicts become notifications; late facts tell nobody."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.notifier.planning import store
from shared.contract.events import CalendarLoaded, OfficerRegistered, RegimePublished
from tests.fakes.smtp import FakeSmtp
from tests.integration.notifier.rig import (
    COMMUNE,
    DEADLINE,
    DEPARTMENT,
    PROVINCE,
    REGIME,
    World,
    agency,
    changed,
    due_soon,
    fulfilled,
    not_judged,
    officer,
    opened,
    overdue,
    registry,
    verdict,
)


async def told(world: World) -> dict[str, tuple[str, str]]:
    """step -> (officer, state)"""
    return {row["step"]: (row["officer_id"], row["state"]) for row in await world.ledger()}


async def test_an_overdue_report_is_told_to_the_officer_and_to_the_head(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", opened(), due_soon(), overdue())
    assert await told(world) == {
        "due_soon": ("dept-named", "cancelled"),
        "overdue": ("dept-named", "pending"),
        "overdue/rung-1": ("dept-head", "pending"),
    }
    await world.drain(world.dispatcher(smtp))
    assert sorted(smtp.recipients()) == ["dept-head@h99.example", "dept-named@h99.example"]
    subjects = {taken.recipient: str(taken.message["Subject"]) for taken in smtp.accepted}
    assert subjects["dept-head@h99.example"].startswith("[Báo cáo chậm] Sở Nông nghiệp và Môi trường")
    assert "chưa nộp" in subjects["dept-named@h99.example"]


async def test_an_unstaffed_rung_is_recorded_as_skipped_and_the_climb_goes_on(world: World) -> None:
    await world.tell_above_at_once()
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(code=COMMUNE))
    rows = {row["step"]: row for row in await world.ledger()}
    assert rows["overdue/rung-1"]["state"] == "skipped"
    assert rows["overdue/rung-1"]["reason"] == f"no_head:{COMMUNE}"
    assert rows["overdue/rung-1"]["recipient"] is None
    assert (rows["overdue/rung-2"]["officer_id"], rows["overdue/rung-2"]["state"]) == ("chair", "pending")
    assert rows["overdue/rung-2"]["facts"]["passed_over"] == ["Xã Tân Lập"]


async def test_a_fulfilment_stops_what_has_not_gone_out(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(), overdue())
    await world.feed("verdicts", verdict())
    await world.feed("compliance", fulfilled(submission_version=2))
    rows = await world.ledger()
    assert len(rows) == 4
    assert {row["state"] for row in rows} == {"cancelled"}
    assert {row["reason"] for row in rows} == {"fulfilled", "superseded_by_overdue"}


async def test_a_fulfilment_leaves_other_obligations_alone(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(), due_soon(period="2026-M11"))
    await world.feed("compliance", fulfilled())
    assert [row["state"] for row in await world.ledger()].count("pending") == 1


async def test_a_late_overdue_behind_its_fulfilment_tells_nobody(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", fulfilled(4))
    await world.feed("compliance", overdue(3))
    await world.feed("compliance", due_soon(2))
    assert await world.ledger() == []


async def test_without_the_version_guard_the_late_overdue_would_be_told(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", fulfilled(4))
    await world.feed("compliance", overdue(5))
    assert len(await world.ledger()) == 2


async def test_the_same_events_again_tell_nobody_twice(world: World) -> None:
    await world.feed("registry", *registry())
    events = (due_soon(), overdue())
    await world.feed("compliance", *events)
    before = await world.ledger()
    await world.feed("compliance", *events, *events)
    await world.feed("verdicts", returned := verdict(), returned)
    await world.feed("verdicts", returned)
    assert len(await world.ledger()) == len(before) + 1


async def test_one_step_of_one_obligation_is_one_row_even_with_the_version_guard_gone(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(3))
    await world.feed("compliance", overdue(9))
    assert len(await world.ledger()) == 2, "unique (obligation, step, recipient, channel)"


async def test_an_event_waits_for_an_agency_nobody_has_told_of_and_later_ones_queue_behind(world: World) -> None:
    batch = await world.feed("compliance", opened(), due_soon(), overdue(), opened(code=COMMUNE))
    assert list(batch.deferred.values()) == [f"agency/{DEPARTMENT}"] * 2
    assert [row["version"] for row in await world.rows("SELECT version FROM obligations ORDER BY obligation")] == [1, 1]
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(), overdue())
    assert len(await world.ledger()) == 3


async def test_known_names_are_those_the_registry_has_told_of(world: World) -> None:
    from services.notifier.planning import store

    await world.feed("registry", *registry())
    async with world.database.transaction() as tx:
        names = [f"agency/{DEPARTMENT}", "agency/H99.NONE", "officer/chair", "officer/none", "agency/chair"]
        assert await store.registered(tx, names) == {f"agency/{DEPARTMENT}", "officer/chair"}


async def test_the_newest_calendar_is_the_one_to_count_by(world: World) -> None:
    async def current() -> tuple[str, bool]:
        async with world.database.read_transaction() as snapshot:
            calendar = await store.calendar(snapshot)
        assert calendar is not None
        return calendar.version, calendar.is_working_day(date(2026, 10, 19))

    first = {"first_year": 2026, "last_year": 2026, "made_up": ()}
    older = CalendarLoaded(calendar_version="A", version=1, days_off=(), **first)
    newer = CalendarLoaded(calendar_version="B", version=2, days_off=(date(2026, 10, 19),), **first)
    await world.feed("compliance", newer, opened())
    assert await current() == ("B", False)
    await world.feed("compliance", older, newer)
    assert await current() == ("B", False), "control: the last to come would have been A"


async def test_an_escalation_waits_for_the_parent_it_must_climb_to(world: World) -> None:
    await world.tell_above_at_once()
    await world.feed("registry", agency(COMMUNE, PROVINCE), officer("commune-any", COMMUNE))
    batch = await world.feed("compliance", overdue(code=COMMUNE))
    assert list(batch.deferred.values()) == [f"agency/{PROVINCE}"]


async def test_a_return_is_told_to_who_submitted_with_findings_version_and_deadline(
    world: World, smtp: FakeSmtp
) -> None:
    await world.feed("registry", *registry())
    await world.feed("verdicts", verdict(version=2))
    await world.feed("compliance", opened())
    await world.drain(world.dispatcher(smtp))
    (taken,) = smtp.accepted
    assert taken.recipient == "dept-any@h99.example", "not the officer named for the regime: who submitted"
    part = taken.message.get_body(("plain",))
    assert part is not None
    text = part.get_content()
    for words in ("Phiên bản 2", "A10: Tổng không khớp", "Cách sửa: Sửa A10", "trước 17:00 ngày 19/10/2026"):
        assert words in text


async def test_a_return_goes_to_a_colleague_when_the_submitter_has_left(world: World) -> None:
    await world.feed("registry", *registry(), officer("dept-any", DEPARTMENT, active=False, version=2))
    await world.feed("verdicts", verdict())
    assert await told(world) == {"returned/1": ("dept-named", "pending")}


async def test_a_return_waits_for_a_submitter_nobody_has_told_of(world: World) -> None:
    await world.feed("registry", *registry())
    batch = await world.feed("verdicts", verdict(officer_id="new"), verdict("accepted", 2, officer_id="new"))
    assert list(batch.deferred.values()) == ["officer/new"] * 2


async def test_a_return_older_than_the_fulfilment_tells_nobody(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", fulfilled(submission_version=2))
    await world.feed("verdicts", verdict(version=1))
    await world.feed("verdicts", verdict(version=2))
    assert await world.ledger() == []


async def test_a_return_of_a_correction_after_the_fulfilment_is_told_and_says_what_stands(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", fulfilled(submission_version=1))
    await world.feed("verdicts", verdict(version=2))
    (row,) = await world.ledger()
    assert (row["state"], row["facts"]["accepted_version"]) == ("pending", 1)


async def test_of_two_returns_only_the_newer_is_told(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("verdicts", verdict(version=1))
    await world.feed("verdicts", verdict(version=2))
    await world.feed("verdicts", verdict(version=1))
    assert {step: state for step, (_, state) in (await told(world)).items()} == {
        "returned/1": "cancelled",
        "returned/2": "pending",
    }


async def test_an_acceptance_stops_a_return_of_an_older_version_also_within_one_batch(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("verdicts", verdict(version=1), verdict("accepted", 2))
    assert await told(world) == {"returned/1": ("dept-any", "cancelled")}
    await world.feed("verdicts", verdict(version=3))
    await world.feed("verdicts", verdict("accepted", 4))
    assert {state for _, state in (await told(world)).values()} == {"cancelled"}


async def test_an_acceptance_of_an_older_version_does_not_stop_a_newer_return(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("verdicts", verdict(version=2))
    await world.feed("verdicts", verdict("accepted", 1))
    assert await told(world) == {"returned/2": ("dept-any", "pending")}


async def test_an_older_registry_event_never_overwrites_a_newer_one(world: World) -> None:
    await world.feed("registry", officer("dept-any", DEPARTMENT, version=5, email="new@h99.example"))
    await world.feed("registry", officer("dept-any", DEPARTMENT, version=4, email="old@h99.example"))
    await world.feed(
        "registry",
        agency(DEPARTMENT, version=3, name="mới"),
        agency(DEPARTMENT, version=2, name="cũ"),
    )
    assert (await world.rows("SELECT email FROM officers"))[0]["email"] == "new@h99.example"
    assert (await world.rows("SELECT name FROM agencies"))[0]["name"] == "mới"


async def test_a_notice_nobody_could_receive_goes_to_the_officer_designated_later(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", agency(DEPARTMENT), officer("dept-head", DEPARTMENT, "head"))
    await world.feed("compliance", due_soon(), overdue())
    rows = {row["step"]: row for row in await world.ledger()}
    assert (rows["overdue"]["state"], rows["overdue"]["reason"]) == ("skipped", "no_reporting_officer")
    await world.feed("registry", officer("late", DEPARTMENT))
    await world.drain(world.dispatcher(smtp))
    assert sorted(smtp.recipients()) == ["dept-head@h99.example", "late@h99.example"]
    rows = {row["step"]: row for row in await world.ledger()}
    assert rows["due_soon"]["state"] == "skipped", "a reminder after the deadline would be noise"
    assert rows["overdue"]["officer_id"] == "late"
    assert rows["overdue"]["facts"]["recipient_name"] == "Nguyễn Thị late"


async def test_a_skipped_notice_of_a_fulfilled_obligation_stays_skipped(world: World) -> None:
    await world.feed("registry", agency(DEPARTMENT))
    await world.feed("compliance", overdue(), fulfilled())
    await world.feed("registry", officer("late", DEPARTMENT))
    assert {row["state"] for row in await world.ledger()} == {"skipped"}


async def test_recorded_events_rise_in_version_per_obligation(world: World, smtp: FakeSmtp) -> None:
    await world.tell_above_at_once()
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(), overdue(code=COMMUNE))
    await world.drain(world.dispatcher(smtp))
    events = await world.recorded()
    for key in {event["obligation"] for event in events}:
        versions = [event["version"] for event in events if event["obligation"] == key]
        assert versions == list(range(1, len(versions) + 1))
    assert len(events) == 4


def named(name: str, number: int = 1, **others: Any) -> RegimePublished:
    [regime] = [record for record in registry() if isinstance(record, RegimePublished)]
    return regime.model_copy(update={"name": name, "regime_version": number, **others})


async def test_letters_that_failed_for_a_regimes_name_go_out_once_it_is_replaced(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry()[:-1], named("hai\ndòng"))
    await world.feed("compliance", overdue(), due_soon(code=COMMUNE), due_soon(code=PROVINCE))
    await world.drain(world.dispatcher(smtp))
    assert {row["state"] for row in await world.ledger() if row["recipient"]} == {"failed"}
    await world.feed("compliance", fulfilled(code=COMMUNE))
    # control: a newer version that replaces nothing mends nothing, and the letters fail as before
    await world.feed("registry", named("Báo cáo quý", 2))
    await world.drain(world.dispatcher(smtp))
    assert smtp.accepted == []
    await world.feed("registry", named("Báo cáo tháng", 3, replaces=1, replaces_reason="Tên có xuống dòng"))
    await world.drain(world.dispatcher(smtp))
    rows = {(row["agency"], row["step"]): row for row in await world.ledger() if row["recipient"]}
    assert {key: row["state"] for key, row in rows.items()} == {
        (DEPARTMENT, "overdue"): "sent", (DEPARTMENT, "overdue/rung-1"): "sent", (COMMUNE, "due_soon"): "failed",
    }  # fmt: skip
    assert len(smtp.accepted) == 2


async def test_a_letter_that_failed_for_a_persons_name_goes_out_under_the_new_one(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("registry", officer("dept-named", DEPARTMENT, regimes=(REGIME,), version=2, name="a\nb"))
    await world.feed("compliance", overdue())
    await world.drain(world.dispatcher(smtp))
    await world.feed("registry", officer("dept-head", DEPARTMENT, "head", version=2))
    await world.feed("registry", officer("commune-any", COMMUNE, version=2))
    await world.drain(world.dispatcher(smtp))
    assert {row["step"]: row["state"] for row in await world.ledger()}["overdue"] == "failed"
    mended = officer("dept-named", DEPARTMENT, regimes=(REGIME,), version=3, name="Trần Thị B", email="b@h99.example")
    await world.feed("registry", mended)
    await world.drain(world.dispatcher(smtp))
    rows = {row["step"]: row for row in await world.ledger()}
    assert (rows["overdue"]["state"], rows["overdue"]["recipient"]) == ("sent", "b@h99.example")
    assert len(smtp.accepted) == 2


async def test_a_mail_that_cannot_be_made_has_failed_and_the_others_go_out(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("registry", officer("dept-named", DEPARTMENT, regimes=(REGIME,), version=2, name="a\r\nBcc: b"))
    await world.feed("compliance", overdue())
    await world.drain(world.dispatcher(smtp))
    rows = {row["step"]: row for row in await world.ledger()}
    assert rows["overdue"]["state"] == "failed"
    assert rows["overdue"]["reason"].startswith("unsendable:")
    assert rows["overdue/rung-1"]["state"] == "sent"


_NOT_SENT = {
    "failed": "state = 'failed', reason = 'unsendable: x'",
    "skipped": "state = 'skipped', reason = 'no_reporting_officer', recipient = NULL, officer_id = ''",
}


@pytest.mark.parametrize("state", ["failed", "skipped"])
@pytest.mark.parametrize("facts", ["{}", "[]", "null"])
async def test_facts_that_cannot_be_read_stop_no_record_of_the_registry(
    world: World, smtp: FakeSmtp, state: str, facts: str
) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(code=COMMUNE))
    async with world.database.transaction() as tx:
        statement = text(f"UPDATE notifications SET facts = CAST(:facts AS jsonb), due_at = NULL, {_NOT_SENT[state]}")
        await tx.execute(statement, {"facts": facts})
    await world.feed("registry", officer("commune-any", COMMUNE, version=2, name="Lê Thị Mới"))
    assert [row["name"] for row in await world.rows("SELECT name FROM officers WHERE officer_id = 'commune-any'")] == [
        "Lê Thị Mới"
    ]
    assert (await world.one())["state"] == state


@pytest.mark.parametrize("state", ["failed", "skipped"])
async def test_the_control_facts_that_can_be_read_are_taken_up(world: World, smtp: FakeSmtp, state: str) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(code=COMMUNE))
    async with world.database.transaction() as tx:
        await tx.execute(text(f"UPDATE notifications SET due_at = NULL, {_NOT_SENT[state]}"))
    await world.feed("registry", officer("commune-any", COMMUNE, version=2))
    assert (await world.one())["state"] == "pending"


# --- in place of a lost ledger ------------------------------------------------------------------------------------


async def test_a_rebuilt_ledger_tells_nobody_again_of_what_the_lost_one_has_told(world: World, smtp: FakeSmtp) -> None:
    async with world.database.transaction() as tx:
        assert await store.rebuild(tx, DEADLINE)
    # people come after the events about their agencies: a notice that was skipped is not revived either
    people = [record for record in registry() if isinstance(record, OfficerRegistered)]
    await world.feed("registry", *(record for record in registry() if not isinstance(record, OfficerRegistered)))
    await world.feed("compliance", opened(code=COMMUNE), overdue(code=COMMUNE))
    await world.feed("registry", *people)
    await world.feed("compliance", overdue())
    await world.drain(world.dispatcher(smtp))
    assert smtp.recipients() == []
    rows = await world.ledger()
    assert {(row["state"], row["reason"]) for row in rows if row["recipient"]} == {("cancelled", "told_before")}
    # what comes from now on is told
    await world.feed("compliance", overdue(period="2026-M11", at=DEADLINE + timedelta(seconds=1)))
    await world.drain(world.dispatcher(smtp))
    assert sorted(smtp.recipients()) == ["dept-head@h99.example", "dept-named@h99.example"]
    async with world.database.transaction() as tx:
        assert not await store.rebuild(tx, DEADLINE), "only an empty ledger"


async def test_without_that_everybody_would_be_told_again(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue())
    await world.drain(world.dispatcher(smtp))
    assert len(smtp.recipients()) == 2


# --- what changes about an obligation -----------------------------------------------------------------------------

LATER = DEADLINE + timedelta(days=7)
REMINDED_AGAIN = LATER - timedelta(days=3)


async def why(world: World) -> dict[str, tuple[str, str | None]]:
    """step -> (state, reason)"""
    return {row["step"]: (row["state"], row["reason"]) for row in await world.ledger()}


async def everything_is_told(world: World) -> None:
    """A reminder, an overdue notice with its escalation, and a return, none of them sent."""
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(), overdue(standing="returned"))
    await world.feed("verdicts", verdict(version=2))


async def test_a_debt_that_falls_cancels_every_mail_that_has_not_gone_out(world: World, smtp: FakeSmtp) -> None:
    await everything_is_told(world)
    # scoring had not heard of version 2 yet
    await world.feed("compliance", changed(4, "not_owed", owed=False, standing="returned", received_version=1))
    assert await why(world) == {
        "due_soon": ("cancelled", "superseded_by_overdue"),
        "overdue": ("cancelled", "not_owed"),
        "overdue/rung-1": ("cancelled", "not_owed"),
        "returned/2": ("cancelled", "not_owed"),
    }
    await world.feed("verdicts", verdict(version=3))
    await world.drain(world.dispatcher(smtp))
    assert smtp.accepted == [], "a return of what is not owed any more is not told either"


async def test_the_control_while_it_is_owed_everything_goes_out(world: World, smtp: FakeSmtp) -> None:
    await everything_is_told(world)
    await world.feed("compliance", changed(4, overdue=True, standing="returned", received_version=1))
    await world.feed("verdicts", verdict(version=3))
    await world.drain(world.dispatcher(smtp))
    assert {step: state for step, (state, _) in (await why(world)).items()} == {
        "due_soon": "cancelled", "overdue": "sent", "overdue/rung-1": "sent", "returned/2": "cancelled",
        "returned/3": "sent",
    }  # fmt: skip


async def test_a_debt_that_is_owed_again_and_overdue_is_told_anew(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(3), changed(4, "not_owed", owed=False))
    await world.feed("compliance", changed(5, "owed_again", "overdue", overdue=True))
    assert {step: state for step, (state, _) in (await why(world)).items()} == {
        "overdue": "cancelled", "overdue/rung-1": "cancelled", "overdue/2": "pending", "overdue/2/rung-1": "pending",
    }  # fmt: skip


async def test_overdue_taken_back_cancels_both_mails_and_leaves_the_return(world: World) -> None:
    await everything_is_told(world)
    await world.feed("compliance", changed(4, "overdue_withdrawn", "score", standing="awaiting_verdict"))
    assert await why(world) == {
        "due_soon": ("cancelled", "superseded_by_overdue"),
        "overdue": ("cancelled", "overdue_withdrawn"),
        "overdue/rung-1": ("cancelled", "overdue_withdrawn"),
        "returned/2": ("pending", None),
    }


async def test_overdue_twice_is_told_twice_under_its_own_steps(world: World, smtp: FakeSmtp) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(3))
    await world.drain(world.dispatcher(smtp))
    withdrawn = changed(4, "relief", "overdue_withdrawn", "score", deadline=LATER)
    await world.feed("compliance", withdrawn, overdue(5, deadline=LATER, at=LATER))
    assert await why(world) == {
        "overdue": ("sent", None), "overdue/rung-1": ("sent", None),
        "overdue/resolved": ("cancelled", "superseded_by_overdue"),
        "overdue/2": ("pending", None), "overdue/2/rung-1": ("pending", None),
    }  # fmt: skip
    await world.drain(world.dispatcher(smtp))
    assert len(smtp.accepted) == 4
    assert len({row["message_id"] for row in await world.ledger()}) == 5


async def test_the_climb_of_the_second_time_has_its_own_rungs(world: World) -> None:
    await world.tell_above_at_once()
    await world.feed("registry", *registry())
    events = [overdue(3), changed(4, "overdue_withdrawn", deadline=LATER), overdue(5, deadline=LATER, at=LATER)]
    await world.feed("compliance", *(event.model_copy(update=_at_commune()) for event in events))
    assert {step: state for step, (state, _) in (await why(world)).items()} == {
        "overdue": "cancelled", "overdue/rung-1": "skipped", "overdue/rung-2": "cancelled",
        "overdue/2": "pending", "overdue/2/rung-1": "skipped", "overdue/2/rung-2": "pending",
    }  # fmt: skip


def _at_commune() -> dict[str, str]:
    return {"agency": COMMUNE, "obligation": f"{COMMUNE}/{REGIME}/2026-M10"}


async def test_a_deadline_moved_later_cancels_the_reminder_and_the_next_is_another_notice(world: World) -> None:
    await world.feed("registry", *registry())
    moved = due_soon(3, deadline=LATER, at=DEADLINE - timedelta(days=2)).model_copy(
        update={"changes": ("terms_changed",)}
    )
    await world.feed("compliance", due_soon(2))
    await world.feed("compliance", moved)
    assert await why(world) == {"due_soon": ("cancelled", "deadline_moved")}, "nobody is reminded before it is due"
    await world.feed("compliance", due_soon(4, deadline=LATER, reminded_at=REMINDED_AGAIN, at=REMINDED_AGAIN))
    assert await why(world) == {"due_soon": ("cancelled", "deadline_moved"), "due_soon/2": ("pending", None)}
    rows = {row["step"]: row for row in await world.ledger()}
    assert rows["due_soon/2"]["facts"]["deadline"].startswith("2026-10-26")


async def test_the_control_a_change_that_moves_no_deadline_leaves_the_reminder(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(2))
    await world.feed("compliance", due_soon(3).model_copy(update={"changes": ("terms_changed",)}))
    assert await why(world) == {"due_soon": ("pending", None)}


async def test_an_event_that_jumps_over_others_still_tells_what_is_new_once(world: World) -> None:
    """Of a compacted topic only the newest event of a key is read."""
    await world.feed("registry", *registry())
    jumped = overdue(7, reminded_at=DEADLINE - timedelta(days=3), standing="returned").model_copy(
        update={"changes": ("score",)}
    )
    await world.feed("compliance", opened(1), jumped)
    await world.feed("compliance", jumped, overdue(3), jumped.model_copy(update={"version": 8}))
    assert await why(world) == {"overdue": ("pending", None), "overdue/rung-1": ("pending", None)}
    # the reminder that it jumped over is not made up for, now that the deadline lies ahead again
    withdrawn = changed(9, "overdue_withdrawn", deadline=LATER, reminded_at=DEADLINE - timedelta(days=3))
    await world.feed("compliance", withdrawn)
    assert set(await why(world)) == {"overdue", "overdue/rung-1"}
    # from there in one step to a reminder and another deadline missed
    await world.feed("compliance", overdue(12, deadline=LATER, at=LATER, reminded_at=REMINDED_AGAIN))
    assert {step: state for step, (state, _) in (await why(world)).items()} == {
        "overdue": "cancelled", "overdue/rung-1": "cancelled", "overdue/2": "pending", "overdue/2/rung-1": "pending",
    }  # fmt: skip


async def test_an_older_event_changes_nothing(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("compliance", overdue(5))
    before = (await world.ledger(), await world.rows("SELECT * FROM obligations"))
    for older in (
        changed(4, "not_owed", owed=False), changed(4, "overdue_withdrawn", standing="awaiting_verdict"),
        fulfilled(3), due_soon(2, deadline=LATER), changed(5, "not_owed", owed=False),
    ):  # fmt: skip
        await world.feed("compliance", older)
        assert (await world.ledger(), await world.rows("SELECT * FROM obligations")) == before
    # the control: newer, the first of them changes both
    await world.feed("compliance", changed(6, "not_owed", owed=False))
    assert {state for state, _ in (await why(world)).values()} == {"cancelled"}


async def test_a_skipped_notice_is_revived_only_if_it_is_still_so(world: World) -> None:
    """Each month another life; the officer comes last."""
    await world.feed("registry", agency(DEPARTMENT), officer("dept-head", DEPARTMENT, "head"))
    await world.feed(
        "compliance",
        overdue(3, period="2026-M01"),
        changed(4, "not_owed", owed=False, period="2026-M01"),
        overdue(3, period="2026-M02"),
        changed(4, "overdue_withdrawn", standing="awaiting_verdict", period="2026-M02"),
        overdue(3, period="2026-M03"),
        changed(4, "overdue_withdrawn", period="2026-M03", deadline=LATER),
        overdue(5, period="2026-M03", deadline=LATER, at=LATER),
        due_soon(2, period="2026-M04"),
        changed(3, "terms_changed", reminded_at=DEADLINE - timedelta(days=3), period="2026-M04", deadline=LATER),
        due_soon(2, period="2026-M05"),
        overdue(3, period="2026-M06"),
    )
    await world.feed("registry", officer("left", DEPARTMENT, active=False))
    for month in ("2026-M07", "2026-M08"):
        await world.feed("verdicts", verdict(period=month, officer_id="left"))
    await world.feed("compliance", changed(4, "not_owed", owed=False, period="2026-M07"))
    await world.feed("registry", officer("late", DEPARTMENT))
    rows = [row for row in await world.ledger() if row["kind"] != "escalation"]
    assert {(row["period"][-3:], row["step"]): row["state"] for row in rows} == {
        ("M01", "overdue"): "skipped",
        ("M02", "overdue"): "skipped",
        ("M03", "overdue"): "skipped",
        ("M03", "overdue/2"): "pending",
        ("M04", "due_soon"): "skipped",
        ("M05", "due_soon"): "pending",
        ("M06", "overdue"): "pending",
        ("M07", "returned/1"): "skipped",
        ("M08", "returned/1"): "pending",
    }


# --- scoring's database is built again ----------------------------------------------------------------------------


async def rebuilt(world: World, **first: Any) -> None:
    """A reminder and an overdue notice are told; then scoring finds all of it anew, by higher versions."""
    await world.feed("registry", *registry())
    await world.feed("compliance", due_soon(2), due_soon(2, period="2026-M11"), overdue(3))
    anew = DEADLINE + timedelta(hours=1)
    await world.feed(
        "compliance",
        opened(1001, at=anew).model_copy(update=first),
        changed(1002, "returned", standing="returned", at=anew).model_copy(update=first),
        overdue(1003, at=anew, standing="returned"),
        opened(1001, period="2026-M11", at=anew),
        due_soon(1002, period="2026-M11", at=anew, reminded_at=anew),
    )


async def test_what_a_rebuilt_scoring_finds_anew_is_not_told_again(world: World) -> None:
    await rebuilt(world)
    assert {(row["period"], row["step"], row["state"]) for row in await world.ledger()} == {
        ("2026-M10", "due_soon", "cancelled"),
        ("2026-M10", "overdue", "pending"),
        ("2026-M10", "overdue/rung-1", "pending"),
        ("2026-M11", "due_soon", "pending"),
    }


async def test_the_control_were_it_said_to_be_taken_back_it_would_be_told_again(world: World) -> None:
    await rebuilt(world, changes=("overdue_withdrawn",))
    assert {"overdue/2", "overdue/2/rung-1"} <= {row["step"] for row in await world.ledger()}


async def test_what_a_rebuilt_scoring_finds_fulfilled_cancels_as_ever(world: World) -> None:
    await rebuilt(world)
    await world.feed("compliance", fulfilled(1004))
    rows = [row for row in await world.ledger() if row["period"] == "2026-M10"]
    assert {row["state"] for row in rows} == {"cancelled"}


async def test_a_report_that_could_not_be_judged_is_told_once_and_no_more_once_it_is_judged(world: World) -> None:
    await world.feed("registry", *registry())
    await world.feed("verdicts", not_judged(), not_judged(2))
    await world.feed("verdicts", not_judged())
    told = {row["step"]: row for row in await world.ledger()}
    assert {step: row["state"] for step, row in told.items()} == {"not_judged/1": "pending", "not_judged/2": "pending"}
    assert told["not_judged/1"]["kind"] == "not_judged"
    assert told["not_judged/1"]["facts"]["findings"][0]["message"] == "Chưa kiểm tra được."
    await world.feed("verdicts", verdict("accepted", revision=2))
    told = {row["step"]: row for row in await world.ledger()}
    assert (told["not_judged/1"]["state"], told["not_judged/1"]["reason"]) == ("cancelled", "judged")
    assert told["not_judged/2"]["state"] == "pending", "control: another version"
    await world.feed("verdicts", verdict("returned", 2, revision=2))
    states = {row["step"]: row["state"] for row in await world.ledger()}
    assert states == {"not_judged/1": "cancelled", "not_judged/2": "cancelled", "returned/2": "pending"}


async def test_that_a_report_could_not_be_judged_waits_for_the_officer_it_is_told_to(world: World) -> None:
    batch = await world.feed("verdicts", not_judged())
    assert list(batch.deferred.values()) == ["officer/dept-any"]

"""A broken deploy halts a consumer; one sender's bad history, however long, does not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.consuming import dlq_limit
from shared.consuming.batch import Record
from shared.consuming.dead_letters import DeadLetter
from shared.consuming.dlq_limit import Absurd, DlqLimit, Tally, cause_of, sender_of
from shared.contract.events import REGISTRY, SUBMISSIONS
from shared.contract.ids import new_id
from shared.runtime.cpu import work_seconds

NOW = datetime(2026, 1, 20, tzinfo=UTC)


def record(agency: str, offset: int = 0, topic: str = SUBMISSIONS) -> Record:
    return Record(topic, 0, offset, f"{agency}/BC/2026-M01".encode(), b"{}", [])


def letter(agency: str, text: str = "ValueError: no", offset: int = 0) -> DeadLetter:
    return DeadLetter(record(agency, offset), new_id(), "t", text.split(":")[0], text, 1, NOW)


def tally(bad: Iterable[DeadLetter], good: Iterable[str] = (), excused: int = -1) -> Tally:
    letters = list(bad)
    records = [record(agency) for agency in good]
    events: list[Any] = [
        SimpleNamespace(record=record) for record in (*records, *(letter.record for letter in letters))
    ]
    return Tally.of(len(events), events, letters, lambda record: record.offset <= excused)


def agencies(number: int) -> list[str]:
    return [f"H{number:03}" for number in range(number)]


def test_one_agencys_history_does_not_halt_and_is_told() -> None:
    limit = DlqLimit()
    bad = tally(letter("H99.01", f"DataError: {month} is impossible") for month in range(107))
    limit.check(bad)
    assert limit.note(bad, "c") == 1
    limit.check(tally(letter("H99.01") for _ in range(500)))


@pytest.mark.parametrize("senders", [4, 5])
def test_a_few_agencies_do_not_halt_and_many_do(senders: int) -> None:
    bad = tally(letter(agency) for agency in agencies(senders) for _ in range(50))
    if senders < 5:
        DlqLimit().check(bad)
    else:
        with pytest.raises(Absurd):
            DlqLimit().check(bad)


def test_without_senders_one_agency_would_halt() -> None:
    """Negative control: the rule by share alone."""
    with pytest.raises(Absurd):
        DlqLimit(senders=1).check(tally(letter("H99.01") for _ in range(107)))


def test_a_broken_deploy_halts_and_says_what_it_is() -> None:
    with pytest.raises(Absurd) as caught:
        DlqLimit().check(tally(letter(a, f"KeyError: '{a}'") for a in agencies(120)))
    assert caught.value.rejected == 120
    assert [(c.cause, c.records, c.senders) for c in caught.value.causes] == [("KeyError: …", 120, 120)]
    assert len(caught.value.letters) == 120


def test_many_agencies_each_with_a_mistake_of_its_own_are_no_broken_deploy() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
    DlqLimit().check(
        tally(letter(a, f"{w}Error: {w}") for a, w in zip(agencies(6), words, strict=True) for _ in range(40))
    )


def test_the_share_is_of_all_records_and_of_all_senders() -> None:
    DlqLimit().check(tally([letter(a) for a in agencies(100)], good=[f"G{n}" for n in range(100)]))
    DlqLimit().check(tally([letter(a) for a in agencies(6) for _ in range(100)], good=[f"G{n}" for n in range(7)]))


def test_what_an_operator_has_ordered_to_be_buried_counts_for_nothing() -> None:
    letters = [letter(a, offset=n) for n, a in enumerate(agencies(150))]
    with pytest.raises(Absurd):
        DlqLimit().check(tally(letters, excused=20))
    DlqLimit().check(tally(letters, excused=149))


def test_batches_add_up_within_the_window_and_a_clear_begins_anew() -> None:
    limit = DlqLimit()
    half = tally(letter(a) for a in agencies(60))
    limit.check(half)
    limit.note(half, "c")
    with pytest.raises(Absurd):
        limit.check(half)
    limit.clear()
    limit.check(half)
    for _ in range(10):
        limit.note(tally([], good=[f"G{n}" for n in range(200)]), "c")
    limit.check(half)


def test_a_registry_record_is_its_own_sender() -> None:
    assert sender_of(Record(REGISTRY, 0, 0, b"regime/X/1", None, [])) == "regime/X/1"
    assert sender_of(record("H99.01")) == "H99.01"
    assert sender_of(Record(SUBMISSIONS, 0, 0, None, None, [])) == ""


def test_a_cause_has_no_names_and_numbers() -> None:
    first = cause_of(letter("H99.01", "DataError: H99.01/BC/2026-M01: version 3 of 'x' is old"))
    assert first == cause_of(letter("H99.02", "DataError: H99.02/XY/2025-W07: version 14 of 'y' is old"))
    assert first != cause_of(letter("H99.01", "DataError: something else"))
    assert cause_of(letter("H99.01", 'DataError: a "b c" d4e f')) == "DataError: a … … f"


def test_a_cause_is_found_at_a_cost_that_grows_with_the_text_only(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = letter("H99.01", "DataError: " + "k" * 1_000)

    def cpu_seconds(times: int) -> float:
        began = work_seconds()
        for _ in range(times):
            cause_of(hostile)
        return work_seconds() - began

    linear = cpu_seconds(20)
    monkeypatch.setattr(dlq_limit, "_NAMES", re.compile(r"(?P<word>)(?P<number>)\S*\d\S*"))
    assert cpu_seconds(20) > 5 * linear, "negative control: the pattern that begins again at every letter"

"""How long a group of submissions gathers before its commit."""

from __future__ import annotations

from services.intake.submissions.group_commit import LONGEST_LINGER_SECONDS, gathering_seconds


def test_a_submission_that_comes_alone_waits_for_no_company_that_others_had() -> None:
    assert gathering_seconds(0.002, 1, beside=False) == 0.002
    assert gathering_seconds(0.002, 1, beside=True) == 0.01
    assert gathering_seconds(0.002, 8, beside=True) == 0.016
    assert gathering_seconds(0.002, 100, beside=False) == LONGEST_LINGER_SECONDS


def test_an_operators_longer_linger_is_kept() -> None:
    assert gathering_seconds(0.5, 1, beside=False) == gathering_seconds(0.5, 100, beside=True) == 0.5

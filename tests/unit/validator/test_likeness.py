"""Which reports are compared: bands are of one section, regime and period; the period before and that of a year ago."""

from __future__ import annotations

import pytest

from services.validator.domain import Kept, Section
from services.validator.likeness import bands_of, kept_of
from services.validator.periods import obligation_before, obligation_year_ago
from services.validator.rules.fingerprints import bands
from shared.contract.events import SubmissionReceived
from tests.unit.scoring.samples import submission

BUCKETS = bytes(range(256))


def of(period: str, agency: str = "H99.31", regime: str = "KTXH-THANG") -> SubmissionReceived:
    return submission(key=f"{agency}/{regime}/{period}")


@pytest.mark.parametrize(
    ("period", "before", "year_ago"),
    [
        ("2026-M01", "2025-M12", "2025-M01"),
        ("2026-Q3", "2026-Q2", "2025-Q3"),
        ("2026", "2025", "2025"),
        ("2027-W01", "2026-W53", "2026-W01"),
        ("2026-W53", "2026-W52", None),  # 2025 has 52 weeks
        ("1900-M01", None, None),
        ("DX-1", None, None),
    ],
)
def test_a_report_is_compared_with_the_period_before_and_with_the_same_one_a_year_ago(
    period: str, before: str | None, year_ago: str | None
) -> None:
    def key(found: str | None) -> str | None:
        return None if found is None else f"H99.31/KTXH-THANG/{found}"

    assert obligation_before(of(period)) == key(before)
    assert obligation_year_ago(of(period)) == key(year_ago)


def test_texts_are_compared_within_one_section_of_one_regime_and_period_across_agencies() -> None:
    section = Section("KET-QUA", "Kết quả", "Results", "warning", "warning", BUCKETS)
    mine = bands_of(of("2026-M10"), section)
    assert mine == bands(BUCKETS, "KTXH-THANG/2026-M10/KET-QUA")
    assert mine == bands_of(of("2026-M10", agency="H99.32"), section)
    for other in (
        bands_of(of("2026-M11"), section),
        bands_of(of("2026-M10", regime="Y"), section),
        bands_of(of("2026-M10"), section._replace(code="TON-TAI")),
    ):
        assert not set(mine) & set(other)


def test_what_is_kept_of_a_section_names_the_report_it_is_of_and_its_receipt() -> None:
    section = Section("KET-QUA", "Kết quả", "Results", "warning", "warning", BUCKETS)
    body = of("2026-M10")
    assert kept_of(body, section) == Kept(
        body.submission_id, "H99.31/KTXH-THANG/2026-M10", "H99.31", body.received_at, BUCKETS
    )

"""The small province of the fault tests: a weekly regime of four figures and one sum, written as registry files.

This module computes the right verdict on a body (accepted or returned, how many items) without the services' code.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

REGIME = "TUAN"
REQUIRED_ITEMS = 5  # four figures and a narrative
AGENCIES = tuple(f"X99.{number:02d}" for number in range(1, 25))
#: Wednesday 11 March 2026, 10:00: week 11 is open, the weeks before it are late
BUSINESS_START = "2026-03-11T10:00:00+07:00"
FIRST_WEEK = date(2026, 1, 5)
#: weeks whose cut-off is over by BUSINESS_START: before that nothing is accepted
PERIODS = tuple(f"2026-W{(FIRST_WEEK + timedelta(weeks=n)).isocalendar().week:02d}" for n in range(10))


def officer(agency: str) -> str:
    """The reporting officer of an agency."""
    return f"DM-{agency}"


def regime_document(code: str = REGIME, version: int = 1, effective_from: str = "2025-12-15") -> dict[str, Any]:
    """A weekly regime as the registry's files have it."""
    figures = [
        {"code": f"T0{n}", "label": f"Chỉ tiêu {n}", "label_en": f"Figure {n}", "unit": "việc", "minimum": "0"}
        for n in range(1, 5)
    ]
    return {
        "code": code,
        "regime_version": version,
        "name": f"Báo cáo tuần {code}",
        "name_en": f"Weekly report {code}",
        "frequency": "weekly",
        "effective_from": effective_from,
        "submitter_kinds": ["department"],
        "receiver": "X99",
        "cutoff": {"weekday": 2},
        "deadline": {"rule": "weekday", "weekday": 5, "hour": 16, "minute": 30, "on_holiday": "next_working_day"},
        "remind_working_days": 1,
        "legal_basis": "Thử nghiệm / for tests",
        "form": {
            "figures": figures,
            "narratives": [
                {"code": "N01", "label": "Kết quả", "label_en": "Results", "min_characters": 20, "max_characters": 5000}
            ],
            "sums": [{"code": "S01", "total": "T01", "terms": ["T02", "T03", "T04"]}],
        },
    }


def agency_document(code: str) -> dict[str, Any]:
    return {
        "code": code, "name": f"Sở {code}", "name_en": f"Department {code}", "kind": "department", "parent": "X99",
        "opened_on": "2009-01-01",
    }  # fmt: skip


def officers_of(code: str) -> list[dict[str, Any]]:
    return [
        {"officer_id": officer(code), "agency": code, "name": f"Cán bộ {code}", "title": "Cán bộ đầu mối",
         "email": f"dm@{code.lower()}.example", "role": "reporting_officer"},
        {"officer_id": f"TT-{code}", "agency": code, "name": f"Thủ trưởng {code}", "title": "Giám đốc",
         "email": f"tt@{code.lower()}.example", "role": "head"},
    ]  # fmt: skip


def write_registry(
    folder: Path, agencies: tuple[str, ...] = AGENCIES, regimes: list[dict[str, Any]] | None = None
) -> Path:
    """The files that `registry apply` reads; returns the folder."""
    root = {
        "code": "X99",
        "name": "Tỉnh thử",
        "name_en": "Test province",
        "kind": "province",
        "opened_on": "2010-01-01",
    }
    listed = [root, *(agency_document(code) for code in agencies)]
    people = [person for code in ("X99", *agencies) for person in officers_of(code)]
    (folder / "regimes").mkdir(parents=True, exist_ok=True)
    (folder / "agencies.yaml").write_text(yaml.safe_dump({"agencies": listed}, allow_unicode=True), encoding="utf-8")
    (folder / "officers.yaml").write_text(yaml.safe_dump({"officers": people}, allow_unicode=True), encoding="utf-8")
    for regime in regimes or [regime_document()]:
        path = folder / "regimes" / f"{regime['code'].lower()}-{regime['regime_version']}.yaml"
        path.write_text(yaml.safe_dump(regime, allow_unicode=True), encoding="utf-8")
    return folder


def make_body(dice: random.Random, agency: str, period: str, serial: int, regime: str = REGIME) -> bytes:
    """A report: two thirds right, the rest with a wrong sum or without T04. `serial` makes its content unique."""
    parts = [dice.randrange(1000), dice.randrange(1000), serial]
    fault = dice.choice(("none", "none", "none", "none", "sum", "missing"))
    figures = {"T01": sum(parts) + (1 if fault == "sum" else 0), "T02": parts[0], "T03": parts[1], "T04": parts[2]}
    if fault == "missing":
        del figures["T04"]
    document = {
        "regime": regime,
        "period": period,
        "officer": officer(agency),
        "figures": figures,
        "narratives": {"N01": f"Kết quả thực hiện nhiệm vụ trong tuần, lần {serial}."},
    }
    return json.dumps(document, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Deserved:
    """Return the right verdict on a body, by this file's own reading of the form."""

    accepted: bool
    present_items: int


def deserved(body: bytes) -> Deserved:
    """Judge a stored body without the validator."""
    document = json.loads(body)
    figures, narratives = document.get("figures", {}), document.get("narratives", {})
    present = sum(1 for n in range(1, 5) if figures.get(f"T0{n}") is not None) + bool(narratives.get("N01"))
    whole = present == REQUIRED_ITEMS
    sums = whole and figures["T01"] == figures["T02"] + figures["T03"] + figures["T04"]
    return Deserved(sums, present)

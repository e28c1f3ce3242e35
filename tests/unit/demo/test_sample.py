"""The sample province must be loadable as it stands: every record a valid event, every reference known."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.sample import generate
from shared.contract.events import AgencyRegistered, OfficerRegistered, PersonRegistered, RegimePublished, RequestIssued

FOLDER = Path(generate.__file__).parent
#: QĐ 20/2020/QĐ-TTg: at most 35 characters
CODE = re.compile(r"^[A-Z]\d{2}(\.[0-9A-Z]+)*$")
RESERVED = (".example", "@example.com", "@example.org")


def problems_of(
    agencies: list[AgencyRegistered],
    officers: list[OfficerRegistered],
    regimes: list[RegimePublished],
    requests: list[RequestIssued],
) -> list[str]:
    """Everything that hangs in the air or contradicts itself, one sentence each."""
    codes = {agency.code for agency in agencies}
    found = [f"code {code} appears twice" for code, n in Counter(a.code for a in agencies).items() if n > 1]
    for agency in agencies:
        if not CODE.match(agency.code) or len(agency.code) > 35:
            found.append(f"{agency.code} is no code of QĐ 20/2020")
        if agency.parent is not None and agency.parent not in codes:
            found.append(f"{agency.code}: parent {agency.parent} unknown")
        found += [f"{agency.code}: successor {code} unknown" for code in agency.successors if code not in codes]
        if agency.closed_on is not None and agency.closed_on < agency.opened_on:
            found.append(f"{agency.code} closed before it opened")
    found += [f"officer {i} appears twice" for i, n in Counter(o.officer_id for o in officers).items() if n > 1]
    found += [f"address {mail} appears twice" for mail, n in Counter(o.email for o in officers).items() if n > 1]
    names = {regime.code for regime in regimes}
    for officer in officers:
        if officer.agency not in codes:
            found.append(f"{officer.officer_id}: agency {officer.agency} unknown")
        found += [f"{officer.officer_id}: regime {code} unknown" for code in officer.regimes if code not in names]
        if not officer.email.endswith(RESERVED):
            found.append(f"{officer.officer_id}: {officer.email} could be somebody's")
    for regime in regimes:
        found += _problems_of_form(regime)
        found += [f"{regime.code}: agency {c} unknown" for c in (regime.receiver, *regime.submitters) if c not in codes]
    for request in requests:
        if request.regime not in names:
            found.append(f"{request.request_id}: regime {request.regime} unknown")
        found += [f"{request.request_id}: agency {code} unknown" for code in request.agencies if code not in codes]
        if request.deadline <= request.issued_at:
            found.append(f"{request.request_id}: due before it is issued")
    return found


def _problems_of_form(regime: RegimePublished) -> list[str]:
    figures = {figure.code: figure for figure in regime.form.figures}
    found = [f"{regime.code}: figure twice"] if len(figures) != len(regime.form.figures) else []
    for rule in regime.form.sums:
        parts = (rule.total, *rule.terms)
        found += [f"{regime.code}/{rule.code}: figure {code} unknown" for code in parts if code not in figures]
        if len({figures[code].unit for code in parts if code in figures}) > 1:
            found.append(f"{regime.code}/{rule.code}: units differ")
        if len(set(parts)) != len(parts):
            found.append(f"{regime.code}/{rule.code}: a figure twice in one sum")
    for narrative in regime.form.narratives:
        if not 0 <= narrative.min_characters < narrative.max_characters:
            found.append(f"{regime.code}/{narrative.code}: lengths the wrong way round")
    for figure in regime.form.figures:
        if figure.minimum is not None and figure.maximum is not None and figure.minimum >= figure.maximum:
            found.append(f"{regime.code}/{figure.code}: bounds the wrong way round")
    if (regime.frequency == "adhoc") != (regime.deadline.rule == "on_request"):
        found.append(f"{regime.code}: only an ad hoc regime is due on request")
    if regime.frequency == "weekly" and regime.deadline.rule == "day_of_month":
        found.append(f"{regime.code}: a week has no day of the month")
    return found


def _read(noun: str, *files: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in files:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows += loaded.get(noun, [loaded])
    assert rows, f"no {noun}"
    return rows


Province = tuple[list[AgencyRegistered], list[OfficerRegistered], list[RegimePublished], list[RequestIssued]]


@pytest.fixture(scope="module")
def province() -> Province:
    return (
        [AgencyRegistered(version=1, **row) for row in _read("agencies", FOLDER / "agencies.yaml")],
        [OfficerRegistered(version=1, **row) for row in _read("officers", FOLDER / "officers.yaml")],
        [RegimePublished(version=1, **row) for row in _read("regimes", *sorted(FOLDER.glob("regimes/*.yaml")))],
        [RequestIssued(version=1, **row) for row in _read("requests", FOLDER / "requests.yaml")],
    )


def test_nothing_in_the_sample_hangs_in_the_air(province: Province) -> None:
    assert problems_of(*province) == []


def test_a_dangling_reference_or_a_wrong_rule_is_found(province: Province) -> None:
    agencies, officers, regimes, requests = province
    lost = agencies[5].model_copy(update={"parent": "H99.NONE", "closed_on": date(1999, 1, 1)})
    stray = officers[0].model_copy(update={"agency": "H98", "email": "ai@example.vn"})
    form = regimes[0].form.model_copy(update={"sums": (regimes[0].form.sums[0].model_copy(update={"total": "ZZ"}),)})
    broken = regimes[0].model_copy(update={"form": form, "receiver": "H00"})
    request = requests[0].model_copy(update={"agencies": ("H99.0",)})
    found = " ".join(
        problems_of([*agencies[:5], lost, *agencies[6:]], [stray, *officers[1:]], [broken, *regimes[1:]], [request])
    )
    for part in ("parent H99.NONE", "closed before", "agency H98", "somebody's", "figure ZZ", "H00", "agency H99.0"):
        assert part in found


def test_no_key_of_the_files_is_unknown_to_the_models() -> None:
    """The models ignore what they do not know; a typing error in the YAML would vanish."""
    pairs: list[tuple[type[Any], list[dict[str, Any]]]] = [
        (AgencyRegistered, _read("agencies", FOLDER / "agencies.yaml")),
        (OfficerRegistered, _read("officers", FOLDER / "officers.yaml")),
        (PersonRegistered, _read("people", FOLDER / "people.yaml")),
        (RegimePublished, _read("regimes", *sorted(FOLDER.glob("regimes/*.yaml")))),
        (RequestIssued, _read("requests", FOLDER / "requests.yaml")),
    ]
    for model, rows in pairs:
        for row in rows:
            assert set(row) <= set(model.model_fields), row
            if model is RegimePublished:
                dumped = model(version=1, **row).model_dump()
                for part in ("form", "deadline", "cutoff"):
                    assert set(row.get(part, {})) <= set(dumped[part])
                for group in ("figures", "narratives", "sums"):
                    for given, kept in zip(row["form"].get(group, ()), dumped["form"][group], strict=True):
                        assert set(given) <= set(kept), given


def test_the_generated_files_are_what_the_generator_writes() -> None:
    for path, text in generate.files().items():
        assert path.read_text(encoding="utf-8") == text


def test_a_commune_merges_while_it_owes_a_report_that_its_heir_does_not(province: Province) -> None:
    agencies, _, _, requests = province
    (merged,) = [AgencyRegistered(version=2, **row) for row in generate.merged()]
    by_code = {agency.code: agency for agency in agencies}
    assert (by_code[merged.code].closed_on, merged.heir) == (None, generate.HEIR)
    assert by_code[generate.HEIR].closed_on is None
    open_then = [
        request
        for request in requests
        if request.issued_at.date() <= generate.LAST_DAY < request.deadline.date() and merged.code in request.agencies
    ]
    assert open_then
    assert not any(merged.heir in request.agencies for request in open_then)


def test_the_province_has_two_tiers_since_july_2025(province: Province) -> None:
    agencies, officers, regimes, _ = province
    kinds = Counter(agency.kind for agency in agencies)
    assert kinds["department"] == 20
    assert kinds["commune"] + kinds["ward"] + kinds["special_zone"] == 98
    by_code = {agency.code: agency for agency in agencies}
    inherited = Counter(code for agency in agencies for code in agency.successors)
    for agency in agencies:
        if agency.kind == "district":
            assert agency.closed_on == date(2025, 6, 30)
            assert agency.successors
            assert all(by_code[code].opened_on == date(2025, 7, 1) for code in agency.successors)
            assert not any(o.active for o in officers if o.agency == agency.code)
    assert set(inherited.values()) == {1}
    assert all("district" not in regime.submitter_kinds for regime in regimes)


def test_every_open_agency_has_a_reporting_officer_and_a_few_have_no_head(province: Province) -> None:
    agencies, officers, _, _ = province
    active = [officer for officer in officers if officer.active]
    open_codes = {agency.code for agency in agencies if agency.closed_on is None}
    assert {o.agency for o in active if o.role == "reporting_officer" and not o.regimes} == open_codes
    without_head = open_codes - {o.agency for o in active if o.role == "head"}
    assert without_head == generate.WITHOUT_HEAD


def test_all_frequencies_of_a_province_are_there_and_the_big_monthly_form_is_whole(province: Province) -> None:
    regimes = {regime.code: regime for regime in province[2]}
    assert {regime.frequency for regime in regimes.values()} >= {
        "weekly", "monthly", "quarterly", "half_yearly", "yearly", "adhoc",
    }  # fmt: skip
    big = regimes["KTXH-THANG"].form
    assert (len(big.figures), len(big.sums), len(big.narratives)) == (36, 12, 1)
    assert all(regime.legal_basis for regime in regimes.values())

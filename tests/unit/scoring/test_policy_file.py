"""A policy file is read whole or refused, with every fault and its line; the shipped one explains each clause."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from services.scoring.scores.policy import PolicyError, shipped_policies
from services.scoring.scores.policy.data import parse_policy
from services.scoring.scores.policy.loading import check_command
from tests.unit.scoring.samples import POLICY

FILE = Path("services/scoring/scores/policy/policy-1.yaml")
BODY = FILE.read_text(encoding="utf-8")


def line_of(text: str) -> int:
    return 1 + next(number for number, line in enumerate(BODY.splitlines()) if text in line)


def refused(body: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse_policy("p.yaml", body.encode())
    return str(caught.value).splitlines()


def test_the_checksum_is_of_the_exact_bytes() -> None:
    (shipped,) = shipped_policies()
    assert shipped.sha256 == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert shipped.body == BODY
    respaced = parse_policy("p.yaml", BODY.replace("  full:", "  full: ").encode())
    assert respaced.policy == shipped.policy
    assert respaced.sha256 != shipped.sha256


def test_every_clause_has_its_text_in_both_languages_and_its_legal_basis() -> None:
    for clause in POLICY.clauses.each():
        said = POLICY.text(clause)
        assert said is not None
        assert said.text_vi
        assert said.text_en
        assert said.legal_basis
        assert said.text_vi != said.text_en
    assert POLICY.text("9.z") is None
    assert POLICY.notice_working_days == 3


def test_the_texts_name_the_points_that_the_policy_gives() -> None:
    named = {
        "1.a": POLICY.timeliness.full,
        "1.b": POLICY.timeliness.off_per_working_day,
        "2.a": POLICY.completeness.full,
    }
    for clause, points in named.items():
        said = POLICY.texts[clause]
        assert f"{points} điểm" in said.text_vi
        assert f"{points} points" in said.text_en


def test_every_fault_is_told_at_once_with_its_line() -> None:
    wrong = BODY.replace('full: "60"', "full: 60,5").replace("fraction_digits: 2", "fraction_digits: 9")
    wrong = wrong.replace("notice_working_days: 3", "notice_days: 3")
    told = refused(wrong)
    for text, path in (
        ('full: "60"', "timeliness.full"),
        ("fraction_digits", "completeness.fraction_digits"),
        ("notice_working_days", "notice_days"),
    ):
        assert any(line.startswith(f"p.yaml:{line_of(text)}: {path}: ") for line in told), (path, told)
    assert any("notice_working_days: thiếu, hãy thêm / is missing, add it" in line for line in told)
    assert len(told) == 4, told


def test_points_without_quotes_are_as_exact_as_in_quotes() -> None:
    assert parse_policy("p.yaml", BODY.replace('full: "60"', "full: 60.10").encode()).policy == parse_policy(
        "p.yaml", BODY.replace('full: "60"', 'full: "60.10"').encode()
    ).policy  # fmt: skip


@pytest.mark.parametrize(
    ("was", "becomes", "complaint"),
    [
        ('floor: "0"', 'floor: "61"', "above full"),
        ('overdue: "0"', 'overdue: "61"', "silence would earn more"),
        ('late: "1.b"', 'late: "1.a"', "1.a names two rules"),
        ('late: "1.b"', 'late: "1.x"', "clause 1.x has no text"),
        ("counts: accepted", "counts: all", "accepted"),
        ("source: >-", "version: '2'\nsource: >-", "given twice"),
        ("source: >-", "source: [", "YAML"),
        ("source: >-", "source: \x00", "U+0000"),
    ],
)
def test_what_contradicts_itself_is_refused(was: str, becomes: str, complaint: str) -> None:
    assert was in BODY
    assert any(complaint in line for line in refused(BODY.replace(was, becomes)))


def test_a_contradiction_is_told_in_both_languages_and_in_our_own_words() -> None:
    (told,) = refused(BODY.replace('floor: "0"', 'floor: "61"'))
    line = line_of("timeliness:")
    assert told == f"p.yaml:{line}: timeliness: floor, 61, lớn hơn full, 60 / floor, 61, is above full, 60"
    (told,) = refused(BODY.replace("texts:", 'texts:\n  "9.z": {text_vi: a, text_en: b, legal_basis: c}'))
    assert told.endswith("9.z không phải khoản nào của quy tắc này / texts: 9.z is no clause of this policy")


def test_the_clause_of_the_grace_is_a_clause_like_the_others() -> None:
    assert POLICY.clauses.each() == ("1.a", "1.b", "1.c", "2.a")
    assert POLICY.clauses.model_copy(update={"grace": "1.d"}).each() == ("1.a", "1.b", "1.c", "2.a", "1.d")


def test_policies_of_a_folder_come_by_their_first_day(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        BODY.replace("version: ", "version: '9' #", 1).replace("effective_from: ", "effective_from: 2030-01-01 #", 1),
        encoding="utf-8",
    )
    (tmp_path / "b.yaml").write_text(BODY, encoding="utf-8")
    (tmp_path / "c.yaml").write_text(
        BODY.replace("version: ", "version: '7' #", 1).replace("effective_from: ", "effective_from: 2025-01-01 #", 1),
        encoding="utf-8",
    )
    assert [read.policy.version for read in shipped_policies(tmp_path)] == ["2019.1", "7", "9"]


def test_bytes_that_are_no_text_and_files_that_are_no_page_are_refused() -> None:
    for file in (b"\xff\xfe", b"#" * 300_000, b"- 1\n", b""):
        with pytest.raises(PolicyError, match=r"p\.yaml"):
            parse_policy("p.yaml", file)


def test_policy_check_says_what_is_wrong_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_command([str(FILE)]) == 0
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() in capsys.readouterr().out
    path = tmp_path / "p.yaml"
    path.write_text(BODY.replace('full: "60"', "full: sixty"), encoding="utf-8")
    assert check_command([str(path)]) == 1
    assert f"p.yaml:{line_of('full: ')}: timeliness.full: " in capsys.readouterr().out
    assert check_command([str(tmp_path / "none.yaml")]) == 1

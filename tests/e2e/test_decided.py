"""Each path of a report's life to score and notice, on the whole stack: one quarter of an hour's clock for all of them.

Every path is an agency's own. They are played side by side: before the deadline, after it, after the certification's
lock and after the reports' lock; business time is led from one to the next. Each path has its control: an agency that
did the same but for the step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import Stack
from shared.runtime.clock import ClockLeader
from tests.e2e.rig import HTTP, agree, eventually
from tests.stack import Infra

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PERIOD = "2026-M03"  # due on Wednesday 18/3 at 17:00
START = "2026-03-17T09:00:00+07:00"
AFTER_DEADLINE = "2026-03-19T10:00:00+07:00"
AFTER_CERTIFYING = "2026-03-24T10:00:00+07:00"  # what is to be certified is locked on 23/3 at 17:00
AFTER_LOCK = "2026-03-26T10:00:00+07:00"  # the others on 25/3 at 17:00
NEVER = "2026-04-20T00:00:00+07:00"

#: agency -> regime, in the order of the paths below
APPROVED, CORRECTED, UNCORRECTED, WITHDRAWN, EXTENDED, EXTENDED_LATE, NOT_EXTENDED, LATE = (
    f"H99.{number}" for number in range(11, 19)
)
UPHELD, DISMISSED, LOCKED, RELIEVED = (f"H99.{number}" for number in range(21, 25))
SIGNED, SIGNED_LATE, NIL, UNSIGNED_NIL = (f"H99.{number}" for number in range(31, 35))
EXPLAINED, UNEXPLAINED = "H99.41", "H99.42"
REGIMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "DUYET": (
        "review: required\nlock_after_working_days: 5",
        (APPROVED, CORRECTED, UNCORRECTED, WITHDRAWN, EXTENDED, EXTENDED_LATE, NOT_EXTENDED, LATE, UPHELD, DISMISSED,
         LOCKED, RELIEVED),
    ),
    "KY": ("certification: head\nlock_after_working_days: 3", (SIGNED, SIGNED_LATE, NIL, UNSIGNED_NIL)),
    "GIAITRINH": ("", (EXPLAINED, UNEXPLAINED)),
}  # fmt: skip
REGIME_OF = {agency: regime for regime, (_, agencies) in REGIMES.items() for agency in agencies}
FORM = """
form:
  nil_allowed: true
  filler: explain
  figures: [{code: A, label: Tổng số hồ sơ, minimum: "0"}]
  narratives: [{code: N, label: Đánh giá}]
"""
GOOD = {"figures": {"A": 5}, "narratives": {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}}
BAD = {**GOOD, "figures": {"A": -1}}
FILLER = {**GOOD, "narratives": {"N": "đang cập nhật số liệu"}}
NOTHING = {"nil": True, "nil_reason": "Trong kỳ không phát sinh hồ sơ nào."}
CHAIR, REVIEWER = "chu-tich", "duyet"


def _write(folder: Path) -> None:
    (folder / "regimes").mkdir(parents=True)
    agencies = [{"code": "H99", "name": "UBND tỉnh mẫu", "kind": "province", "opened_on": "2025-07-01"}]
    officers = []
    for code in REGIME_OF:
        number = code[-2:]
        agencies.append(
            {"code": code, "name": f"Xã số {number}", "kind": "commune", "parent": "H99", "opened_on": "2025-07-01"}
        )
        for role, name in (("reporting_officer", "cb"), ("head", "tt")):
            officer = {"officer_id": f"{name}-{number}", "agency": code, "name": f"Nguyễn Văn {number}", "role": role}
            officers.append({**officer, "email": f"{name}-{number}@xa.example"})
    people = [
        {
            "person_id": name, "agency": "H99", "name": "Lê Thị Lan",
            "contacts": [{"channel": "email", "address": f"{name}@tinh.example"}],
            "offices": [{"role": role, "agency": "H99", "since": "2025-07-01"}],
        }
        for name, role in ((CHAIR, "chair"), (REVIEWER, "reviewer"))
    ]  # fmt: skip
    for name, records in (("agencies", agencies), ("officers", officers), ("people", people)):
        (folder / f"{name}.yaml").write_text(json.dumps({name: records}, ensure_ascii=False))
    for code, (asks, submitters) in REGIMES.items():
        (folder / "regimes" / f"{code.lower()}.yaml").write_text(
            f"code: {code}\nregime_version: 1\nname: Báo cáo {code}\nfrequency: monthly\neffective_from: 2026-01-15\n"
            f"submitters: {json.dumps(submitters)}\nreceiver: H99\n"
            f"deadline: {{rule: day_of_month, day: 18, hour: 17}}\n{asks}{FORM}"
        )


class Paths:
    """The province on a stack: agencies and people act with their own keys, and business time is led."""

    def __init__(self, stack: Stack, folder: Path, leader: ClockLeader) -> None:
        self.stack, self._leader = stack, leader
        _write(folder)
        self.command("registry", "apply", str(folder), "--why", "a test")
        made = json.loads(self.command("keys", "create", "--all", "--json"))
        self.keys = {row["agency"]: row["key"] for row in made["keys"]}
        heads = [f"tt-{agency[-2:]}" for agency in (EXTENDED, SIGNED, SIGNED_LATE, NIL)]
        named = [part for person in (CHAIR, REVIEWER, *heads) for part in ("--person", person)]
        made = json.loads(self.command("keys", "create", *named, "--json"))
        self.keys |= {row["person"]: row["key"] for row in made["keys"]}
        #: of each agency its submissions, in their order
        self.sent: dict[str, list[str]] = {}
        self.refused: dict[str, httpx.Response] = {}
        self.lists: dict[str, list[list[Any]]] = {CHAIR: [], REVIEWER: []}

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "services.intake", *arguments],
            env={**os.environ, **self.stack.service_env("intake")}, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def at_once(self, act: Callable[[str], Any], names: Sequence[str]) -> list[Any]:
        with ThreadPoolExecutor(6) as pool:
            return list(pool.map(act, names))

    def lead_to(self, moment: str) -> None:
        """Run business time up to this moment, then at the pace of real time."""
        until = datetime.fromisoformat(moment)
        self._leader.lead(rate=200_000.0, until=until)
        eventually(lambda: self._leader.clock.now() >= until, moment)
        self._leader.lead(rate=1.0, until=None)

    def ask(self, method: str, by: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys[by]}", "Idempotency-Key": os.urandom(8).hex()}
        return HTTP.request(method, f"{self.stack.url('intake')}/v1/{path}", headers=headers, json=body)

    def get(self, by: str, path: str) -> Any:
        answer = self.ask("GET", by, path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, agency: str, report: dict[str, Any]) -> None:
        """Send a report and wait for its verdict."""
        body = {"regime": REGIME_OF[agency], "period": PERIOD, "officer": f"cb-{agency[-2:]}", **report}
        answer = self.ask("POST", agency, "submissions", body)
        assert answer.status_code == 201, answer.text
        name = answer.json()["submission_id"]
        self.sent.setdefault(agency, []).append(name)
        eventually(lambda: self.get(agency, f"submissions/{name}")["status"] != "received", f"{agency} has a verdict")

    def send_all(self, *agencies: str, report: dict[str, Any]) -> None:
        self.at_once(lambda agency: self.send(agency, report), agencies)

    def step(self, by: str, path: str, **said: Any) -> Any:
        answer = self.ask("POST", by, path, said)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def of_report(self, by: str, agency: str, what: str, **said: Any) -> Any:
        """A step about the agency's latest report."""
        return self.step(by, f"submissions/{self.sent[agency][-1]}/{what}", **said)

    def of_obligation(self, by: str, agency: str, what: str, **said: Any) -> Any:
        owner = "" if by == agency else f"?agency={agency}"
        return self.step(by, f"obligations/{REGIME_OF[agency]}/{PERIOD}/{what}{owner}", **said)

    def decide(self, by: str, asked: Any, kind: str, decision: str, **said: Any) -> Any:
        return self.step(by, f"{kind}/{asked['step_id']}/decision", decision=decision, **said)

    def standing(self, agency: str) -> dict[str, Any]:
        path = f"/v1/obligations/{agency}/{REGIME_OF[agency]}/{PERIOD}"
        token = {"Authorization": f"Bearer {self.stack.operator_key()}"}
        answer = HTTP.get(self.stack.url("scoring") + path, headers=token)
        return dict(answer.json()) if answer.status_code == 200 else {}

    def stands(self, *agencies: str, **wanted: Any) -> None:
        """Wait until the obligations of these agencies are so at scoring."""
        for agency in agencies:
            eventually(partial(self._is_so, agency, wanted), f"{agency}: {wanted}, is {self.standing(agency)}")

    def _is_so(self, agency: str, wanted: dict[str, Any]) -> bool:
        shown = self.standing(agency)
        return all(shown.get(name) == value for name, value in wanted.items())

    def note_lists(self) -> None:
        """Remember what waits for the chair and the reviewer."""
        for person, lists in self.lists.items():
            lists.append(self.get(person, "reviews/open")["items"])

    def sign(self, agency: str) -> None:
        """The head certifies once asked to: what was signed before the letter left is asked for no more."""
        head = f"tt-{agency[-2:]}"
        eventually(lambda: "[Chờ ký xác nhận]" in self.letters(head), f"{head} is asked to sign")
        self.of_report(head, agency, "certification")

    def letters(self, name: str) -> list[str]:
        """What kinds of letters somebody has got, by the word at the head of the subject."""
        heads = [mail.subject.partition("]")[0] + "]" for mail in self.stack.mails() if f"{name}@" in str(mail.to)]
        return sorted(heads)


def _before_the_deadline(paths: Paths) -> None:
    eventually(lambda: all(paths.standing(agency) for agency in REGIME_OF), "all obligations are there")
    eventually(
        lambda: all(
            paths.get(agency, f"obligations?regime={REGIME_OF[agency]}&period={PERIOD}")["items"]
            for agency in (EXTENDED, NOT_EXTENDED)
        ),
        "and shown",
    )
    paths.send_all(APPROVED, CORRECTED, UNCORRECTED, WITHDRAWN, SIGNED, SIGNED_LATE, report=GOOD)
    paths.send_all(UPHELD, DISMISSED, report=BAD)
    paths.send_all(EXPLAINED, UNEXPLAINED, report=FILLER)
    paths.send_all(NIL, UNSIGNED_NIL, report=NOTHING)
    explanations = [
        paths.of_report(agency, agency, "explanation", reason="Số liệu do sở cung cấp, chưa có.")
        for agency in (EXPLAINED, UNEXPLAINED)
    ]
    appeals = [
        paths.of_report(agency, agency, "appeals", reason="Số âm là số điều chỉnh giảm.")
        for agency in (UPHELD, DISMISSED)
    ]
    wish = {"reason": "Mất điện toàn xã", "until": "2026-03-20T17:00:00+07:00"}
    granted = paths.of_obligation("tt-" + EXTENDED[-2:], EXTENDED, "extensions", **wish)
    refused = paths.of_obligation(NOT_EXTENDED, NOT_EXTENDED, "extensions", **wish)
    paths.note_lists()
    paths.of_report(REVIEWER, APPROVED, "review", decision="approve")
    for agency in (CORRECTED, UNCORRECTED):
        until = "2026-03-20T17:00:00+07:00"
        paths.of_report(REVIEWER, agency, "review", decision="rework", reason="Thiếu nguyên nhân", until=until)
    paths.stands(WITHDRAWN, standing="fulfilled")
    paths.of_report(WITHDRAWN, WITHDRAWN, "withdrawal", reason="Gửi nhầm số liệu")
    paths.decide(REVIEWER, granted, "extensions", "grant", reason="Có xác nhận của Điện lực")
    paths.decide(REVIEWER, refused, "extensions", "refuse", reason="Không có xác nhận")
    paths.decide(REVIEWER, explanations[0], "explanations", "grant")
    paths.decide(REVIEWER, explanations[1], "explanations", "refuse", reason="Chưa rõ nguồn số liệu")
    paths.decide(CHAIR, appeals[0], "appeals", "uphold", reason="Đúng biểu mẫu", effect="accepted")
    paths.decide(CHAIR, appeals[1], "appeals", "dismiss", reason="Biểu mẫu không cho số âm")
    paths.stands(NIL, standing="awaiting_verdict")
    paths.sign(NIL)
    paths.stands(APPROVED, UPHELD, EXPLAINED, UNEXPLAINED, NIL, standing="fulfilled")
    paths.stands(CORRECTED, UNCORRECTED, DISMISSED, standing="returned")
    paths.stands(WITHDRAWN, standing="nothing_sent")
    paths.stands(EXTENDED, deadline="2026-03-20T17:00:00+07:00")
    paths.note_lists()


def _after_the_deadline(paths: Paths) -> None:
    paths.lead_to(AFTER_DEADLINE)
    until = "2026-03-24T17:00:00+07:00"
    asked = paths.of_obligation(EXTENDED_LATE, EXTENDED_LATE, "extensions", reason="Mất điện", until=until)
    paths.decide(REVIEWER, asked, "extensions", "grant", reason="Có xác nhận")
    paths.send_all(CORRECTED, EXTENDED, report={**GOOD, "figures": {"A": 6}})
    paths.sign(SIGNED)
    paths.stands(WITHDRAWN, NOT_EXTENDED, LATE, RELIEVED, LOCKED, DISMISSED, overdue=True)
    paths.stands(CORRECTED, EXTENDED, SIGNED, standing="fulfilled")


def _after_the_certification_is_due(paths: Paths) -> None:
    paths.lead_to(AFTER_CERTIFYING)
    paths.stands(SIGNED_LATE, UNSIGNED_NIL, UNCORRECTED, overdue=True)
    paths.send_all(LATE, EXTENDED_LATE, RELIEVED, report=GOOD)
    paths.sign(SIGNED_LATE)
    paths.stands(LATE, EXTENDED_LATE, RELIEVED, SIGNED_LATE, standing="fulfilled", overdue=False)
    appeal = paths.of_obligation(RELIEVED, RELIEVED, "appeals", reason="Đường truyền của tỉnh hỏng")
    said = {"effect": "relief", "since": "2026-03-18T08:00:00+07:00", "until": "2026-03-24T17:00:00+07:00"}
    paths.decide(CHAIR, appeal, "appeals", "uphold", reason="Đã xác minh", **said)
    paths.stands(RELIEVED, on_time=True)


def _after_the_lock(paths: Paths) -> None:
    paths.lead_to(AFTER_LOCK)
    body = {"regime": "DUYET", "period": PERIOD, "officer": f"cb-{LOCKED[-2:]}", **GOOD}
    paths.refused[LOCKED] = paths.ask("POST", LOCKED, "submissions", body)
    paths.of_obligation(CHAIR, LOCKED, "unlock", reason="Có công văn", until="2026-03-27T17:00:00+07:00")
    paths.send(LOCKED, GOOD)
    paths.stands(LOCKED, standing="fulfilled")
    paths.refused[NOT_EXTENDED] = paths.ask(
        "POST", NOT_EXTENDED, "submissions", {**body, "officer": f"cb-{NOT_EXTENDED[-2:]}"}
    )


@pytest.fixture(scope="module")
def paths(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paths]:
    """All paths, played to their end."""
    leader = ClockLeader(tmp_path_factory.mktemp("clock") / "business", datetime.fromisoformat(START))
    leader.lead(rate=1.0, until=None)
    env = {"BUSINESS_CLOCK": leader.specification, "SCORING_SETTLE_SECONDS": "1"}
    with infra.stack(tmp_path_factory.mktemp("decided"), env=env) as stack:
        played = Paths(stack, tmp_path_factory.mktemp("registry"), leader)
        _before_the_deadline(played)
        _after_the_deadline(played)
        _after_the_certification_is_due(played)
        _after_the_lock(played)
        yield played


#: standing, on time, score; in the middle the rule that makes it, and the control
OUTCOMES: dict[str, tuple[str, bool | None, str]] = {
    APPROVED: ("fulfilled", True, "100"),
    CORRECTED: ("fulfilled", True, "100"),  # within the reviewer's term: by the receipt of the version sent back
    UNCORRECTED: ("returned", None, "0"),
    WITHDRAWN: ("nothing_sent", None, "0"),  # nobody gains
    EXTENDED: ("fulfilled", True, "100"),
    NOT_EXTENDED: ("nothing_sent", None, "0"),
    LATE: ("fulfilled", False, "60"),  # four working days: 19, 20, 23, 24/3
    EXTENDED_LATE: ("fulfilled", False, "90"),  # the extension forgives days and makes nothing on time
    RELIEVED: ("fulfilled", True, "100"),
    UPHELD: ("fulfilled", True, "80"),  # one of two required items does not hold
    DISMISSED: ("returned", None, "0"),
    LOCKED: ("fulfilled", False, "40"),  # six working days
    SIGNED: ("fulfilled", True, "100"),  # received in time, certified by the lock
    SIGNED_LATE: ("fulfilled", False, "60"),  # counts from the certification: four working days
    NIL: ("fulfilled", True, "100"),
    UNSIGNED_NIL: ("awaiting_verdict", None, "0"),
    # filler is no item; the explanation changes no score
    EXPLAINED: ("fulfilled", True, "80"),
    UNEXPLAINED: ("fulfilled", True, "80"),
}


@pytest.mark.parametrize("agency", OUTCOMES)
def test_each_path_ends_in_its_standing_and_score(paths: Paths, agency: str) -> None:
    shown = paths.standing(agency)
    assert (shown["standing"], shown["on_time"], format(float(shown["score"]), "g")) == OUTCOMES[agency]
    assert shown["overdue"] is (shown["standing"] != "fulfilled")
    in_force = [float(line["points"]) for line in shown["lines"] if line["in_force"]]
    assert sum(in_force) == float(shown["score"])
    mine = paths.get(agency, f"obligations/{REGIME_OF[agency]}/{PERIOD}")
    assert (mine["standing"], float(mine["score"])) == (shown["standing"], float(shown["score"])), (
        "as the agency sees it"
    )


STATES = {
    APPROVED: ["approved"], CORRECTED: ["rework", "accepted"], UNCORRECTED: ["rework"], WITHDRAWN: ["withdrawn"],
    UPHELD: ["accepted"], DISMISSED: ["returned"], EXPLAINED: ["accepted"], UNEXPLAINED: ["to_explain"],
    SIGNED: ["accepted"], NIL: ["accepted"], UNSIGNED_NIL: ["accepted"],
}  # fmt: skip
STEPS = {
    APPROVED: ["approved"], CORRECTED: ["rework"], WITHDRAWN: ["withdrawn"], SIGNED: ["certified"], NIL: ["certified"],
    UPHELD: ["appeal_made", "appeal_upheld"], DISMISSED: ["appeal_made", "appeal_dismissed"],
    EXPLAINED: ["explanation_given", "explanation_accepted"],
    UNEXPLAINED: ["explanation_given", "explanation_refused"], UNSIGNED_NIL: [],
}  # fmt: skip


@pytest.mark.parametrize("agency", STATES)
def test_each_report_shows_its_state(paths: Paths, agency: str) -> None:
    shown = [paths.get(agency, f"submissions/{name}")["lifecycle"]["state"] for name in paths.sent[agency]]
    assert shown == STATES[agency]


@pytest.mark.parametrize("agency", STEPS)
def test_the_timeline_tells_each_step(paths: Paths, agency: str) -> None:
    timeline = paths.get(agency, f"submissions/{paths.sent[agency][0]}/timeline")["steps"]
    assert [step["taken"]["kind"] for step in timeline if step["step"] == "step"] == STEPS[agency]


def test_decisions_are_told_once_to_who_asked_and_to_the_officer(paths: Paths) -> None:
    told = {
        EXTENDED: "[Chấp thuận gia hạn]", EXTENDED_LATE: "[Chấp thuận gia hạn]", NOT_EXTENDED: "[Không gia hạn]",
        UPHELD: "[Chấp nhận khiếu nại]", RELIEVED: "[Chấp nhận khiếu nại]", DISMISSED: "[Bác khiếu nại]",
        EXPLAINED: "[Chấp nhận giải trình]", UNEXPLAINED: "[Không chấp nhận giải trình]",
    }  # fmt: skip
    for agency in REGIME_OF:
        letters = Counter(paths.letters(f"cb-{agency[-2:]}"))
        decided = {head: count for head, count in letters.items() if head in told.values()}
        assert decided == ({told[agency]: 1} if agency in told else {}), agency
    assert paths.letters(f"tt-{EXTENDED[-2:]}") == ["[Chấp thuận gia hạn]"], "the head asked"


def test_a_head_hears_that_a_report_waits_for_the_signature_and_nobody_else_does(paths: Paths) -> None:
    eventually(lambda: "[Chờ ký xác nhận]" in paths.letters(f"tt-{UNSIGNED_NIL[-2:]}"), "nobody has signed")
    for agency in REGIME_OF:
        asked = paths.letters(f"tt-{agency[-2:]}").count("[Chờ ký xác nhận]")
        assert asked == (1 if REGIME_OF[agency] == "KY" else 0), agency
    assert "[Báo cáo chậm]" in paths.letters(f"tt-{UNSIGNED_NIL[-2:]}"), "nobody signed"
    assert "[Báo cáo chậm]" not in paths.letters(f"tt-{SIGNED[-2:]}")


def test_the_reviewer_hears_of_a_withdrawal_and_finds_the_rest_on_the_list(paths: Paths) -> None:
    assert paths.letters(REVIEWER) == ["[Rút báo cáo]"]
    assert paths.letters(CHAIR) == []
    before, after = paths.lists[REVIEWER]
    assert Counter(item["kind"] for item in before) == {"review": 4, "extension": 2, "explanation": 2}
    assert [item["since"] for item in before] == sorted(item["since"] for item in before)
    # what an appeal made a report of waits for its review; what was refused to be explained does not
    assert [(item["kind"], item["agency"]) for item in after] == [("review", UPHELD)]
    before, after = paths.lists[CHAIR]
    assert Counter(item["kind"] for item in before)["appeal"] == 2
    assert "appeal" not in {item["kind"] for item in after}


def test_what_was_sent_back_is_told_with_its_term_and_only_who_does_not_correct_it_is_late(paths: Paths) -> None:
    for agency, overdue in ((CORRECTED, False), (UNCORRECTED, True)):
        letters = paths.letters(f"cb-{agency[-2:]}")
        assert letters.count("[Trả lại]") == 1
        assert ("[Quá hạn]" in letters) is overdue


def test_after_the_lock_a_report_is_refused_until_somebody_unlocks_it_which_is_audited(paths: Paths) -> None:
    for agency in (LOCKED, NOT_EXTENDED):
        refused = paths.refused[agency]
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/obligation-locked")
    token = {"Authorization": f"Bearer {paths.stack.operator_key()}"}
    trail = HTTP.get(f"{paths.stack.url('intake')}/v1/audit?kind=obligation", headers=token).json()
    unlocked = [entry for entry in trail["items"] if entry["action"] == "unlocked"]
    assert [(entry["key"], entry["by"], entry["why"]) for entry in unlocked] == [
        (f"{LOCKED}/DUYET/{PERIOD}", CHAIR, "Có công văn")
    ]


def test_notices_of_decisions_stand_on_the_obligations_page(paths: Paths) -> None:
    kinds = [notice["kind"] for notice in paths.get(EXTENDED, f"obligations/DUYET/{PERIOD}")["notices"]]
    assert kinds.count("decision") == 2
    assert "certification" in {notice["kind"] for notice in paths.get(SIGNED, f"obligations/KY/{PERIOD}")["notices"]}


def test_all_stores_agree_in_the_end(paths: Paths) -> None:
    agree(paths.stack)

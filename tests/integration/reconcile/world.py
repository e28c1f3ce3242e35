"""A small province in which everything has happened once: whatever the stores can hold has a row somewhere.

Reports accepted, returned, late and NIL; overdue with a climb over an unstaffed rung; a relief; a moved deadline; a
request; an agency that closed; a dead letter. Then the services end, so that nothing heals or moves any more.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

from aiokafka import AIOKafkaProducer

from deploy.local import Stack
from shared.contract.events import WebhookEvent
from shared.contract.reporting_window import local_day
from shared.contract.services import SERVICES
from shared.runtime.clock import Clock
from tests.e2e.rig import HTTP, REQUESTED, agree, eventually

#: a working day; M03 (15/2–14/3) is due tomorrow at 17:00
NOW = "2026-03-17T09:00:00+07:00"
#: people hear at once that a report names them
ENVIRONMENT = {"NOTIFIER_NAMED_GROUP_MINUTES": "0", "NOTIFIER_MAILING": "office", "NOTIFIER_MAILING_SECONDS": "0.5"}
#: notices wait for a window, which is open all day, so that none waits for the clock
MAILING = """
mailing: default
version: 1000
source: a test
windows: ["00:00-23:59"]
gather: 0m
group: []
at_once: []
mails_a_day: 100
"""
REGIME, PERIOD = "KTXH", "2026-M03"

AGENCIES = """
agencies:
  - {code: H99, name: UBND tỉnh mẫu, name_en: Sample province, kind: province, opened_on: 2025-07-01}
  - {code: H99.04, name: Sở Cũ, kind: department, parent: H99, opened_on: 2025-07-01, closed_on: 2026-02-28,
     successors: [H99.05]}
  - {code: H99.05, name: Sở Nội vụ, name_en: Home Affairs, kind: department, parent: H99, opened_on: 2025-07-01}
  - {code: H99.06, name: Trung tâm lưu trữ, kind: office, parent: H99, opened_on: 2025-07-01}
  - {code: H99.91, name: Xã An Bình, kind: commune, parent: H99, opened_on: 2025-07-01}
  - {code: H99.92, name: Xã Hòa Lạc, kind: commune, parent: H99, opened_on: 2025-07-01}
"""
OFFICERS = """
officers:
  - {officer_id: tt-99, agency: H99, name: Vũ Thị Mai, title: Chủ tịch, email: mai@tinh.example, role: head}
  - {officer_id: cb-05, agency: H99.05, name: Nguyễn Thị Hạnh, title: Chuyên viên, email: hanh@sonoivu.example,
     role: reporting_officer, regimes: [KTXH, QUAN-LY]}
  - {officer_id: tt-05, agency: H99.05, name: Trần Văn Bảo, email: bao@sonoivu.example, role: head}
  - {officer_id: cb-91, agency: H99.91, name: Lê Thị Sen, email: sen@anbinh.example, role: reporting_officer}
  - {officer_id: cb-92, agency: H99.92, name: Đỗ Văn Núi, email: nui@hoalac.example, role: reporting_officer}
  - {officer_id: tt-92, agency: H99.92, name: Hà Văn Sông, email: song@hoalac.example, role: head}
"""
REFERENCES = """
references:
  - code: LINH-VUC
    table_version: 1
    name: Lĩnh vực
    effective_from: 2026-01-01
    columns: [{code: MA, label: Mã}, {code: HAN, label: Hạn, type: number}]
    rows: [[DD, 15], [HT, null]]
"""
PEOPLE = """
people:
  - {person_id: tt-99, agency: H99, name: Vũ Thị Mai, title: Chủ tịch,
     contacts: [{channel: email, address: mai@tinh.example}, {channel: phone, address: "+84912345678"}],
     offices: [{role: chair, agency: H99, regimes: [KTXH], since: 2025-07-01, until: 2030-06-30}]}
  - {person_id: cv-99, agency: H99, name: Đinh Công Sơn, title: Chuyên viên,
     contacts: [{channel: email, address: son@tinh.example}],
     offices: [{role: reviewer, agency: H99, since: 2025-07-01}]}
"""
FORM = """
form:
  figures:
    - {code: A, label: Tổng số hồ sơ, label_en: Files, unit: hồ sơ, minimum: "0", maximum: "1000"}
    - {code: A1, label: Đúng hạn, unit: hồ sơ, minimum: "0"}
    - {code: A2, label: Quá hạn, unit: hồ sơ, minimum: "0", required: false}
  narratives:
    - {code: N, label: Đánh giá, min_characters: 20}
  sums:
    - {code: K, total: A, terms: [A1, A2]}
  nil_allowed: true
"""
REGIMES = {
    "ktxh.yaml": """
code: KTXH
regime_version: 1
name: Báo cáo kinh tế - xã hội tháng
name_en: Monthly report
frequency: monthly
effective_from: 2026-01-15
submitter_kinds: [department, commune]
receiver: H99
deadline: {rule: day_of_month, day: 18, hour: 17}
legal_basis: NĐ 09/2019/NĐ-CP
"""
    + FORM,
    "quanly.yaml": """
code: QUAN-LY
regime_version: 1
name: Báo cáo tuần
frequency: weekly
effective_from: 2026-03-01
effective_to: 2026-12-31
submitters: [H99.05]
receiver: H99
cutoff: {weekday: 4}
deadline: {rule: weekday, weekday: 5, hour: 16, minute: 30}
remind_working_days: 1
lock_after_working_days: 5
grace_working_days: 1
form:
  figures:
    - {code: T, label: Việc đã làm, unit: việc, minimum: "0"}
""",
    "thientai.yaml": REQUESTED,
}
NARRATIVE = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}

WAIVERS = """
waivers:
  - {{waiver_id: MN-1, regime: KTXH, rule: K01, agencies: [H99.05], asked_by: cb-05, approved_by: tt-99,
     reason: Biểu mẫu chưa tách số liệu của Sở Cũ, since: {since}, until: {until}}}
"""


class _Receiver(BaseHTTPRequestHandler):
    """Takes what is sent to `/nhan`; of everything else it wants no more."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204 if self.path == "/nhan" else 410)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *said: Any) -> None:
        return


class World:
    """The province on a stack; agencies act with their own keys, operators by command."""

    def __init__(self, stack: Stack, folder: Path, clock: Clock) -> None:
        self.stack, self.folder, self.clock = stack, folder, clock
        (folder / "regimes").mkdir(parents=True)
        (folder / "agencies.yaml").write_text(AGENCIES)
        (folder / "officers.yaml").write_text(OFFICERS)
        (folder / "people.yaml").write_text(PEOPLE)
        (folder / "references.yaml").write_text(REFERENCES)
        since = local_day(clock.now()) + timedelta(days=1)
        (folder / "waivers.yaml").write_text(WAIVERS.format(since=since, until=since + timedelta(days=9)))
        for name, text in REGIMES.items():
            (folder / "regimes" / name).write_text(text)
        self._silence()
        self.requests: list[dict[str, Any]] = []
        self.command("intake", "registry", "apply", str(folder), "--why", "a test")
        keys = json.loads(self.command("intake", "keys", "create", "--all", "--json"))
        self.keys = {row["agency"]: row["key"] for row in keys["keys"]}
        operator = json.loads(self.command("intake", "keys", "create", "--operator", "doi-soat", "--json"))
        self.operator = operator["keys"][0]["key"]
        self._webhooks()
        chair = json.loads(self.command("intake", "keys", "create", "--person", "tt-99", "--json"))
        self.chair = chair["keys"][0]["key"]
        self.command("intake", "keys", "rotate", chair["keys"][0]["key_id"])

    def _silence(self) -> None:
        """Load mailing rules; one silence that is ended, and one that keeps a notice back to the end."""
        (self.folder / "mailing.txt").write_text(MAILING)
        self.command("notifier", "mailing", "load", str(self.folder / "mailing.txt"))
        until = (self.clock.now() + timedelta(days=20)).isoformat()
        order = ("silences", "add", "--until", until, "--by", "an", "--reason", "Lũ lớn, mất liên lạc")
        ended = self.command("notifier", *order, "--agency", "H99.04").split()[0]
        self.command("notifier", "silences", "end", ended, "--by", "an", "--reason", "Nước đã rút")
        self.command("notifier", *order, "--kind", "withdrawal")

    def play(self) -> None:
        """Let everything happen once, and wait until it has."""
        soon = [("DX-2026-001", ["H99.91"]), ("DX-2026-002", ["H99.92"]), ("DX-2026-003", [])]
        for request_id, agencies in soon:
            self._request(request_id, agencies, seconds=15 if agencies else 3600)
        self._load_requests()
        figures = {"A": 100, "A1": 90, "A2": 10}
        self._post("H99.05", REGIME, PERIOD, figures={**figures, "A2": 5}, narratives=NARRATIVE)
        self._decided("H99.05", REGIME, PERIOD, "returned")
        self._post("H99.05", REGIME, PERIOD, figures=figures, narratives=NARRATIVE)
        self._post("H99.91", REGIME, PERIOD, nil=True, nil_reason="Không phát sinh hồ sơ.")
        self._post("H99.92", REGIME, PERIOD, figures={"A": "x", "Z": 1}, narratives={"N": "ngắn"})
        self._decided("H99.05", REGIME, PERIOD, "accepted")
        self._decided("H99.92", REGIME, PERIOD, "returned")
        self._step("H99.92", f"submissions/{self._latest('H99.92')}/withdrawal", reason="Gửi nhầm biểu")
        self._step("H99.91", f"obligations/{REGIME}/{PERIOD}/appeals", reason="Ngoài giờ làm việc")
        until = (self.clock.now() + timedelta(days=9)).isoformat()
        self._step("H99.92", f"obligations/{REGIME}/{PERIOD}/extensions", reason="Mất điện", until=until)
        # corrected once more, after it was accepted: nothing of the standing changes, and nothing is told
        self._post("H99.05", REGIME, PERIOD, figures=figures, narratives={"N": NARRATIVE["N"] + " Bổ sung."})
        asyncio.run(self._poison())
        for key in ("H99.91/THIEN-TAI/DX-2026-001", "H99.92/THIEN-TAI/DX-2026-002"):
            eventually(partial(self._overdue, key), f"{key} is overdue")
        self._post("H99.91", "THIEN-TAI", "DX-2026-001", figures={"N1": 3})
        self._decided("H99.91", "THIEN-TAI", "DX-2026-001", "accepted")
        self.requests[2]["deadline"] = (self.clock.now() + timedelta(hours=2)).isoformat()
        moved = AGENCIES.replace("kind: office, parent: H99,", "kind: office, parent: H99.05,")
        (self.folder / "agencies.yaml").write_text(moved)
        self._load_requests()
        self._relieve()
        self._ask_and_withdraw()
        self._ask_for_waivers()
        self._test_and_replay()
        for person in ("cb-05", "cb-91"):
            eventually(partial(self._told, person), f"{person} is told that a report names them")
        self.drain()

    def _webhooks(self) -> None:
        """Two agencies have webhooks; the receiver of one wants nothing."""
        self._receiver = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
        threading.Thread(target=self._receiver.serve_forever, daemon=True).start()
        self.webhooks = {}
        for agency, path in (("H99.91", "nhan"), ("H99.92", "thoi")):
            body = {
                "url": f"http://127.0.0.1:{self._receiver.server_port}/{path}", "events": list(get_args(WebhookEvent)),
                "contact": f"cntt@{path}.example",
            }  # fmt: skip
            self.webhooks[agency] = self._call("intake", agency, "webhooks", body, 201)["webhook_id"]

    def _test_and_replay(self) -> None:
        """A test, and once its messages are delivered all of them again."""
        own = f"webhooks/{self.webhooks['H99.91']}"
        test = self._call("intake", "H99.91", f"{own}/test", None, 202)["test_id"]

        def delivered(message: str) -> bool:
            headers = {"Authorization": f"Bearer {self.keys['H99.91']}"}
            url = f"{self.stack.url('notifier')}/v1/{own}/deliveries/{message}"
            answer = HTTP.get(url, headers=headers)
            return answer.status_code == 200 and answer.json()["state"] == "delivered"

        eventually(lambda: delivered(test), "the test of a webhook is delivered")
        since = {"since": "2026-01-01T00:00:00Z", "states": ["delivered"]}
        assert self._call("notifier", "H99.91", f"{own}/replay", since, 202)["messages"]
        eventually(lambda: delivered(test), "what was replayed is delivered")

    def _call(self, service: str, agency: str, path: str, body: Any, status: int) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.keys[agency]}", "Idempotency-Key": os.urandom(8).hex()}
        answer = HTTP.post(f"{self.stack.url(service)}/v1/{path}", headers=headers, json=body)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _ask_and_withdraw(self) -> None:
        """One agency asks another for information, and withdraws the question."""
        deadline = (self.clock.now() + timedelta(days=3)).isoformat()
        self._step(
            "H99", "information-requests", title="Số hộ nghèo", title_en="Poor households", question="Bao nhiêu hộ?",
            deadline=deadline, agencies=["H99.91"],
        )  # fmt: skip
        key = "H99.91/TT-H99/TT-H99-1"
        eventually(lambda: self.obligation(key).get("owed"), "what is asked is owed")
        headers = {"Authorization": f"Bearer {self.keys['H99']}", "Idempotency-Key": os.urandom(8).hex()}
        url = f"{self.stack.url('intake')}/v1/information-requests/TT-H99-1/withdrawal"
        answer = HTTP.post(url, headers=headers, json={"reason": "Đã có số liệu"})
        assert answer.status_code == 200, answer.text
        eventually(lambda: self.obligation(key)["owed"] is False, "what is withdrawn is owed no more")

    def _ask_for_waivers(self) -> None:
        """Two agencies ask that a rule is waived; the chair grants one request, the other waits."""
        since = local_day(self.clock.now()) + timedelta(days=2)
        said = {"regime": REGIME, "rule": "K01", "since": since.isoformat(), "until": since.isoformat()}
        self._step("H99.91", "waivers", **said, reason="Sáp nhập thôn", asked_by="cb-91")
        headers = {"Authorization": f"Bearer {self.keys['H99.05']}", "Idempotency-Key": os.urandom(8).hex()}
        url = f"{self.stack.url('intake')}/v1/waivers"
        asked = HTTP.post(url, headers=headers, json=said | {"reason": "Chưa tách số liệu", "asked_by": "cb-05"})
        assert asked.status_code == 201, asked.text
        decision = HTTP.post(
            f"{url}/{asked.json()['waiver_id']}/decision",
            headers={"Authorization": f"Bearer {self.chair}"}, json={"decision": "grant"},
        )  # fmt: skip
        assert decision.status_code == 200, decision.text

    def obligation(self, key: str) -> dict[str, Any]:
        """As scoring shows it to the operator, once it has heard of the operator's key."""
        answer = HTTP.get(
            f"{self.stack.url('scoring')}/v1/obligations/{key}",
            headers={"Authorization": f"Bearer {self.operator}"},
        )
        return answer.json() if answer.status_code == 200 else {}

    def _told(self, officer_id: str) -> bool:
        answer = HTTP.get(
            f"{self.stack.url('notifier')}/v1/notifications?kind=named&limit=100",
            headers={"Authorization": f"Bearer {self.operator}"},
        )
        return any(row["officer_id"] == officer_id and row["state"] == "sent" for row in answer.json()["items"])

    def _overdue(self, key: str) -> bool:
        return bool(self.obligation(key).get("overdue"))

    def command(self, service: str, *arguments: str) -> str:
        """An operator's command, as it is typed; its output."""
        done = subprocess.run(
            [sys.executable, "-m", f"services.{service}", *arguments],
            env={**os.environ, **self.stack.service_env(service)}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def urls(self) -> dict[str, str]:
        return {service: self.stack.database_url(service) for service in SERVICES}

    def drain(self) -> None:
        """Wait until reconcile finds nothing: all that was posted has arrived everywhere."""
        agree(self.stack, "--settle-seconds=0")

    def _request(self, request_id: str, agencies: list[str], *, seconds: int) -> None:
        now = self.clock.now()
        self.requests.append(
            {
                "request_id": request_id, "regime": "THIEN-TAI", "title": "Thiệt hại do mưa đá",
                "title_en": "Hail damage", "issued_at": now.isoformat(),
                "deadline": (now + timedelta(seconds=seconds)).isoformat(), "agencies": agencies,
                "legal_basis": "Công điện 12/CĐ-TTg",
            }
        )  # fmt: skip

    def _load_requests(self) -> None:
        (self.folder / "requests.yaml").write_text(json.dumps({"requests": self.requests}))
        # on a busy machine a deadline of seconds may have passed by then
        self.command("intake", "registry", "apply", str(self.folder), "--why", "a test", "--past-requests")

    def _relieve(self) -> None:
        deadline = datetime.fromisoformat(self.requests[2]["deadline"])
        key = "H99.92/THIEN-TAI/DX-2026-003"
        eventually(
            lambda: datetime.fromisoformat(self.obligation(key).get("deadline", NOW)) >= deadline, "the deadline moved"
        )
        start, end = deadline - timedelta(hours=1), deadline + timedelta(hours=3)
        added = self.command(
            "scoring", "reliefs", "add", "--from", start.isoformat(), "--to", end.isoformat(), "--reason", "Mất điện",
            "--by", "Trần Thị B", "--agency", "H99.92", "--regime", "THIEN-TAI",
        )  # fmt: skip
        self.command("scoring", "reliefs", "grant", _relief_id(added), "--by", "Lê Văn C", "--reason", "Có công văn")
        eventually(lambda: self.obligation(key).get("reliefs"), "the relief has moved the deadline")

    def _post(self, agency: str, regime: str, period: str, **report: Any) -> None:
        headers = {"Authorization": f"Bearer {self.keys[agency]}", "Idempotency-Key": os.urandom(8).hex()}
        body = {"regime": regime, "period": period, "officer": f"cb-{agency[-2:]}", **report}
        answer = HTTP.post(f"{self.stack.url('intake')}/v1/submissions", headers=headers, json=body)
        assert answer.status_code == 201, answer.text

    def _latest(self, agency: str) -> str:
        headers = {"Authorization": f"Bearer {self.keys[agency]}"}
        answer = HTTP.get(f"{self.stack.url('intake')}/v1/submissions?limit=1", headers=headers)
        return str(answer.json()["items"][0]["submission_id"])

    def _step(self, agency: str, path: str, **said: Any) -> None:
        """What somebody does with a report or an obligation."""
        headers = {"Authorization": f"Bearer {self.keys[agency]}", "Idempotency-Key": os.urandom(8).hex()}
        answer = HTTP.post(f"{self.stack.url('intake')}/v1/{path}", headers=headers, json=said)
        assert answer.status_code == 201, answer.text

    def _decided(self, agency: str, regime: str, period: str, status: str) -> None:
        headers = {"Authorization": f"Bearer {self.keys[agency]}"}
        url = f"{self.stack.url('intake')}/v1/obligations/{regime}/{period}"

        def decided() -> bool:
            answer = HTTP.get(url, headers=headers)
            sent = answer.json()["submissions"] if answer.status_code == 200 else []
            return bool(sent) and sent[0]["status"] == status

        eventually(decided, f"{agency}/{regime}/{period} is {status}")

    async def _poison(self) -> None:
        """A record that is no event: it becomes a dead letter of every consumer of its topic."""
        producer = AIOKafkaProducer(bootstrap_servers=self.stack.kafka_bootstrap)
        await producer.start()
        try:
            topic = f"{self.stack.options.topic_prefix}submissions"
            await producer.send_and_wait(topic, b"{", key=b"H99.91/KTXH/2026-M02", headers=[("ce_id", b"no uuid")])
        finally:
            await producer.stop()


def _relief_id(said: str) -> str:
    found = re.search(r"/ proposed: (\S+)", said)
    assert found is not None, said
    return found[1]

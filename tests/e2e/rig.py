"""A province small enough to read: one department that reports, one commune that is silent; and a hand to drive it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from deploy.local import Stack
from deploy.local.process import poll_until
from shared.contract.services import SERVICES
from shared.runtime.clock import Clock

T = TypeVar("T")
#: for all who look again and again: without it each call would read the certificates of TLS anew, 40 ms of CPU for an
#: address that has none. It keeps no connection: a service that starts anew has closed the old ones
HTTP = httpx.Client(timeout=30, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

#: a working day; M03 (15/2–14/3) is due tomorrow at 17:00, M02 has been due for weeks
NOW = "2026-03-17T09:00:00+07:00"
DEPARTMENT, COMMUNE, REGIME, PERIOD = "H99.05", "H99.91", "KTXH", "2026-M03"

AGENCIES = """
agencies:
  - {code: H99, name: UBND tỉnh mẫu, kind: province, opened_on: 2025-07-01}
  - {code: H99.05, name: Sở Nội vụ, kind: department, parent: H99, opened_on: 2025-07-01}
  - {code: H99.91, name: Xã An Bình, kind: commune, parent: H99, opened_on: 2025-07-01}
"""
OFFICERS = """
officers:
  - {officer_id: cb-05, agency: H99.05, name: Nguyễn Thị Hạnh, email: hanh@sonoivu.example, role: reporting_officer}
  - {officer_id: tt-05, agency: H99.05, name: Trần Văn Bảo, email: bao@sonoivu.example, role: head}
  - {officer_id: cb-91, agency: H99.91, name: Lê Thị Sen, email: sen@anbinh.example, role: reporting_officer}
  - {officer_id: tt-91, agency: H99.91, name: Phạm Văn Lúa, email: lua@anbinh.example, role: head}
"""
REGIMES = """
code: KTXH
regime_version: 1
name: Báo cáo kinh tế - xã hội tháng
frequency: monthly
effective_from: 2026-01-15
submitter_kinds: [department, commune]
receiver: H99
deadline: {rule: day_of_month, day: 18, hour: 17}
form:
  figures:
    - {code: A, label: Tổng số hồ sơ, unit: hồ sơ, minimum: "0"}
    - {code: A1, label: Đúng hạn, unit: hồ sơ, minimum: "0"}
    - {code: A2, label: Quá hạn, unit: hồ sơ, minimum: "0"}
    - {code: B, label: Số tiền, unit: triệu đồng, minimum: "0", fraction_digits: 2}
  narratives:
    - {code: N, label: Đánh giá, min_characters: 20}
  sums:
    - {code: K, total: A, terms: [A1, A2]}
"""
REQUESTED = """
code: THIEN-TAI
regime_version: 1
name: Báo cáo đột xuất thiệt hại thiên tai
frequency: adhoc
effective_from: 2025-07-01
submitter_kinds: [commune]
receiver: H99
deadline: {rule: on_request}
form:
  figures:
    - {code: N1, label: Nhà bị hư hại, unit: nhà, minimum: "0"}
"""
REQUEST = "DX-2026-001"


class Province:
    """The small province, loaded; agencies act with their own keys, the operator with one of its own."""

    def __init__(self, stack: Stack, folder: Path, clock: Clock) -> None:
        self.stack = stack
        self.clock = clock
        (folder / "regimes").mkdir(parents=True)
        (folder / "agencies.yaml").write_text(AGENCIES)
        (folder / "officers.yaml").write_text(OFFICERS)
        (folder / "regimes" / "ktxh.yaml").write_text(REGIMES)
        self.intake("registry", "apply", str(folder), "--why", "a test")
        keys = json.loads(self.intake("keys", "create", "--all", "--json"))
        self.keys: dict[str, str] = {row["agency"]: row["key"] for row in keys["keys"]}

        self.folder = folder

    def request(self, *, seconds: int) -> None:
        """The province asks the commune for an ad hoc report within so many seconds of business time."""
        issued = self.clock.now()
        asked = {
            "request_id": REQUEST,
            "regime": "THIEN-TAI",
            "title": "Thiệt hại do mưa đá",
            "issued_at": issued.isoformat(),
            "deadline": (issued + timedelta(seconds=seconds)).isoformat(),
            "agencies": [COMMUNE],
        }
        (self.folder / "regimes" / "thientai.yaml").write_text(REQUESTED)
        (self.folder / "requests.yaml").write_text(json.dumps({"requests": [asked]}))
        self.intake("registry", "apply", str(self.folder), "--why", "a test")

    def intake(self, *arguments: str) -> str:
        """An operator's command, as it is typed; its output."""
        done = subprocess.run(
            [sys.executable, "-m", "services.intake", *arguments],
            env={**os.environ, **self.stack.service_env("intake")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, agency: str, idempotency_key: str, **report: Any) -> httpx.Response:
        """POST /v1/submissions as the agency."""
        body = {"regime": REGIME, "period": PERIOD, "officer": f"cb-{agency[-2:]}", **report}
        return HTTP.post(
            self.stack.url("intake") + "/v1/submissions",
            headers={"Authorization": f"Bearer {self.keys[agency]}", "Idempotency-Key": idempotency_key},
            json=body,
        )

    def get(self, agency: str, path: str) -> Any:
        """What intake shows the agency."""
        answer = HTTP.get(self.stack.url("intake") + path, headers={"Authorization": f"Bearer {self.keys[agency]}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def operator(self, service: str, path: str) -> httpx.Response:
        """What a service shows its operator."""
        key = self.stack.operator_key()
        return HTTP.get(self.stack.url(service) + path, headers={"Authorization": f"Bearer {key}"})

    def reconcile(self) -> tuple[int, str]:
        return reconcile(self.stack)

    def agree(self) -> None:
        agree(self.stack)

    def mails_to(self, address: str) -> list[Any]:
        return [mail for mail in self.stack.mails() if address in str(mail.to)]


def reconcile(stack: Stack, *options: str) -> tuple[int, str]:
    """What `reconcile` says of the stack's stores: its exit code and its output."""
    urls = [f"--{name}={stack.database_url(name)}" for name in SERVICES]
    done = subprocess.run(
        [sys.executable, "-m", "deploy.reconcile", *options, *urls],
        env={**os.environ, **stack.service_env("scoring")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def agree(stack: Stack, *options: str) -> None:
    """Wait until `reconcile` finds no difference: everything has drained."""
    said: list[str] = []

    def agreed() -> bool:
        code, output = reconcile(stack, *options)
        said.append(output)
        return code == 0

    try:
        eventually(agreed, "no difference", seconds=90)
    except AssertionError as error:
        raise AssertionError(said[-1][-6000:]) from error


def eventually(look: Callable[[], T | None], what: str, *, seconds: float = 60) -> T:
    """Look until there is something; at the deadline fail with `what`."""
    found: list[T] = []

    def there() -> bool:
        value = look()
        if value:
            found.append(value)
        return bool(value)

    assert poll_until(there, timeout_seconds=seconds), f"not within {seconds} s: {what}"
    return found[-1]

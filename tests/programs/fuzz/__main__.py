"""python -m tests.programs.fuzz: schemathesis against all services of a live stack. CASES=120 a route, SEED=7 repeats.

Ends with 0 only if every answer is below 500, is documented and has the documented form, and at least LEAST_CASES
requests were made. The report of each service is in .local/fuzz/.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from deploy.local import Options, Stack
from deploy.local.options import ROOT
from shared.contract.services import SERVICES
from shared.runtime.clock import business_clock, scaled_specification
from tests.e2e.rig import COMMUNE, DEPARTMENT, NOW, PERIOD, REGIME, Province, eventually

LEAST_CASES = 5000
CASES = int(os.environ.get("CASES", "120"))
REPORTS = ROOT / ".local" / "fuzz"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)
#: one client is no crowd: the limits are the subject of tests of their own
UNLIMITED = {
    "INTAKE_AGENCY_MILLISECONDS_PER_SECOND": "1000000",
    "INTAKE_AGENCY_BURST_MILLISECONDS": "1000000",
    "INTAKE_UNAUTHORIZED_RATE_PER_SECOND": "100000",
    "INTAKE_UNAUTHORIZED_BURST": "100000",
}
_GENERATED = re.compile(r"(\d+) generated")


def main() -> int:
    """Fuzz each service; return the exit code."""
    seed = int(os.environ.get("SEED") or secrets.randbelow(2**31))
    print(f"SEED={seed}, {CASES} cases a route", flush=True)
    clock = scaled_specification(datetime.fromisoformat(NOW), 1)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(directory=Path(folder) / "stack", env={"BUSINESS_CLOCK": clock} | UNLIMITED)
        with Stack(options) as stack:
            province = Province(stack, Path(folder) / "registry", business_clock(clock))
            known = _something_to_find(province)
            targets = [(service, stack.url(service), stack.operator_key()) for service in SERVICES]
            targets.append(("intake-agency", stack.url("intake"), province.keys[DEPARTMENT]))
            outcomes = {name: fuzz(name, url, token, known, seed) for name, url, token in targets}
    cases = sum(made for made, _ in outcomes.values())
    failed = [service for service, (_, code) in outcomes.items() if code != 0]
    for service, (made, code) in outcomes.items():
        print(f"{service:<13} {made:>7,} requests  {'as documented' if code == 0 else f'FAILED ({code})'}")
    print(f"{'all':<13} {cases:>7,} requests; reports in {REPORTS.relative_to(ROOT)}")
    if cases < LEAST_CASES:
        print(f"too few: at least {LEAST_CASES:,} are wanted")
    return 1 if failed or cases < LEAST_CASES else 0


def _something_to_find(province: Province) -> Mapping[str, list[str]]:
    """Post one report that is accepted and one that is returned; return their ids."""
    narratives = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}
    wrong = province.post(DEPARTMENT, "fuzz-1", figures={"A": 100, "A1": 90, "A2": 5, "B": 1}, narratives=narratives)
    right = province.post(DEPARTMENT, "fuzz-2", figures={"A": 95, "A1": 90, "A2": 5, "B": 1}, narratives=narratives)
    ids = [str(answer.json()["submission_id"]) for answer in (wrong, right)]
    for submission_id in ids:
        path = f"/v1/submissions/{submission_id}"
        eventually(lambda path=path: province.get(DEPARTMENT, path)["status"] != "received", f"a verdict on {path}")  # type: ignore[misc]
    found = province.operator("notifier", "/v1/notifications?limit=1").json().get("items", [])
    return {
        "submission_id": ids,
        "agency": [DEPARTMENT, COMMUNE],
        "regime": [REGIME],
        "code": [REGIME],
        "period": [PERIOD],
        "notification_id": [str(item[name]) for item in found for name in ("id", "notification_id") if name in item],
        "slug": ["invalid-report", "bad-request"],
    }


def fuzz(
    name: str, url: str, token: str, known: Mapping[str, list[str]], seed: int, cases: int = CASES
) -> tuple[int, int]:
    """Fuzz one service with one token; return (requests made, exit code). `name` is the report's."""
    report = REPORTS / f"{name}.ndjson"
    REPORTS.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS)),
        *("--max-examples", str(cases), "--seed", str(seed), "--request-timeout", "30"),
        # one worker: Python 3.11 cannot parse source in two threads at once (github.com/python/cpython/issues/106905)
        *("--workers", "1", "--continue-on-failure", "--suppress-health-check", "all"),
        *("--warnings", "off", "--no-color"),
        *("--report", "ndjson", "--report-ndjson-path", str(report)),
    ]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.programs.fuzz.hooks", "FUZZ_KNOWN": json.dumps(known)}
    env["PYTHONPATH"] = str(ROOT)
    print(f"— {name}", flush=True)
    # it keeps a cache in its working folder
    done = subprocess.run(command, cwd=REPORTS, env=env, capture_output=True, text=True, check=False)
    (REPORTS / f"{name}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        print(done.stdout[-12_000:] + done.stderr[-2000:], flush=True)
    generated = _GENERATED.search(done.stdout)
    return int(generated[1]) if generated else 0, done.returncode


if __name__ == "__main__":
    sys.exit(main())

"""python -m tests.programs.fuzz: schemathesis against all services of a live stack. CASES=120 a route, SEED=7 repeats.

Every link that a document names, each once; walks, in which a call takes ids from what earlier ones were answered; and
single calls. Of the board, only its exports have a document; its pages are for people. Ends with 0 only if every answer
is below 500, is documented and has the documented form, at least LEAST_CASES requests were made and LEAST_LINKS links
followed, and reconcile finds no difference afterwards. The report of each service is in .local/fuzz/.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deploy.local import Options, Stack
from deploy.local.options import ROOT
from shared.access import SCOPES
from shared.contract.services import SERVICES
from shared.runtime.clock import business_clock, scaled_specification
from tests.e2e.rig import COMMUNE, DEPARTMENT, HTTP, NOW, PERIOD, REGIME, Province, agree, eventually
from tests.programs.fuzz.bodies import GOOD
from tests.programs.fuzz.follow import follow
from tests.programs.fuzz.walks import closed, walk

LEAST_CASES = 10_000
CASES = int(os.environ.get("CASES", "120"))
#: walks through each service with each key, of so many calls at most; and how many links all of them must follow
WALKS = int(os.environ.get("WALKS", "40"))
STEPS = 20
LEAST_LINKS = 100
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
    **{
        f"{service}_AGENCY_{name}": "1000000"
        for service in ("VALIDATOR", "NOTIFIER")
        for name in ("MILLISECONDS_PER_SECOND", "BURST_MILLISECONDS")
    },
    "INTAKE_UNAUTHORIZED_RATE_PER_SECOND": "100000",
    "INTAKE_UNAUTHORIZED_BURST": "100000",
    **{
        f"{service.upper()}_OPERATOR_{name}": "1000000"
        for service in SERVICES
        for name in ("MILLISECONDS_PER_SECOND", "BURST_MILLISECONDS")
    },
}
#: a person who may do all that people may, so that the walks get past the rights of single offices
PERSON = "fuzz-1"
PEOPLE = """
people:
  - person_id: fuzz-1
    agency: H99.05
    name: Nguyễn Thị Hạnh
    contacts: [{channel: email, address: hanh@sonoivu.example}]
    offices:
      - {role: head, agency: H99.05, since: 2025-07-01}
      - {role: chair, agency: H99, since: 2025-07-01}
      - {role: administrator, agency: H99, since: 2025-07-01}
"""
OF_AGENCY, OF_OPERATOR = ("submit", "read"), ("operate",)
OF_PERSON = ("submit", "read", "review", "administer")
#: the services that show something to an agency's key
HEARS_AGENCIES = frozenset({"intake", "validator", "scoring", "notifier"})
_GENERATED = re.compile(r"(\d+) generated")


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """How many single calls were made, how many in how many walks, and how many to follow links.

    links: of those that the document names and this key may follow (`named`), so many were. code: 0 where every answer
    was as documented.
    """

    made: int
    walked: int
    walks: int
    following: int
    links: int
    named: int
    code: int

    @property
    def requests(self) -> int:
        return self.made + self.walked + self.following


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
            # first: what an agency sends is what the others have to show
            own, operator = province.keys[DEPARTMENT], stack.operator_key()
            targets: list[tuple[str, str, str, Sequence[str]]] = [
                (f"{service}-agency", stack.url(service), own, OF_AGENCY)
                for service in SERVICES
                if service in HEARS_AGENCIES
            ]
            targets += [(service, stack.url(service), operator, OF_OPERATOR) for service in SERVICES]
            # last: this key may change the registry
            targets.append(("intake-person", stack.url("intake"), _person(province), OF_PERSON))
            outcomes = {
                name: fuzz(name, url, token, known, seed, scopes=scopes) for name, url, token, scopes in targets
            }
            differences = _differences(stack)
    cases = sum(fuzzed.requests for fuzzed in outcomes.values())
    failed = [name for name, fuzzed in outcomes.items() if fuzzed.code != 0]
    for name, fuzzed in outcomes.items():
        told = "as documented" if fuzzed.code == 0 else f"FAILED ({fuzzed.code})"
        walks = f"{fuzzed.walked:>6,} on {fuzzed.walks:>3} walks, {fuzzed.following:>4} along links"
        print(f"{name:<16}{fuzzed.made:>6,} single calls, {walks}: {fuzzed.links:>3} of {fuzzed.named:>3}  {told}")
    print(f"{'all':<15} {cases:>7,} requests; reports in {REPORTS.relative_to(ROOT)}")
    links = sum(fuzzed.links for fuzzed in outcomes.values())
    few = cases < LEAST_CASES or links < LEAST_LINKS
    if few:
        print(f"too few: at least {LEAST_CASES:,} requests and {LEAST_LINKS} links are wanted")
    print(differences or "the stores agree: no difference")
    return 1 if failed or differences or few else 0


def _differences(stack: Stack) -> str:
    """What reconcile finds: whatever was called, nothing may be lost or applied twice. Empty: nothing."""
    try:
        agree(stack)
    except AssertionError as error:
        return str(error)
    return ""


def _something_to_find(province: Province) -> Mapping[str, list[str]]:
    """Register a webhook, and post one report that is accepted and one that is returned; return what may be named."""
    hook = HTTP.post(
        province.stack.url("intake") + "/v1/webhooks",
        headers={"Authorization": f"Bearer {province.keys[DEPARTMENT]}", "Idempotency-Key": "fuzz-0"},
        json=GOOD["POST /v1/webhooks"](0),
    )
    narratives = {"N": "Kết quả trong tháng đạt kế hoạch đề ra."}
    wrong = province.post(DEPARTMENT, "fuzz-1", figures={"A": 100, "A1": 90, "A2": 5, "B": 1}, narratives=narratives)
    right = province.post(DEPARTMENT, "fuzz-2", figures={"A": 95, "A1": 90, "A2": 5, "B": 1}, narratives=narratives)
    ids = [str(answer.json()["submission_id"]) for answer in (wrong, right)]
    for submission_id in ids:
        path = f"/v1/submissions/{submission_id}"
        eventually(lambda path=path: province.get(DEPARTMENT, path)["status"] != "received", f"a verdict on {path}")  # type: ignore[misc]
    return {**known_values(province, ids), "webhook_id": [str(hook.json()["webhook_id"])]}


def known_values(province: Province, submission_ids: Sequence[str] = ()) -> Mapping[str, list[str]]:
    """What a call may name, by parameter."""
    found = province.operator("notifier", "/v1/notifications?limit=1").json().get("items", [])
    return {
        "submission_id": list(submission_ids),
        "agency": [DEPARTMENT, COMMUNE],
        "regime": [REGIME],
        "code": [REGIME],
        "period": [PERIOD],
        "notification_id": [str(item[name]) for item in found for name in ("id", "notification_id") if name in item],
        "slug": ["invalid-report", "bad-request"],
        "obligation": [f"{DEPARTMENT}/{REGIME}/{PERIOD}"],
    }


def _person(province: Province) -> str:
    """Register the person; return a key."""
    (province.folder / "people.yaml").write_text(PEOPLE)
    province.intake("registry", "apply", str(province.folder), "--why", "fuzz")
    made = json.loads(province.intake("keys", "create", "--person", PERSON, "--json"))
    return str(made["keys"][0]["key"])


def fuzz(
    name: str,
    url: str,
    token: str,
    known: Mapping[str, list[str]],
    seed: int,
    cases: int = CASES,
    walks: int = WALKS,
    scopes: Collection[str] = SCOPES,
) -> Fuzzed:
    """Fuzz one service with one token, of these scopes. `name` is the report's."""
    document = HTTP.get(f"{url}/openapi.json").json()
    shut = closed(document, scopes)
    print(f"— {name}", flush=True)
    # first, while there is something of everything: single calls undo a lot
    followed = follow(url, token, known, shut)
    # where no link is left there is no walk
    walked = walk(url, token, known, CHECKS, seed=seed, walks=walks if followed.named else 0, steps=STEPS, shut=shut)
    faults = [*followed.faults, *walked.faults]
    print("\n\n".join(faults), end="\n" if faults else "", flush=True)
    report = REPORTS / f"{name}.ndjson"
    REPORTS.mkdir(parents=True, exist_ok=True)
    settings = REPORTS / f"{name}.toml"
    # in a file: what the command line says of examples would hold for walks too
    settings.write_text(f"[generation]\nmax-examples = {cases}\n[phases.stateful]\nenabled = false\n")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS)),
        *("--seed", str(seed), "--request-timeout", "30"),
        # one worker: Python 3.11 cannot parse source in two threads at once (github.com/python/cpython/issues/106905)
        *("--workers", "1", "--continue-on-failure", "--suppress-health-check", "all"),
        *("--warnings", "off", "--no-color"),
        *("--report", "ndjson", "--report-ndjson-path", str(report)),
    ]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.programs.fuzz.hooks", "FUZZ_KNOWN": json.dumps(known)}
    env["PYTHONPATH"] = str(ROOT)
    # it keeps a cache in its working folder
    done = subprocess.run(command, cwd=REPORTS, env=env, capture_output=True, text=True, check=False)
    (REPORTS / f"{name}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode != 0:
        print(done.stdout[-12_000:] + done.stderr[-2000:], flush=True)
    made = int(found[1]) if (found := _GENERATED.search(done.stdout)) else 0
    taken = followed.named & (followed.links | set(walked.links))
    code = done.returncode or int(bool(faults))
    return Fuzzed(made, walked.requests, walked.walks, followed.calls, len(taken), len(followed.named), code)


if __name__ == "__main__":
    sys.exit(main())

"""Walks: sequences of calls, each made with what earlier calls were answered, in the process of whoever asks for them.

schemathesis infers from the document which answer gives another call its ids; the whole fuzz (`make fuzz`) does the
same beside its single calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from tests.programs.fuzz import hooks


@dataclass
class Walked:
    """How many calls a walk made, how many of them with what another was answered, and what was wrong."""

    requests: int = 0
    linked: int = 0
    faults: list[str] = field(default_factory=list)


def walk(
    url: str,
    token: str,
    known: Mapping[str, list[str]],
    checks: Sequence[str],
    *,
    seed: int,
    walks: int,
    steps: int = 6,
) -> Walked:
    """Walk through one service with one token, so many times, each time so many steps at most."""
    hooks.KNOWN.clear()
    hooks.KNOWN.update(known)
    walked = Walked()
    for event in _events(url, token, checks, seed, walks, steps):
        match event:
            case events.ScenarioFinished():
                recorder = event.recorder
                walked.requests += len(recorder.interactions)
                walked.linked += sum(case.is_transition_applied for case in recorder.cases.values())
                for case_id, results in recorder.checks.items():
                    for check in results:
                        if check.failure_info is not None:
                            called = recorder.cases[case_id].value.as_curl_command()
                            walked.faults.append(f"{check.name}: {check.failure_info.failure}\n{called}")
            case events.NonFatalError():
                walked.faults.append(f"{event.label}: {event.value!r}")
            case events.FatalError():
                walked.faults.append(repr(event.exception))
    return walked


def _events(
    url: str, token: str, checks: Sequence[str], seed: int, walks: int, steps: int
) -> Iterator[events.EngineEvent]:
    off = {"enabled": False}
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "suppress-health-check": ["all"],
            "headers": {"Authorization": f"Bearer {token}"},
            "request-timeout": 30,
            "continue-on-failure": True,
            "checks": {**off, **{name: {"enabled": True} for name in checks}},
            "generation": {"database": "none"},
            "phases": {
                "examples": off,
                "coverage": off,
                "fuzzing": off,
                "stateful": {"max-steps": steps, "generation": {"max-examples": walks}},
            },
        }
    )
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    yield from engine.from_schema(schema).execute()

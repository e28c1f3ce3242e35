"""Walks: sequences of calls, each made with what earlier calls were answered, in the process of whoever asks for them.

schemathesis infers from the document which answer gives another call its ids; the whole fuzz (`make fuzz`) does the
same beside its single calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis.errors import InvalidDefinition
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from tests.programs.fuzz import hooks


@dataclass
class Walked:
    """How many walks made how many calls, how many of them with what another was answered, and what was wrong.

    links: those that were followed, and by how many calls.
    """

    walks: int = 0
    requests: int = 0
    links: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def linked(self) -> int:
        return self.links.total()


def closed(document: Mapping[str, Any], scopes: Collection[str]) -> list[str]:
    """The operations that a key with these scopes cannot call: no walk begins there or leads there."""
    return [
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not {"public", *scopes} & set(operation.get("x-scope", "public").split())
    ]


def followable(document: Mapping[str, Any], shut: Collection[str]) -> set[str]:
    """The links that the document names from and to other operations than these, as walks call them."""
    operations = {
        f"{method.upper()} {path}": operation
        for path, found in document["paths"].items()
        for method, operation in found.items()
    }
    labels = {operation["operationId"]: label for label, operation in operations.items()}
    return {
        f"{label} -> [{status}] {name} -> {labels[link['operationId']]}"
        for label, operation in operations.items()
        if label not in shut
        for status, response in operation["responses"].items()
        for name, link in response.get("links", {}).items()
        if labels[link["operationId"]] not in shut
    }


def walk(
    url: str,
    token: str,
    known: Mapping[str, list[str]],
    checks: Sequence[str],
    *,
    seed: int,
    walks: int,
    steps: int = 6,
    shut: Collection[str] = (),
) -> Walked:
    """Walk through one service with one token, so many times, each time so many steps at most.

    Answers differ from call to call, which Hypothesis takes for a flaw of the walk and ends it: it is begun again, with
    the next seed. shut: operations that the key cannot call.
    """
    hooks.KNOWN.clear()
    hooks.KNOWN.update(known)
    walked = Walked()
    for attempt in range(walks):
        if walked.walks >= walks or walked.faults:
            break
        _note(walked, _events(url, token, checks, seed + attempt, walks - walked.walks, steps, shut))
    return walked


def _note(walked: Walked, found: Iterator[events.EngineEvent]) -> None:
    for event in found:
        match event:
            case events.ScenarioFinished():
                recorder = event.recorder
                walked.walks += 1
                walked.requests += len(recorder.interactions)
                walked.links.update(
                    case.transition.id
                    for case in recorder.cases.values()
                    if case.is_transition_applied and case.transition is not None
                )
                for case_id, results in recorder.checks.items():
                    for check in results:
                        if check.failure_info is not None:
                            called = recorder.cases[case_id].value.as_curl_command()
                            walked.faults.append(f"{check.name}: {check.failure_info.failure}\n{called}")
            case events.NonFatalError() if isinstance(event.value, InvalidDefinition):
                continue  # nothing is left that this walk may call
            case events.NonFatalError():
                walked.faults.append(f"{event.label}: {event.value!r}")
            case events.FatalError():
                walked.faults.append(repr(event.exception))


def _events(
    url: str, token: str, checks: Sequence[str], seed: int, walks: int, steps: int, shut: Collection[str]
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
            "operations": [{"include-name": list(shut), "phases": {"stateful": off}}] if shut else [],
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

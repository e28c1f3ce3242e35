"""What README.md and docs/api.md tell people to type works as printed, in order, on the sample province.

Nothing of the commands is changed but where the stack is: the five services' fixed addresses, and the folder that
`deploy.local env` reads. `make` is not called, because the test has a stack of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from deploy.local import Stack
from shared.runtime.clock import scaled_specification
from tests.stack import Infra

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
#: a Tuesday: the week before is overdue, this one open
NOW = "2026-03-17T09:00:00+07:00"
PORTS = {"28081": "intake", "28082": "validator", "28083": "scoring", "28084": "notifier", "28085": "board"}
ENVIRONMENT = ".venv/bin/python -m deploy.local env"


@pytest.fixture(scope="module")
def stack(infra: Infra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    clock = scaled_specification(datetime.fromisoformat(NOW), 1)
    with infra.stack(tmp_path_factory.mktemp("pages"), env={"BUSINESS_CLOCK": clock}) as running:
        yield running


def blocks(page: str, heading: str = "") -> list[str]:
    """The shell blocks of a page, or of the section under one of its headings."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    assert found, f"{page}: no block under {heading!r}"
    return found


def typed(stack: Stack, commands: list[str]) -> str:
    """What a person sees who types the blocks one after the other into one bash. A command that fails ends it."""
    # days are counted from the day that the services take it for
    date = f'date() {{ command date -d "{NOW[:10]} $2" "${{@:3}}"; }}'
    script = "\n".join(["make() { :; }", date, "set -e", *commands])
    script = re.sub(r"http://127\.0\.0\.1:(2808[1-5])", lambda found: stack.url(PORTS[found[1]]), script)
    script = script.replace(ENVIRONMENT, f"{ENVIRONMENT} --directory '{stack.directory}'")
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=240)
    seen = done.stdout + done.stderr
    assert done.returncode == 0, f"exit code {done.returncode}:\n{seen[-4000:]}"
    return seen


def documents(seen: str) -> list[dict[str, object]]:
    """The JSON objects among what was seen, in order."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while (at := seen.find("{", at)) >= 0:
        try:
            document, at = decoder.raw_decode(seen, at)
        except ValueError:
            at += 1
            continue
        found.append(document)
    return found


def refusals(seen: str) -> list[dict[str, object]]:
    return [document for document in documents(seen) if str(document.get("type", "")).startswith("/problems/")]


def test_the_report_by_hand_of_the_readme_is_returned_corrected_and_fulfilled(stack: Stack) -> None:
    printed = blocks("README.md", "Gửi một báo cáo bằng tay / Post a report by hand")
    assert printed[0].startswith("make up")
    assert printed[-1].rstrip().endswith("make down")
    seen = typed(stack, printed)
    assert not refusals(seen), json.dumps(refusals(seen), ensure_ascii=False)
    shown = documents(seen)
    assert seen.count("HTTP/1.1 201") == 2, seen
    [returned] = [document for document in shown if "findings" in document]
    assert returned["status"] == "returned"
    own, operators = [document for document in shown if "lines" in document]
    assert own["standing"] == operators["standing"] == "fulfilled"
    assert own["lines"], "the last block shows the score"
    assert own["score"] == operators["score"]


def test_every_block_of_the_api_page_succeeds(stack: Stack) -> None:
    seen = typed(stack, blocks("docs/api.md"))
    assert not refusals(seen), json.dumps(refusals(seen), ensure_ascii=False)
    assert "HTTP/1.1 201" in seen
    shown = documents(seen)
    [accepted] = [document for document in shown if "findings" in document]
    assert (accepted["status"], accepted["findings"]) == ("accepted", [])
    [fulfilled] = [document for document in shown if "lines" in document]
    assert fulfilled["standing"] == "fulfilled"
    assert {"agency", "owed", "officers"} <= shown[0].keys() | shown[1].keys()


@pytest.mark.parametrize(
    ("printed", "instead"),
    [
        pytest.param('"officer": "DM1-H99.01"', '"officer": "…"', id="refused", marks=pytest.mark.whole),
        pytest.param('"T01": 39', '"T01": 40', id="returned", marks=pytest.mark.whole),
        pytest.param('keys revoke "$OLD"', "keys revoke 1a2b3c4d", id="a command that fails", marks=pytest.mark.whole),
    ],
)
def test_a_page_that_told_something_wrong_would_be_noticed(stack: Stack, printed: str, instead: str) -> None:
    """Negative control: the first is what the page once said."""
    commands = "\n".join(blocks("docs/api.md"))
    assert printed in commands
    # its own agency's report must not be in the way, and what never comes is not waited for long
    commands = commands.replace(printed, instead).replace("{1..120}", "{1..8}").replace("H99.01", "H99.06")
    try:
        seen = typed(stack, [commands])
    except AssertionError as error:
        seen = str(error)
        assert "exit code" in seen
        return
    accepted = [document for document in documents(seen) if document.get("status") == "accepted"]
    assert refusals(seen) or not accepted

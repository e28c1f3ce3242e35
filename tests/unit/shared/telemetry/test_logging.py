"""Every line is one JSON object with its action and ids, without secrets, whoever wrote it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from shared.telemetry import logging as logs
from shared.telemetry import tracing
from shared.telemetry.logging import bound, configure, current_id, get_logger
from shared.web.authentication import new_key

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = Lines()
    configure("intake", "intake-1", "INFO", stream=lines.stream)
    yield lines
    logs._set_up("unconfigured", "", logging.INFO, None)
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def test_a_line_is_json_with_sentence_action_and_service(lines: Lines) -> None:
    get_logger().info("Đã lưu bài nộp.", action="submission.stored", obligation="H99.1/R/2026")
    (line,) = lines()
    assert line["message"] == "Đã lưu bài nộp."
    assert (line["action"], line["level"], line["service"], line["instance"]) == (
        "submission.stored",
        "info",
        "intake",
        "intake-1",
    )
    assert line["timestamp"].endswith("Z")
    assert "Đã lưu" in lines.stream.getvalue(), "people read these: not escaped"


def test_lines_beneath_the_level_are_not_written(lines: Lines) -> None:
    get_logger().debug("Nothing.", action="a.b")
    assert lines() == []
    assert not logs.debug_enabled()


def test_bound_ids_are_on_every_line_of_the_block_and_gone_after(lines: Lines) -> None:
    log = get_logger()
    with bound(consumer="scoring.follow"), bound(batch=7):
        log.info("Inside.", action="a.b")
        assert current_id("batch") == 7
    log.info("Outside.", action="a.b")
    inside, outside = lines()
    assert (inside["consumer"], inside["batch"]) == ("scoring.follow", 7)
    assert "consumer" not in outside
    assert current_id("batch") is None


def test_no_key_reaches_a_line(lines: Lines) -> None:
    key = new_key()
    secret = key.secret_text[13:]
    try:
        raise RuntimeError(f"refused {key.secret_text}")
    except RuntimeError:
        get_logger().exception(
            f"Said {key.secret_text}.", action="a.b", headers={"authorization": f"Bearer {key.secret_text}"}
        )
    logging.getLogger("aiokafka").warning("got %s", key.secret_text)
    assert len(lines()) == 2
    assert secret not in lines.stream.getvalue()
    assert "RuntimeError" in lines()[0]["exception"]


def test_lines_of_libraries_are_json_too_and_only_from_warning_up(lines: Lines) -> None:
    logging.getLogger("aiokafka.consumer").info("chatter")
    logging.getLogger("uvicorn.error").error("It broke %s.", "off")
    (line,) = lines()
    assert (line["message"], line["action"], line["level"]) == ("It broke off.", "library.uvicorn", "error")
    assert line["service"] == "intake"


def test_what_cannot_be_json_or_utf8_is_written_all_the_same(lines: Lines) -> None:
    get_logger().info("Odd \ud800.", action="a.b", what=object(), raw=b"\xff", nested={(1, 2): {3}})
    (line,) = lines()
    assert line["message"] == "Odd \ud800."
    assert "object" in line["what"]


def test_a_newline_in_a_value_does_not_begin_a_new_line(lines: Lines) -> None:
    get_logger().info('a\n{"action": "forged"}', action="a.b", path="/x\r\ny")
    assert len(lines()) == 1


def test_the_open_span_is_in_every_line(lines: Lines) -> None:
    with tracing.span("work", tracing.parse(PARENT)):
        get_logger().info("Inside.", action="a.b")
        _, trace_id, span_id, _ = (tracing.traceparent() or "").split("-")
    get_logger().info("Outside.", action="a.b")
    inside, outside = lines()
    assert (inside["trace_id"], inside["span_id"]) == (trace_id, span_id)
    assert trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert "trace_id" not in outside


def test_before_configuration_an_error_is_a_json_line_without_local_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hidden = "local-variable"
    try:
        raise RuntimeError("told")
    except RuntimeError:
        get_logger().exception("It failed.", action="a.b")
    written = capsys.readouterr().out
    assert "told" in json.loads(written)["exception"]
    assert hidden not in written


def test_a_librarys_line_comes_once_a_minute_and_says_how_often_it_would_have(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(logs, "monotonic_seconds", lambda: now[0])
    for attempt in range(300):
        logging.getLogger("aiokafka.client").error("Unable connect to node with id %s", attempt)
        logging.getLogger("uvicorn.error").error("attempt %s", attempt)
    logging.getLogger("aiokafka.client").warning("Something else")
    now[0] += 61
    logging.getLogger("aiokafka.client").error("Unable connect to node with id %s", 300)
    told = [line for line in lines() if line["action"] == "library.aiokafka"]
    assert [line["message"] for line in told] == [
        "Unable connect to node with id 0",
        "Something else",
        "Unable connect to node with id 300",
    ]
    assert told[2]["left_out"] == 299
    assert sum(line["action"] == "library.uvicorn" for line in lines()) == 300, "negative control: others are not held"


def test_a_text_of_a_megabyte_is_shortened_in_its_line_and_hides_its_secrets(lines: Lines) -> None:
    key = new_key()
    secret = key.secret_text.rpartition("_")[2]
    edge = logs.MAX_TEXT_CHARACTERS // 2 - 40  # the cut would go through the key
    with bound(key="k" * 1_000_000):
        get_logger().warning("x" * edge + key.secret_text + " " + "y" * 1_000_000 + "the end", action="a.b")
    get_logger().warning("z" * logs.MAX_TEXT_CHARACTERS, action="a.b")
    long, whole = lines()
    assert len(long["key"]) < logs.MAX_TEXT_CHARACTERS + 100
    assert "characters left out" in long["message"]
    assert long["message"].endswith("the end")
    assert secret[:20] not in long["message"]
    assert whole["message"] == "z" * logs.MAX_TEXT_CHARACTERS, "negative control: what fits is whole"

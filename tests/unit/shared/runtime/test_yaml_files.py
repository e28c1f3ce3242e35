"""Lines and repetitions in a YAML file."""

from __future__ import annotations

import pytest
import yaml

from shared.runtime.yaml_files import line_of, written_twice

FILE = """\
name: a
rungs:
  - {at: T, tell: head}
  - at: T+3d
    tell: chair
name: b
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 1),
        (("rungs",), 3),
        (("rungs", 1, "tell"), 5),
        (("rungs", 1, "missing"), 4),
        (("rungs", 7), 3),
        (("no",), 1),
    ],
)
def test_a_place_is_at_its_line_or_at_that_of_what_holds_it(place: tuple[str | int, ...], line: int) -> None:
    assert line_of(yaml.compose(FILE, yaml.BaseLoader), place) == line


def test_an_empty_file_has_one_line_and_nothing_twice() -> None:
    assert line_of(None, ("a",)) == 1
    assert list(written_twice(None)) == []


def test_what_is_written_twice_is_named_wherever_it_stands() -> None:
    assert list(written_twice(yaml.compose(FILE, yaml.BaseLoader))) == [("name", 6)]
    deep = yaml.compose("a:\n  - b: 1\n    b: 2\n", yaml.BaseLoader)
    assert list(written_twice(deep)) == [("a.0.b", 3)]

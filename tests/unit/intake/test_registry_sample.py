"""The sample's registry files: admitted as they are, and told with lines whatever a slip makes of them."""

from __future__ import annotations

import random
from pathlib import Path

from services.intake.registry.files import read_folder
from services.intake.registry.gate import admit
from shared.contract.events import RegimePublished
from shared.runtime import strict_yaml
from tests.unit.intake.test_registry_files import NOW, errors_of

SAMPLE = Path(__file__).resolve().parents[3] / "deploy" / "sample"


def test_the_sample_is_admitted_and_most_of_its_regimes_forbid_nil() -> None:
    found = read_folder(SAMPLE)
    assert found.ignored == ["__init__.py", "generate.py", "names.py"]
    admission = admit(found.proposals, [], NOW, past_requests=True)
    assert (found.errors, admission.errors) == ([], [])
    nil = {item.record.code for item in admission.records
           if isinstance(item.record, RegimePublished) and item.record.form.nil_allowed}  # fmt: skip
    assert nil == {"THIENTAI-DX"}
    # its requests are of a quarter that is over
    late = admit(found.proposals, [], NOW).errors
    assert [(error.file, error.place) for error in late] == [
        ("requests.yaml", f"/requests/{number}/deadline") for number in range(3)
    ]  # fmt: skip


def test_no_mutation_of_the_sample_makes_anything_but_errors_with_lines(tmp_path: Path) -> None:
    """1,000 mutations of bytes and tokens: whatever the file says, it is admitted or told, at a line that it has."""
    dice = random.Random(20261127)
    texts = [path.read_bytes() for path in sorted(SAMPLE.glob("regimes/*.yaml"))] + [
        (SAMPLE / "requests.yaml").read_bytes(), b"\n".join((SAMPLE / "agencies.yaml").read_bytes().split(b"\n")[:40]),
    ]  # fmt: skip
    tokens = [b"025", b"1:30", b"yes", b"~", b"&a", b"*a", b"<<: ", b"!!int", b"- ", b": ", b"{", b"}", b"[", b"]",
              b'"', b"'", b"|\n", b">\n", b"\n", b"\t", b"\x00", b"\xff", b"\xe2\x80\xae", b"9" * 400, b"---\n",
              b"? ", b"%TAG", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"2999-12-31", b"-1", b"#"]  # fmt: skip
    refused = 0
    for turn in range(1_000):
        text = bytearray(dice.choice(texts))
        for _ in range(dice.randint(1, 3)):
            where = dice.randrange(len(text))
            match dice.randrange(3):
                case 0:
                    text[where] = dice.randrange(256)
                case 1:
                    del text[where : where + dice.randint(1, 30)]
                case _:
                    text[where:where] = dice.choice(tokens)
        document = strict_yaml.read(bytes(text), "x.yaml")
        name = "regimes/x.yaml" if turn % 2 else "agencies.yaml"
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
        errors = [*document.errors, *errors_of(tmp_path)]
        refused += bool(errors)
        for error in errors:
            str(error).encode()
            assert error.line <= text.count(b"\n") + 1
        path.unlink()
    assert refused > 500

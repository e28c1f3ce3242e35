"""Secrets follow from master key, webhook and generation; two services that hold the file derive the same."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.contract.webhook_secrets import BadMasterKeys, line_of, read_master_keys, shown

WEBHOOK = UUID("01932f5e-7a10-7cc3-98c4-dc0c0c07398f")
EXPECTED = "whsec_osN8+x7N2LfxpsTopMWxaM30JyyiWwitjUSBh0MMvz8="
FILE = (
    line_of("00000002", bytes(range(32))).encode() + b"# the older one\n\n" + line_of("00000001", b"\1" * 32).encode()
)


def test_a_secret_is_the_same_wherever_it_is_derived_and_another_for_each_webhook_and_generation() -> None:
    keys = read_master_keys(FILE)
    assert keys.first == "00000002"
    # computed with another implementation of RFC 5869
    assert shown(keys.secret("00000002", WEBHOOK, 1)) == EXPECTED
    made = {
        keys.secret(master, webhook, generation)
        for master in keys.keys
        for webhook in (WEBHOOK, UUID(int=1))
        for generation in (1, 2)
    }
    assert len(made) == 8
    assert {len(secret) for secret in made} == {32}


def test_a_key_that_left_the_file_derives_nothing() -> None:
    with pytest.raises(KeyError):
        read_master_keys(line_of("00000003", b"\3" * 32).encode()).secret("00000002", WEBHOOK, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# nothing\n",
        b"00000001 short\n",
        b"00000001\n",
        FILE + line_of("00000001", b"\2" * 32).encode(),
        b"\xff\xfe",
        b"-----BEGIN PRIVATE KEY-----\n",
        "".join(line_of(f"{number:08x}", b"\2" * 32) for number in range(11)).encode(),
    ],
)
def test_a_file_that_holds_something_else_is_refused_without_being_quoted(content: bytes) -> None:
    with pytest.raises(BadMasterKeys) as refused:
        read_master_keys(content)
    assert "short" not in str(refused.value)

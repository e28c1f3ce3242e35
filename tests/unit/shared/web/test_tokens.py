"""A token opens for whom it names, at the service it names, for a minute, and only by the key that signed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey, OKPKey

from shared.access import BY_TOKENS
from shared.runtime.private_keys import NoPrivateKey
from shared.web.tokens import LEEWAY, LIVES, SignersKey, SigningKey, key_id_of, person_of, signed_by

NOW = datetime(2026, 10, 22, 2, 0, tzinfo=UTC)
KEY, OTHER = SigningKey.new(), SigningKey.new()
TOKEN = KEY.token("board", "TT-H99", "notifier", NOW)


def known(key: SigningKey = KEY, issuer: str = "board") -> SignersKey:
    return SignersKey(issuer, key.public, BY_TOKENS, None, None)


def signed(changes: dict[str, Any], header: dict[str, Any] | None = None, key: SigningKey = KEY) -> str:
    """A token with other claims (None: without that one)."""
    claims = {"iss": "board", "sub": "TT-H99", "aud": "notifier", "iat": int(NOW.timestamp()),
              "exp": int((NOW + LIVES).timestamp()), **changes}  # fmt: skip
    claims = {name: value for name, value in claims.items() if value is not None}
    whole = {"alg": "Ed25519", "typ": "at+jwt", "kid": key.key_id, **(header or {})}
    return jwt.encode(whole, claims, OKPKey.import_key(key.pem()), algorithms=["Ed25519"])


def test_a_token_names_its_person_and_its_key() -> None:
    assert signed_by(TOKEN) == KEY.key_id == key_id_of(KEY.public)
    assert len(KEY.key_id) == 16
    assert person_of(TOKEN, known(), "notifier", NOW) == "TT-H99"
    assert person_of(signed({}), known(), "notifier", NOW) == "TT-H99", "the claims below are those of a good one"


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        (NOW - LEEWAY, True),
        (NOW - LEEWAY - timedelta(seconds=1), False),
        (NOW + LIVES + LEEWAY - timedelta(seconds=1), True),
        (NOW + LIVES + LEEWAY, False),
    ],
)
def test_it_opens_for_a_minute(moment: datetime, opens: bool) -> None:
    assert (person_of(TOKEN, known(), "notifier", moment) == "TT-H99") is opens


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "intake"},
        {"aud": None},
        {"iss": "another"},
        {"iss": None},
        {"sub": None},
        {"sub": 7},
        {"iat": None},
        {"exp": None},
        {"exp": int((NOW + timedelta(hours=1)).timestamp())},  # outlives its minute
        {"exp": "soon"},
        {"iat": 10**400},
    ],
)
def test_other_claims_open_nothing(changes: dict[str, Any]) -> None:
    assert person_of(signed(changes), known(), "notifier", NOW) is None


def _resigned(make: Callable[[bytes], str]) -> str:
    return make(json.dumps({"iss": "board", "sub": "TT-H99", "aud": "notifier", "iat": int(NOW.timestamp()),
                            "exp": int((NOW + LIVES).timestamp())}).encode())  # fmt: skip


def test_no_other_key_and_no_other_algorithm_signs() -> None:
    assert person_of(signed({}, key=OTHER), known(), "notifier", NOW) is None
    assert person_of(TOKEN, known(OTHER), "notifier", NOW) is None
    header, payload, signature = TOKEN.split(".")
    assert person_of(f"{header}.{payload}.", known(), "notifier", NOW) is None
    assert person_of(f"{header}.{payload}x.{signature}", known(), "notifier", NOW) is None
    # the public key as the secret of an HMAC: RFC 8725, 2.1
    secret = OctKey.import_key(KEY.public)
    forged = _resigned(
        lambda body: jws.serialize_compact({"alg": "HS256", "typ": "at+jwt", "kid": KEY.key_id}, body, secret)
    )
    assert signed_by(forged) == KEY.key_id
    assert person_of(forged, known(), "notifier", NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c",
        "e30.e30.e30",
        "W10.e30.e30",
        "!!!.e30.",
        "é.é.é",
        signed({}, {"typ": "JWT"}),
        TOKEN + "x" * 2000,
        "tsk_0123456789abcdef_" + "x" * 43,
    ],
)
def test_what_is_no_token_names_no_key(text: str) -> None:
    assert signed_by(text) is None


def test_a_key_file_holds_an_ed25519_key() -> None:
    assert SigningKey.from_pem(KEY.pem()).key_id == KEY.key_id
    for pem in (b"", b"not a key", KEY.pem().replace(b"PRIVATE", b"PUBLIC")):
        with pytest.raises(NoPrivateKey):
            SigningKey.from_pem(pem)

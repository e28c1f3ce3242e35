"""Receipts that anybody can check: canonical form, signature, keys."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from services.intake.receipts.commands import receipt, receipt_keys
from services.intake.receipts.signing import (
    BadKey,
    Fault,
    PublicKey,
    Received,
    SigningKey,
    jwk,
    key_of,
    statement_of,
    thumbprint,
    verify,
)
from shared.reports.canonical import content_of
from shared.reports.report_parser import Report, read_report

PAGE = Path(__file__).parents[3] / "docs" / "receipts.md"
BODY = b'{"regime": "KTXH-THANG", "period": "2026-M10", "officer": "cb-31", "figures": {"A01": 12.50}}'
RECEIVED = Received(
    UUID("01a21ccf-a243-706a-be01-195a99769dfb"),
    "H99.31",
    "H99.31/KTXH-THANG/2026-M10",
    1,
    datetime(2026, 10, 16, 2, 30, 0, 125_000, tzinfo=UTC),
    hashlib.sha256(BODY).digest(),
    b"\1" * 32,
)
KEY = SigningKey.generate()
KEYS = {KEY.public.key_id: KEY.public}

CODES = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._-]{0,9}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(CODES, CODES, CODES, st.booleans(), st.dictionaries(CODES, st.none() | TEXTS), st.dictionaries(CODES, TEXTS))
def test_the_content_is_hashed_as_rfc_8785_writes_it(
    regime: str, period: str, officer: str, nil: bool, figures: dict[str, str | None], narratives: dict[str, str]
) -> None:
    said: Any = {
        "narratives": narratives, "regime": regime, "period": period, "officer": officer, "nil": nil,
        "figures": figures,
    }  # fmt: skip
    ours = content_of(regime=regime, period=period, officer=officer, nil=nil, figures=figures, narratives=narratives)
    assert ours == rfc8785.dumps(said)
    unsorted = msgspec.json.encode(dict(sorted(said.items(), reverse=True)))
    assert ours != unsorted  # the control: the order of members matters


def test_reports_that_say_the_same_have_one_content_and_others_another() -> None:
    said = read_report(BODY)
    again = read_report(
        b'{"figures":{"A01":"12.50"},"nil":false,"narratives":{},"officer":"cb-31",\n"period":"2026-M10",'
        b'"regime":"\\u004bTXH-THANG"}'
    )
    other = read_report(BODY.replace(b"12.50", b"12.5"))
    later = read_report(BODY.replace(b"M10", b"M11"))
    assert isinstance(said, Report)
    assert isinstance(again, Report)
    assert isinstance(other, Report)
    assert isinstance(later, Report)
    assert said.content_sha256() == again.content_sha256()
    assert len({one.content_sha256() for one in (said, other, later)}) == 3


def test_what_was_signed_verifies_after_a_journey_through_json() -> None:
    signed = json.loads(json.dumps(KEY.sign(RECEIVED), indent=3))
    assert verify(signed, KEYS) is None
    assert signed["receipt"]["received_at"] == "2026-10-16T09:30:00.125000+07:00"


@pytest.mark.parametrize("member", sorted(statement_of(RECEIVED)))
def test_no_member_can_be_changed_left_out_or_added(member: str) -> None:
    for change in ({member: "x"}, {member: 2}, {member: None}, {"more": "x"}):
        signed = KEY.sign(RECEIVED)
        signed["receipt"] |= change
        assert verify(signed, KEYS) in ("bad_signature", "not_a_receipt"), change
    signed = KEY.sign(RECEIVED)
    del signed["receipt"][member]
    assert verify(signed, KEYS) in ("bad_signature", "not_a_receipt")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"signature": "AAAA"}, "bad_signature"),
        ({"signature": None}, "bad_signature"),
        ({"signature": "ắ"}, "bad_signature"),
        ({"signature": "A" * 5}, "bad_signature"),
        ({"key_id": "another"}, "unknown_key"),
        ({"key_id": None}, "unknown_key"),
        ({"algorithm": "none"}, "not_a_receipt"),
        ({"receipt": "x"}, "not_a_receipt"),
        ({"receipt": {}}, "not_a_receipt"),
        ({"receipt": {"type": "vn.thongsuot.receipt.v1", "version": 2**90}}, "bad_signature"),
    ],
)
def test_what_is_no_receipt_of_ours_is_refused_and_never_raises(change: dict[str, Any], fault: Fault) -> None:
    assert verify(KEY.sign(RECEIVED) | change, KEYS) == fault


@pytest.mark.parametrize("given", [None, 1, "x", [], {}])
def test_nor_does_anything_else_raise(given: Any) -> None:
    assert verify(given, KEYS) == "not_a_receipt"


def test_a_withdrawn_key_proves_nothing_whenever_it_signed() -> None:
    key = PublicKey(KEY.public.key_id, KEY.public.raw, datetime(2026, 11, 1, tzinfo=UTC), "lộ khóa")
    assert verify(KEY.sign(RECEIVED), {key.key_id: key}) == "withdrawn_key"
    assert key_of(jwk(key)) == key


def test_a_key_is_published_as_rfc_8037_writes_it() -> None:
    raw = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8037, A.1
    document = {
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }  # fmt: skip
    key = PublicKey(thumbprint(raw), raw)
    assert jwk(key) == document
    assert key_of(document) == key
    withdrawn = PublicKey(key.key_id, raw, datetime(2026, 11, 1, tzinfo=UTC))
    assert jwk(withdrawn) == document | {"withdrawn_at": "2026-11-01T07:00:00+07:00", "reason": ""}
    assert key_of(jwk(withdrawn)) == withdrawn


@pytest.mark.parametrize("x", ["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo!", "====", "11qY AYKx", None])
def test_a_key_is_written_in_base64url_alone(x: str | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        key_of({"kty": "OKP", "crv": "Ed25519", "x": x})


def test_a_key_is_named_by_what_it_is() -> None:
    """The vector of RFC 8037, A.3."""
    raw = key_of({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}).raw
    assert thumbprint(raw) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    lying = jwk(KEY.public) | {"kid": "another"}
    assert key_of(lying).key_id == KEY.public.key_id


@pytest.mark.parametrize(
    "document", [{}, {"kty": "RSA"}, {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {"kty": "OKP", "crv": "Ed25519"}]
)
def test_other_keys_are_not_keys_of_receipts(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Ed25519|base64"):
        key_of(document)


def test_a_file_of_another_kind_of_key_is_refused() -> None:
    assert SigningKey.from_pem(KEY.pem()).public == KEY.public
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (b"", b"x", rsa, KEY.pem()[:40]):
        with pytest.raises(BadKey, match="receipt-keys new"):
            SigningKey.from_pem(pem)


@dataclass
class Files:
    folder: Path

    def write(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_the_command_verifies_offline(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    said = read_report(BODY)
    assert isinstance(said, Report)
    signed = KEY.sign(msgspec.structs.replace(RECEIVED, content_sha256=said.content_sha256()))
    given = [
        "verify",
        files.write("receipt", signed),
        "--keys",
        files.write("keys", {"keys": [1, {}, jwk(KEY.public)]}),
    ]
    same = json.loads(BODY, parse_float=str)
    assert receipt([*given, "--body", files.write("sent", BODY)]) == 0
    assert receipt([*given, "--content", files.write("same", same)]) == 0
    assert "Biên nhận đúng / the receipt holds: H99.31/KTXH-THANG/2026-M10" in capsys.readouterr().out
    assert receipt([*given, "--body", files.write("sent", BODY + b" ")]) == 1
    assert receipt([*given, "--content", files.write("same", same | {"officer": "cb-32"})]) == 1
    assert receipt([*given, "--content", files.write("same", b"{}")]) == 1
    assert receipt([*given[:2], "--keys", files.write("keys", {"keys": []})]) == 1
    errors = capsys.readouterr().err
    for sentence in ("its bytes differ", "its content differs", "cannot be read", "fetch GET /v1/receipt-keys"):
        assert sentence in errors


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.pem"
    assert receipt_keys(["new", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.from_pem(path.read_bytes()).public.key_id == capsys.readouterr().out.strip()
    before = path.read_bytes()
    assert receipt_keys(["new", str(path)]) == 1
    assert path.read_bytes() == before


def test_the_page_has_a_vector_that_anybody_can_recompute() -> None:
    blocks = [part.split("```")[0].strip() for part in PAGE.read_text(encoding="utf-8").split("```json\n")[1:]]
    body, canonical, signed, keys = blocks
    report = read_report(body.encode())
    assert isinstance(report, Report)
    ours = content_of(
        regime=report.regime, period=report.period, officer=report.officer, nil=report.nil, figures=report.figures,
        narratives=report.narratives,
    )  # fmt: skip
    canonical = canonical.replace("\n", "")
    assert ours.decode() == canonical
    given = json.loads(signed)
    assert given["receipt"]["sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert given["receipt"]["content_sha256"] == hashlib.sha256(canonical.encode()).hexdigest()
    listed = [key_of(key) for key in json.loads(keys)["keys"]]
    assert verify(given, {key.key_id: key for key in listed}) is None

"""Keys are random, stored as hashes, compared whole, and never shown in a log."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from uuid import UUID

import httpx
import pytest
from fastapi import Depends, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.notifier.escalation.links import AnswerLinks
from shared.access import SCOPES, Principal
from shared.contract.text import header_safe
from shared.runtime.clock import SystemClock
from shared.runtime.cpu import work_seconds
from shared.runtime.settings import CommonSettings
from shared.telemetry.redaction import redact
from shared.web.allowance import Metered
from shared.web.authentication import Anybody, Operators, new_key, parse_key
from shared.web.limiter import Limiter
from tests.fakes.keyring import FakeKeyring
from tests.unit.shared.web.asking import ask, bare_app, plenty


def test_a_new_key_has_a_public_id_and_256_random_bits() -> None:
    keys = [new_key() for _ in range(200)]
    for key in keys:
        assert re.fullmatch(r"tsk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", key.secret_text)
        assert key.secret_text.split("_")[1] == key.key_id
        assert key.sha256 == hashlib.sha256(key.secret_text.encode()).digest()
    assert len({key.secret_text for key in keys}) == 200


def test_a_key_is_not_in_its_own_repr() -> None:
    key = new_key()
    assert key.secret_text not in f"{key!r} {key}"


def test_a_presented_key_matches_its_hash_and_no_other() -> None:
    key, other = new_key(), new_key()
    presented = parse_key(key.secret_text)
    assert presented is not None
    assert presented.key_id == key.key_id
    assert presented.matches(key.sha256)
    assert presented.matches(other.sha256, key.sha256)
    assert not presented.matches(other.sha256)
    assert not presented.matches()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tsk_",
        "tsk_0123456789abcde_" + "a" * 43,
        "tsk_0123456789abcdef_" + "a" * 42,
        "xyz_0123456789abcdef_" + "a" * 43,
    ],
)
def test_what_is_not_of_the_form_is_no_key(text: str) -> None:
    assert parse_key(text) is None


def test_a_key_with_anything_before_or_after_is_no_key() -> None:
    text = new_key().secret_text
    assert parse_key(text) is not None
    for other in (text + "\n", " " + text, text + "a", text.upper()):
        assert parse_key(other) is None


OPERATING = new_key()
READING = new_key()
KEYS = {
    OPERATING: Principal("operator", "ops", None, frozenset(SCOPES)),
    READING: Principal("agency", "H99.01", "H99.01", frozenset(SCOPES)),
}


def _operated(keyring: FakeKeyring | None = None) -> FastAPI:
    app = bare_app()

    async def secret() -> dict[str, bool]:
        return {"in": True}

    operators = Operators(keyring or FakeKeyring(KEYS), SystemClock(), plenty())
    app.add_middleware(Metered)
    app.add_api_route("/v1/secret", secret, dependencies=[Depends(operators)])
    return app


async def _try(app: FastAPI, authorization: str) -> httpx.Response:
    return await ask(app, "GET", "/v1/secret", headers={"Authorization": authorization.encode()})


async def test_only_a_live_key_of_an_operator_gets_in() -> None:
    app = _operated()
    assert (await _try(app, f"Bearer {OPERATING.secret_text}")).json() == {"in": True}
    for wrong in (f"tsk_{OPERATING.key_id}_{'A' * 43}", new_key().secret_text, "open-sesame", ""):
        assert (await _try(app, f"Bearer {wrong}")).status_code == 401
    answer = await _try(app, f"Bearer {READING.secret_text}")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


async def test_a_key_that_is_not_in_memory_costs_its_address_before_it_costs_the_database() -> None:
    keyring = FakeKeyring(KEYS)
    app = _operated(keyring=keyring)
    app.state.strangers = Limiter(0.001, 2)
    answers = [await _try(app, f"Bearer {new_key().secret_text}") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429, 429]
    assert keyring.asked == 2
    assert (await _try(app, f"Bearer {OPERATING.secret_text}")).status_code == 200, "whoever operates is not locked out"


async def test_who_tries_keys_is_counted_and_slowed_and_the_operator_still_gets_in() -> None:
    app = _operated()
    app.state.strangers = Limiter(0.001, 3)
    counts = {reason: _operator_refused(reason) for reason in ("missing", "wrong", "limited")}
    statuses = [(await _try(app, f"Bearer guess-{number}")).status_code for number in range(3)]
    assert statuses == [401] * 3
    slowed = await _try(app, "Bearer guess-4")
    assert (slowed.status_code, slowed.json()["type"]) == (429, "/problems/too-many-requests")
    assert int(slowed.headers["retry-after"]) > 100
    assert (await _try(app, "")).status_code == 429
    assert (await _try(app, f"Bearer {OPERATING.secret_text}")).status_code == 200
    assert {reason: _operator_refused(reason) - counts[reason] for reason in counts} == {
        "missing": 0,
        "wrong": 3,
        "limited": 2,
    }
    # control: without the limit every guess is looked at
    app.state.strangers = Limiter(1_000, 1_000)
    assert [(await _try(app, f"Bearer guess-{number}")).status_code for number in range(9)] == [401] * 9


def _operator_refused(reason: str) -> float:
    value = REGISTRY.get_sample_value("thongsuot_operator_refused_total", {"reason": reason})
    assert value is not None, "a series that is not there from the start hides its first increase"
    return value


async def test_no_setting_makes_an_operator_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OPERATOR_TOKEN that an older deployment still sets opens nothing."""
    token = "a" * 64
    monkeypatch.setenv("OPERATOR_TOKEN", token)
    assert token not in repr(CommonSettings().model_dump())
    assert (await _try(_operated(), f"Bearer {token}")).status_code == 401


@pytest.mark.parametrize("text", ["a\r\nBcc: x@y.vn", "a\nb", "a\rb", "a\x00b", "a\x7f", "a\u0085b", "a\u2028b"])
def test_what_could_begin_a_new_header_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"U\+"):
        header_safe(text)


def test_vietnamese_text_is_fit_for_a_header() -> None:
    assert header_safe("Nhắc nộp báo cáo tháng 3") == "Nhắc nộp báo cáo tháng 3"


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_key_is_redacted_wherever_it_stands(before: str, after: str) -> None:
    key = new_key()
    secret = key.secret_text.rpartition(key.key_id + "_")[2]
    shown = redact({"a": [before + key.secret_text + after], "b": (key.secret_text.encode(),)})
    assert secret not in str(shown)


def test_tokens_and_passwords_are_redacted_and_the_rest_is_kept() -> None:
    assert redact("Authorization: Bearer abcdef.123") == "Authorization: Bearer [redacted]"
    assert redact("postgresql://intake:s3cret@127.0.0.1/x") == "postgresql://intake:[redacted]@127.0.0.1/x"
    assert redact({"operator_token": "x", "password": "y", "key": "agency/H99.1"}) == {
        "operator_token": "[redacted]",
        "password": "[redacted]",
        "key": "agency/H99.1",
    }
    assert redact([1, True, None, "agency/H99"]) == [1, True, None, "agency/H99"]
    assert redact(UUID(int=1)) == str(UUID(int=1))
    key = new_key()
    assert key.key_id in redact(key.secret_text), "which key it was stays readable"
    token = AnswerLinks("", b"k" * 32).of(UUID(int=1)).rpartition("/")[2]
    for path in ("/v1/answers/", "/loi-moi/", "http://h.example/loi-moi/", "GET /v1/answers/"):
        assert redact(f"{path}{token}") == f"{path}[redacted]"
    assert redact(f"/v1/reports/{token}, /loi-moi/{{token}}") == f"/v1/reports/{token}, /loi-moi/{{token}}"


def test_a_password_is_redacted_in_every_url_of_a_text() -> None:
    assert redact("a://u:p/q@h, postgresql://b:://@h and c+d://:x@y@z") == (
        "a://u:[redacted]@h, postgresql://b:[redacted]@h and c+d://:[redacted]@y@z"
    )
    for plain in ("http://h:8080/a@b c", "x@y http://h/p", "://u:@h", "a: b@c"):
        assert redact(plain) == (plain if "8080" not in plain else "http://h:[redacted]@b c"), "a port looks like one"


#: the pattern that held all four services for over five minutes: it begins again at every letter
BEGINS_AGAIN = re.compile(r"[a-z][a-z0-9+]*://[^\s:/@]*:[^\s@]+(?=@)")
HOSTILE = ["/loi-moi/", "/v1/answers/x", "k", "a+", "1e", "://", "://u:", "a://u:p", "tsk_", "bearer ", "://@", "u:"]


def cpu_seconds(work: Callable[[], object]) -> float:
    began = work_seconds()
    work()
    return work_seconds() - began


@pytest.mark.parametrize("shape", HOSTILE)
def test_the_cost_of_redacting_grows_with_the_text_only(shape: str) -> None:
    megabyte = shape * (1_000_000 // len(shape))
    assert cpu_seconds(lambda: redact(megabyte)) < 5
    assert cpu_seconds(lambda: redact(megabyte + " ://x:@")) < 5


def test_the_pattern_before_costs_the_square() -> None:
    """Negative control: a fiftieth of the text costs it more than all of it costs now."""
    naive = cpu_seconds(lambda: BEGINS_AGAIN.sub("", "k" * 20_000))
    assert naive > cpu_seconds(lambda: redact("k" * 1_000_000))


async def test_what_anybody_may_read_nobody_reads_without_end() -> None:
    app = bare_app()

    async def rules() -> dict[str, str]:
        return {}

    app.add_api_route("/v1/rules", rules, dependencies=[Depends(Anybody(per_second=0.001, burst=2))])
    app.add_api_route("/v1/others", rules)
    statuses = [(await ask(app, "GET", "/v1/rules")).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await ask(app, "GET", "/v1/others")).status_code == 200

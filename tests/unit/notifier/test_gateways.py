"""Short texts: their parts, their letters, the file of the gateways, and what an answer means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.notifier.channels.gateway.file import Gateway, GatewayFileError, read_gateways
from services.notifier.channels.gateway.judging import judge, rests
from services.notifier.channels.gateway.numbers import number_as, number_of
from services.notifier.channels.gateway.parts import count_parts, folded
from services.notifier.channels.gateway.texts import TextComposer
from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.states import MailAccepted, MailDeferred, MailRefused, MailUncertain, Progress
from services.notifier.templates import CannotRender

FILE = """
gateways:
  - channel: sms
    url: https://sms.example/v1/send
    headers:
      Authorization: "Bearer ${SMS_TOKEN}"
      Idempotency-Key: "{id}"
    body:
      json: {to: "{to}", text: "{text}", brand: THONGSUOT, options: {unicode: false, tries: 1}}
    success: {status: [200], field: result.code, value: 0}
    answers:
      - {status: 400, field: result.code, value: 7, means: bad_address}
      - {status: 200, field: result.code, value: 9, means: later}
      - {status: 422, means: refused}
    limits: {per_second: 20, a_day: 1000}
"""


def gateway(monkeypatch: pytest.MonkeyPatch, file: str = FILE) -> Gateway:
    monkeypatch.setenv("SMS_TOKEN", "s3cret")
    (found,) = read_gateways("gateways.yaml", file.encode())
    return found


@pytest.mark.parametrize(
    ("text", "alphabet", "parts"),
    [
        ("", "gsm7", 0),
        ("a" * 160, "gsm7", 1),
        ("a" * 161, "gsm7", 2),
        ("a" * 306, "gsm7", 2),
        ("a" * 307, "gsm7", 3),
        ("€" * 80, "gsm7", 1),  # two septets each
        ("€" * 81, "gsm7", 2),
        ("a" * 152 + "€" + "a" * 152, "gsm7", 3),  # a character is not cut in two: 152, 2 + 151, 1
        ("ă" * 70, "ucs2", 1),
        ("ă" * 71, "ucs2", 2),
        ("ă" * 134, "ucs2", 2),
        ("ă" * 135, "ucs2", 3),
        ("😀" * 35, "ucs2", 1),
        ("\uffff" * 70, "ucs2", 1),  # the last of one unit
        ("ă" * 66 + "😀" + "ă" * 66, "ucs2", 3),
    ],
)
def test_parts_are_counted_as_networks_count_them(text: str, alphabet: str, parts: int) -> None:
    assert count_parts(text, alphabet) == parts  # type: ignore[arg-type]


def test_vietnamese_is_folded_letter_by_letter() -> None:
    said = "Đề nghị Ủy ban xã Ngãi Đăng: ưỡn ẹo “quá hạn” – kỳ III/2026… §5 ẴỢỰ"
    assert folded(said) == 'De nghi Uy ban xa Ngai Dang: uon eo "qua han" - ky III/2026... §5 AOU'
    assert folded("漢字") == "??"
    every = "aăâeêioôơuưyđ"
    marks = "\u0300\u0301\u0303\u0309\u0323"
    assert folded("".join(letter + mark for letter in every for mark in marks)) == "".join(
        plain * len(marks) for plain in "aaaeeiooouuyd"
    )


def test_what_gsm7_lacks_is_never_counted_as_if_it_fitted() -> None:
    with pytest.raises(ValueError, match="GSM-7"):
        count_parts("hạn", "gsm7")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0912 345 678", "+84912345678"),
        ("+84 (91) 234-56.78", "+84912345678"),
        ("84912345678", "+84912345678"),
        ("0084912345678", "+84912345678"),
        ("+8562012345678", "+8562012345678"),
        ("912345678", None),  # of no country
        ("09", None),
        ("091234567x", None),
        ("٠٩١٢٣٤٥٦٧٨", None),
        ("+", None),
        ("", None),
        ("a@h99.example", None),
    ],
)
def test_numbers_are_read_however_they_are_written(written: str, number: str | None) -> None:
    assert number_of(written) == number


def test_numbers_are_written_as_the_gateway_wants_them() -> None:
    assert [number_as("+84912345678", form) for form in ("international", "plain", "national")] == [
        "+84912345678", "84912345678", "0912345678",
    ]  # fmt: skip
    assert number_as("+8562012345678", "national") == "8562012345678"


def test_values_cannot_break_out_of_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'quá hạn", "to": "+84000000000 {to} ${SMS_TOKEN} \\'
    request = gateway(monkeypatch).request("+84912345678", text, "<1@x>")
    assert json.loads(request.body) == {
        "to": "+84912345678", "text": text, "brand": "THONGSUOT", "options": {"unicode": False, "tries": 1},
    }  # fmt: skip
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["Idempotency-Key"] == "<1@x>"
    form = FILE.replace("json: {to: ", "form: {phone: ").replace(", options: {unicode: false, tries: 1}", "")
    body = gateway(monkeypatch, form).request("+84912345678", "a&b=c d", "1").body
    assert body == b"phone=%2B84912345678&text=a%26b%3Dc+d&brand=THONGSUOT"


def test_a_file_says_every_fault_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMS_TOKEN", raising=False)
    wrong = (
        FILE.replace("channel: sms", "channel: fax")
        .replace("Idempotency-Key", "X-Api-Key")
        .replace('"{text}"', '"{txt}"')
        .replace("value: 7, means: bad_address", "means: wrong")
        .replace("per_second: 20", "per_second: 0")
    )
    with pytest.raises(GatewayFileError) as refused:
        read_gateways("gateways.yaml", wrong.encode())
    lines = str(refused.value).splitlines()
    for line, about in ((3, "channel"), (5, "SMS_TOKEN"), (9, "{txt}"), (12, "means"), (15, "per_second")):
        assert any(said.startswith(f"gateways.yaml:{line}:") and about in said for said in lines), (line, lines)


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("https://sms.example/v1/send", "http://sms.example/v1/send", "https"),
        ("https://sms.example/v1/send", "https://10.0.0.1/send", "mạng"),
        ('"Bearer ${SMS_TOKEN}"', '"Bearer abc"', "TÊN_BIẾN"),
        ("brand: THONGSUOT", "api_key: abc", "TÊN_BIẾN"),
        ("/v1/send", "/v1/send?brand=x&access_key=abc", "write no secret in the address"),
        ("/v1/send", "/v1/send?brand=${SMS_TOKEN}", "write no secret in the address"),
        ('to: "{to}"', 'to: "{id}"', "{to}"),
        ("Idempotency-Key", "Content-Length", "không đặt được"),
        ('Idempotency-Key: "{id}"', 'X-Text: "{text}"', "chỉ {id}"),
        ("field: result.code, value: 0", "field: result.code", "đi cùng nhau"),
        ("url: https", "colour: red\n    url: https", "không có mục này"),
    ],
)
def test_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, change: str, to: str, said: str) -> None:
    assert change in FILE
    with pytest.raises(GatewayFileError, match=said.replace("{", r"\{")):
        gateway(monkeypatch, FILE.replace(change, to))


def test_a_channel_has_one_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = FILE + FILE.replace("gateways:\n", "").lstrip("\n")
    with pytest.raises(GatewayFileError, match="một cổng"):
        gateway(monkeypatch, twice)


@pytest.mark.parametrize(
    ("status", "answer", "result"),
    [
        (200, '{"result": {"code": 0}}', MailAccepted),
        (200, '{"result": {"code": "0"}}', MailAccepted),
        (200, '{"result": {"code": 1}}', MailUncertain),  # neither yes nor no
        (200, "<html>", MailUncertain),
        (200, '{"result": {"code": 9}}', MailDeferred),
        (400, '{"result": {"code": 7}}', MailRefused),
        (400, '{"result": {"code": 8}}', MailDeferred),
        (422, "", MailRefused),
        (401, "", MailDeferred),
        (302, "", MailDeferred),
        (429, "", MailDeferred),
        (503, "", MailDeferred),
        (500, '{"result": {"code": 0}}', MailUncertain),
        (504, "", MailUncertain),
    ],
)
def test_an_answer_is_certain_or_is_not(
    monkeypatch: pytest.MonkeyPatch, status: int, answer: str, result: type[object]
) -> None:
    assert isinstance(judge(gateway(monkeypatch).part, status, answer), result)


LONG = "x" * 400


@pytest.mark.parametrize(
    ("status", "answer", "result"),
    [
        (200, '{"result": {"code": 0}}', MailAccepted(200, '{"result": {"code": 0}}')),
        (200, '{"result": {"code": "0"}}', MailAccepted(200, '{"result": {"code": "0"}}')),
        (200, '{"result": {"code": 9}}', MailDeferred("rcpt", 200, '{"result": {"code": 9}}')),
        (400, '{"result": {"code": 7}}', MailRefused("rcpt", 400, '{"result": {"code": 7}}')),
        (400, LONG, MailDeferred("rcpt", 400, "x" * 300)),
        (401, "no", MailDeferred("mail", 401, "no")),
        (422, "no", MailRefused("body", 422, "no")),
        (500, "away", MailUncertain("500 away")),
    ],
)
def test_what_was_answered_is_kept_with_whom_it_is_about(
    monkeypatch: pytest.MonkeyPatch, status: int, answer: str, result: object
) -> None:
    assert judge(gateway(monkeypatch).part, status, answer) == result


@pytest.mark.parametrize(
    ("value", "answer", "taken"),
    [
        ("ok.0.state", '{"ok": [{"state": 1}]}', True),
        ("ok.1.state", '{"ok": [{"state": 1}]}', False),
        ("ok.first.state", '{"ok": [{"state": 1}]}', False),
        ("ok.0.state", '{"ok": {"0": {"state": 1}}}', True),
    ],
)
def test_a_member_is_found_in_lists_by_its_place(
    monkeypatch: pytest.MonkeyPatch, value: str, answer: str, taken: bool
) -> None:
    file = FILE.replace("field: result.code, value: 0", f"field: {value}, value: 1")
    assert isinstance(judge(gateway(monkeypatch, file).part, 200, answer), MailAccepted) is taken


def test_the_file_may_say_that_the_set_up_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judge(gateway(monkeypatch, FILE.replace("means: refused", "means: set_up")).part, 422, "brand")
    assert found == MailDeferred("mail", 422, "brand")
    assert rests(found)


def test_the_gateway_rests_where_the_answer_is_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    part = gateway(monkeypatch).part
    assert [status for status in (200, 302, 400, 401, 404, 422, 429, 503) if rests(judge(part, status, ""))] == [
        302, 401, 404, 429, 503,
    ]  # fmt: skip


def claimed(kind: str = "escalation", **facts: object) -> ClaimedMail:
    told = {
        "recipient_name": "Lê Văn Hà", "recipient_title": "Chủ tịch", "agency": "H99.X07",
        "agency_name": "Ủy ban nhân dân xã Tân Lập", "agency_name_en": "", "regime": "BC-THANG", "regime_version": 1,
        "period": "2026-M10", "deadline": "2026-10-19T17:00:00+07:00", "standing": "nothing_sent",
        "officer_name": "Nguyễn Thị Đào", **facts,
    }  # fmt: skip
    at = datetime(2026, 10, 20, tzinfo=UTC)
    return ClaimedMail(
        Progress(UUID(int=1), 1, 0, 0, at), UUID(int=2), "H99.X07/BC-THANG/2026-M10", kind, "overdue/rung-t",
        "+84912345678", "<1@x>", at, told, None, {"regime_name": "Báo cáo tháng"},
    )  # fmt: skip


def test_a_text_says_what_is_late_and_since_when() -> None:
    assert TextComposer("ucs2").compose(claimed()).decode() == (
        "Thông Suốt: quá hạn 17:00 19/10/2026, chưa nộp: Báo cáo tháng, tháng 10/2026. Ủy ban nhân dân xã Tân Lập. "
        "Đầu mối: Nguyễn Thị Đào."
    )
    assert TextComposer().compose(claimed(standing="returned")).decode() == (
        "Thong Suot: qua han 17:00 19/10/2026, bi tra lai: Bao cao thang, thang 10/2026. Uy ban nhan dan xa Tan Lap. "
        "Dau moi: Nguyen Thi Dao."
    )
    assert TextComposer().compose(claimed("resolved", resolution="answered")).decode() == (
        "Thong Suot: het qua han: Bao cao thang, thang 10/2026. Uy ban nhan dan xa Tan Lap: bao cao da duoc nop va dat."
    )


def test_a_text_of_several_counts_them_and_names_the_first() -> None:
    line = {"period": "2026-M10", "request": "", "regime": "Báo cáo tháng", "agency": "Xã Tân Lập"}
    matters = (
        {**line, "kind": "escalation", "deadline": "2026-10-19T17:00:00+07:00"},
        {**line, "kind": "escalation", "deadline": "2026-10-12T17:00:00+07:00", "period": "2026-W40"},
        {**line, "kind": "resolved", "deadline": None},
    )
    assert TextComposer().compose(claimed(matters=matters)).decode() == (
        "Thong Suot: 2 bao cao qua han, 1 bao cao het qua han. Han som nhat 17:00 12/10/2026: Bao cao thang, tuan 40 "
        "nam 2026. Xa Tan Lap."
    )


def test_a_text_of_several_names_a_request_by_its_title_cut_as_names_are() -> None:
    line = {"period": "DX-1", "request": "Báo cáo nhanh bão số 3", "regime": "Thiên tai", "agency": "Xã Tân Lập"}
    late = {**line, "kind": "escalation", "deadline": "2026-10-19T17:00:00+07:00"}
    text = TextComposer("ucs2").compose(claimed(matters=(late, late))).decode()
    assert "Thiên tai, Báo cáo nhanh bão số 3 (DX-1). Xã Tân Lập." in text
    long = TextComposer("ucs2", 3).compose(claimed(matters=({**late, "request": "Báo cáo nhanh " * 30},) * 2)).decode()
    assert "…" in long
    assert "Xã Tân Lập." in long


def test_without_an_officer_nobody_is_named() -> None:
    assert TextComposer("ucs2").compose(claimed(officer_name="")).decode().endswith(" Ủy ban nhân dân xã Tân Lập.")


@pytest.mark.parametrize("alphabet", ["gsm7", "ucs2"])
def test_long_names_are_cut_and_the_text_keeps_its_parts(alphabet: str) -> None:
    long = claimed(agency_name="Ủy ban nhân dân " * 40, officer_name="Nguyễn " * 60)
    composer = TextComposer(alphabet)  # type: ignore[arg-type]
    text = composer.compose(long).decode()
    assert count_parts(text, alphabet) == 2  # type: ignore[arg-type]
    assert "17:00 19/10/2026" in text
    assert ("..." if alphabet == "gsm7" else "…") in text
    with pytest.raises(CannotRender, match="1 parts"):
        TextComposer("ucs2", max_parts=1).compose(long)


@pytest.mark.parametrize(("alphabet", "parts"), [("gsm7", 1), ("gsm7", 2), ("ucs2", 2)])
@pytest.mark.parametrize("standing", ["nothing_sent", "returned"])
@pytest.mark.parametrize(("period", "said"), [("2026-H1", "6 tháng đầu năm 2026"), ("2026-M10", "tháng 10/2026")])
def test_with_every_name_too_long_the_period_is_said_whole(
    alphabet: str, parts: int, standing: str, period: str, said: str
) -> None:
    names = {"agency_name": "Ủy ban nhân dân " * 40, "officer_name": "Nguyễn " * 60}
    mail = replace(
        claimed(**names, standing=standing, period=period), names={"regime_name": "Báo cáo tình hình kinh tế – xã hội"}
    )
    text = TextComposer(alphabet, parts).compose(mail).decode()  # type: ignore[arg-type]
    assert count_parts(text, alphabet) <= parts  # type: ignore[arg-type]
    assert f", {folded(said) if alphabet == 'gsm7' else said}. " in text


def test_hidden_characters_and_line_breaks_do_not_reach_a_phone() -> None:
    text = TextComposer("ucs2").compose(claimed(agency_name="Xã\n\u202eTân\x00 Lập")).decode()
    assert "Xã Tân Lập" in text
    assert text.isprintable()


def test_another_kind_has_no_text() -> None:
    with pytest.raises(CannotRender, match="digest"):
        TextComposer().compose(claimed("digest"))

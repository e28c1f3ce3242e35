"""The letters: both languages, correct diacritics, nothing in a header that does not belong there."""

from __future__ import annotations

import json
import quopri
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.templates import CannotRender, Composer, Originator, deadline_words
from services.notifier.templates.preview import samples, write
from services.notifier.templates.words import lateness_words, stakes_words
from shared.contract.words import period_words

COMPOSER = Composer(Originator("khong-tra-loi@thongsuot.example", reply_to="van-phong@h99.example"))


def read(mail: ClaimedMail) -> EmailMessage:
    parsed = message_from_bytes(COMPOSER.compose(mail), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def changed(mail: ClaimedMail, **facts: object) -> ClaimedMail:
    return replace(mail, facts={**mail.facts, **facts})


@pytest.mark.parametrize("name", samples())
def test_every_letter_speaks_vietnamese_first_and_english_below(name: str) -> None:
    message = read(samples()[name])
    for kind in ("plain", "html"):
        text = body(message, kind)
        assert text.index("Kính gửi: Ông/Bà") < text.index("Dear ")
        of_request = name in ("reminder-of-request", "request", "request-for-information")
        if "regime" in name:  # from a day on, and about no period
            assert "01/01/2027" in text
            assert "1 January 2027" in text
            assert "None" not in text
            continue
        assert ("DX-2026-003" if of_request else "tháng 10/2026") in text
        assert "October 2026" in text
        moment = "09:00 ngày 19/10/2026" if name.startswith("named") else "17:00 ngày 19/10/2026"
        assert (
            "19/10/2026" in text if name.startswith(("group", "digest")) else f"{moment} (giờ Việt Nam, UTC+7)" in text
        )
        assert "(Vietnam time, UTC+7)" in text
        assert "Sở Nông nghiệp và Môi trường" in text
        assert "{{" not in text
        assert "None" not in text
    assert str(message["Subject"]).startswith("[")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Reply-To"] == "van-phong@h99.example"


def test_on_the_wire_a_letter_is_seven_bit_with_crlf_and_short_lines() -> None:
    for mail in samples().values():
        wire = COMPOSER.compose(mail)
        assert wire.isascii()
        assert b"\n" not in wire.replace(b"\r\n", b"")
        assert max(map(len, wire.split(b"\r\n"))) <= 998  # RFC 5322 2.1.1
        head = wire.partition(b"\r\n\r\n")[0]
        assert max(map(len, head.split(b"\r\n"))) <= 78


def test_the_same_notification_always_makes_the_same_bytes() -> None:
    for mail in samples().values():
        assert COMPOSER.compose(mail) == Composer(COMPOSER._originator).compose(mail)


def test_an_overdue_letter_tells_nothing_sent_from_returned() -> None:
    nothing = read(samples()["overdue-nothing-sent"])
    returned = read(samples()["overdue-returned"])
    assert "chưa nộp" in nothing["Subject"]
    assert "bị trả lại" in returned["Subject"]
    assert "Chưa nộp – chưa nhận được báo cáo nào" in body(nothing, "plain")
    assert "Trả lại" in body(returned, "html")
    assert "Chưa nộp" not in body(returned, "plain")


def test_a_returned_letter_names_the_version_the_deadline_and_what_to_do_about_each_finding() -> None:
    text = body(read(samples()["returned"]), "plain")
    for part in (
        "Phiên bản 2",
        "Phải sửa 2 lỗi (1 cảnh báo",
        "A10",
        "Đã gửi: 1250.5",
        "Cần: 1205.5",
        "Cách sửa: ",
        "How to fix: ",
        "trước 17:00 ngày 19/10/2026",
    ):
        assert part in text
    late = body(read(samples()["returned-after-acceptance"]), "plain")
    assert "hạn 17:00 ngày 19/10/2026 đã qua" in late
    assert "Phiên bản 1 đã đạt trước đó vẫn có hiệu lực" in late
    assert "và 12 mục nữa" in late


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_person_named_is_told_which_reports_and_what_to_do_if_it_is_wrong(kind: str) -> None:
    one, several = (body(read(samples()[name]), kind) for name in ("named", "named-in-several"))
    for letter in (one, several):
        for part in ("H99.12/BC-KTXH-THANG/2026-M10", "hiên bản 2, nhận lúc 09:00", "báo ngay cho thủ trưởng cơ quan",
                     "tell the head of your agency"):  # fmt: skip
            assert part in " ".join(letter.split())
    assert "DX-2026-003" in several
    assert "DX-2026-003" not in one
    assert "5 báo cáo dưới đây" in several
    assert "… và 3 báo cáo nữa" in several
    assert read(samples()["named"])["Subject"].endswith("tháng 10/2026 – ghi Ông/Bà chịu trách nhiệm")
    assert "5 báo cáo" in read(samples()["named-in-several"])["Subject"]


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_one_letter_for_several_reports_in_a_persons_name_says_what_each_alone_would(kind: str) -> None:
    letter = read(samples()["group-named"])
    assert str(letter["Subject"]) == "[Tổng hợp] 2 báo cáo ghi tên Ông/Bà"
    text = " ".join(body(letter, kind).split())
    for part in ("H99.12/BC-KTXH-THANG/2026-M10", "Phiên bản 1, nhận lúc 10:00 ngày 19/10/2026",
                 "H99.12.01/BC-KTXH-THANG/2026-M10", "Phiên bản 2, nhận lúc 11:00 ngày 19/10/2026",
                 "Version 2, received at 11:00, 19 October 2026",
                 "báo ngay cho thủ trưởng cơ quan", "tell the head of your agency"):  # fmt: skip
        assert part in text
    assert "chậm" not in text
    others = body(read(samples()["group"]), kind)
    assert "khóa gửi báo cáo" not in others, "nobody is named there"


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_digest_has_its_tables_inside_and_says_how_much_it_leaves_out(kind: str) -> None:
    daily, weekly = read(samples()["digest-daily"]), read(samples()["digest-weekly"])
    assert str(daily["Subject"]) == "[Tổng hợp ngày] 45 báo cáo quá hạn, 1 báo cáo sắp đến hạn"
    assert str(weekly["Subject"]).startswith("[Tổng hợp tuần] 45 báo cáo quá hạn")
    text = " ".join(body(daily, kind).split())
    for part in ("chậm 6 ngày", "bị trả lại", "… và 42 báo cáo nữa", "H99.X07/BC-KTXH-THANG/DX-2026-003",
                 "6 days late", "and 42 more", "theo lựa chọn của Ông/Bà"):  # fmt: skip
        assert part in text
    assert "Điểm" not in text, "scores are the week's"
    text = " ".join(body(weekly, kind).split())
    for part in ("bình quân 8,25", "6,5", "Phiên bản 2, nhận lúc 09:00 ngày 19/10/2026",
                 "tính từ 08:15 ngày 19/10/2026", "mean 8.25", "Version 2, received at 09:00"):  # fmt: skip
        assert part in text


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_returned_letter_says_it_to_the_person_that_the_report_names_alone(kind: str) -> None:
    claim, claim_en = "Báo cáo này ghi Ông/Bà là người chịu trách nhiệm", "names you as the person who answers for it"
    named = body(read(samples()["returned"]), kind)
    assert claim in named
    assert claim_en in named
    stand_in = body(read(changed(samples()["returned"], named=False)), kind)
    assert claim not in stand_in
    assert claim_en not in stand_in


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_an_escalation_names_the_officer_and_claims_nothing_about_that_officers_mail(kind: str) -> None:
    """That mail may fail, or be cancelled, after this one is composed."""
    letter = body(read(samples()["escalation"]), kind)
    assert "Nguyễn Thị Hồng Ánh (cán bộ đầu mối)" in letter
    assert "Nguyễn Thị Hồng Ánh (reporting officer)" in letter
    for claim in ("được gửi thông báo", "is sent a notice", "đã gửi cho cán bộ"):
        assert claim not in letter


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_letter_about_a_request_names_its_number_once_beside_its_title(kind: str) -> None:
    letter = body(read(samples()["reminder-of-request"]), kind)
    block = letter.partition("Trân trọng")[0]
    assert block.count("DX-2026-003") == 1
    assert "Thiệt hại do bão số 9" in block


def test_an_escalation_names_the_agencies_passed_over() -> None:
    climbed = body(read(samples()["escalation-climbed"]), "html")
    assert "chưa có thủ trưởng nào nhận được thư tại: Sở Nông nghiệp và Môi trường" in climbed


def test_what_people_wrote_is_text_and_never_markup() -> None:
    finding = {**samples()["returned"].facts["findings"][0], "message": "<script>alert(1)</script> & co"}
    mail = changed(samples()["returned"], findings=[finding], agency_name="<b>Sở</b>")
    html = body(read(mail), "html")
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in html
    assert "<b>" not in html
    assert "<script>alert(1)</script> & co" in body(read(mail), "plain")


@pytest.mark.parametrize("character", ["\r\n", "\n", "\r", "\x00", "\x0b", "\u2028"])
@pytest.mark.parametrize("place", ["recipient_name", "agency_name", "regime_name", "recipient", "message_id"])
def test_a_line_break_in_what_becomes_a_header_is_refused(place: str, character: str) -> None:
    mail = samples()["escalation"]
    bad = f"x{character}Bcc: everybody@h99.example"
    match place:
        case "recipient_name" | "agency_name":
            mail = changed(mail, **{place: bad})
        case "regime_name":
            mail = replace(mail, names={**mail.names, "regime_name": bad})
        case "recipient":
            mail = replace(mail, recipient=f"a@h99.example{character}")
        case _:
            mail = replace(mail, message_id=f"<a{character}b@x.example>")
    with pytest.raises(CannotRender):
        COMPOSER.compose(mail)


def test_facts_that_lack_something_are_refused_as_unsendable() -> None:
    with pytest.raises(CannotRender):
        COMPOSER.compose(replace(samples()["reminder"], facts={"recipient_name": "x"}))


def test_a_long_name_makes_a_long_subject_short() -> None:
    mail = samples()["reminder"]
    message = read(replace(mail, names={**mail.names, "regime_name": "Báo cáo " * 60}))
    assert len(str(message["Subject"])) <= 200


def test_the_html_survives_its_transport_encoding() -> None:
    wire = COMPOSER.compose(samples()["reminder"])
    assert "Sắp đến hạn nộp báo cáo" in quopri.decodestring(wire).decode("utf-8")


def test_the_preview_writes_every_letter_in_three_forms(tmp_path: Path) -> None:
    files = write(COMPOSER, tmp_path / "letters")
    assert len(files) == 3 * len(samples())
    assert all(path.stat().st_size > 500 for path in files)


@pytest.mark.parametrize(
    ("period", "vi", "en"),
    [
        ("2026-W07", "tuần 7 năm 2026", "week 7 of 2026"),
        ("2026-M01", "tháng 1/2026", "January 2026"),
        ("2026-Q3", "quý III/2026", "quarter 3 of 2026"),
        ("2026-H1", "6 tháng đầu năm 2026", "first half of 2026"),
        ("2026-H2", "6 tháng cuối năm 2026", "second half of 2026"),
        ("2026-9M", "9 tháng năm 2026", "nine months of 2026"),
        ("2026", "năm 2026", "year 2026"),
        ("DX-2026-003", "Lũ lụt (DX-2026-003)", "Floods (DX-2026-003)"),
        ("2026-M13", "2026-M13", "2026-M13"),
    ],
)
def test_periods_in_words(period: str, vi: str, en: str) -> None:
    assert period_words(period, "Lũ lụt", "Floods") == (vi, en)


def test_deadlines_and_lateness_in_words() -> None:
    deadline = datetime(2026, 10, 19, 10, 0, tzinfo=UTC)
    assert deadline_words(deadline) == (
        "17:00 ngày 19/10/2026 (giờ Việt Nam, UTC+7)",
        "17:00 on 19 October 2026 (Vietnam time, UTC+7)",
    )
    assert deadline_words(None)[0] == "xem trong hệ thống"
    assert lateness_words(deadline, deadline) == ("", "")
    assert lateness_words(deadline, deadline + timedelta(minutes=59))[0] == "dưới 1 giờ"
    assert lateness_words(deadline, deadline + timedelta(hours=1))[1] == "1 hour"
    assert lateness_words(deadline, deadline + timedelta(hours=47))[0] == "47 giờ"
    assert lateness_words(deadline, deadline + timedelta(hours=48))[0] == "2 ngày"
    assert lateness_words(None, deadline) == ("", "")


WORDS = st.text('aàảãáạăằâầđĐeềéiìoồơờuừyỳ NMSTX,–(/)"<>', min_size=1, max_size=170)


@given(words=WORDS)
def test_a_subject_and_a_name_come_back_as_they_were_written(words: str) -> None:
    words = f"Sở {' '.join(words.split())} Môi trường"
    mail = changed(samples()["escalation"], recipient_name=words)
    mail = replace(mail, names={**mail.names, "regime_name": words})
    wire = COMPOSER.compose(mail)
    head = wire.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78
    for parsed in (message_from_bytes(wire, policy=policy.default), message_from_bytes(wire, policy=policy.compat32)):
        subject = str(make_header(decode_header(parsed["Subject"])))
        written = f"[Báo cáo chậm] Sở Nông nghiệp và Môi trường: {words}, tháng 10/2026"
        assert len(subject) < 120
        assert subject == (written if len(written) < 120 else written[:118] + "…")
    ((name, address),) = getaddresses([message_from_bytes(wire)["To"]])
    assert str(make_header(decode_header(name))) == words
    assert address == mail.recipient


POLICY = {
    "policy_version": "2027.1", "off_per_working_day": 7.50, "timeliness_full": 60, "timeliness_floor": 0,
    "timeliness_overdue": 0, "off_within_grace": None,
    "clauses": [{"rule": "late", "clause": "1.b"}, {"rule": "overdue", "clause": "1.c"}],
}  # fmt: skip


@pytest.mark.parametrize("name", ["reminder", "overdue-nothing-sent", "escalation", "group"])
def test_a_letter_says_what_a_late_day_costs_by_which_clause_where_the_policy_is_known(name: str) -> None:
    mail = samples()[name]
    for kind in ("plain", "html"):
        text = " ".join(body(read(replace(mail, names={**mail.names, "policy": json.dumps(POLICY)})), kind).split())
        for part in ("chính sách chấm điểm 2027.1", "trừ 7,5 điểm", "khoản 1.b", "takes 7.5", "clause 1.b"):
            assert part in text
        assert ("khoản 1.c" in text) is (name not in ("reminder", "group"))
        for nothing in (None, json.dumps({**POLICY, "off_per_working_day": 0})):
            without = body(read(replace(mail, names={**mail.names, "policy": nothing})), kind)
            assert ("Điểm kịp thời" in without, "Points for" in without) == (False, False)


def test_a_letter_of_a_request_says_who_asks_and_what() -> None:
    asked, ordered = (samples()[name] for name in ("request-for-information", "request"))
    for kind in ("plain", "html"):
        text = " ".join(body(read(asked), kind).replace("<strong>", "").replace("</strong>", "").split())
        assert "Sở Tài chính đề nghị cơ quan của Ông/Bà cung cấp thông tin" in text
        assert "Department of Finance asks your agency" in text
        assert text.count("Số hộ bị ngập") == 2
        assert "Nội dung cần cung cấp" not in body(read(ordered), kind)
    assert str(read(asked)["Subject"]) == "[Yêu cầu báo cáo] Thiệt hại do bão số 9 – hạn 17:00 ngày 19/10/2026"


def test_a_letter_of_what_is_over_says_nothing_of_points() -> None:
    for name in ("returned", "resolved", "certification", "named"):
        assert "Điểm kịp thời" not in body(read(samples()[name]), "plain")


def test_what_a_grace_costs_is_said_by_its_own_clause() -> None:
    clauses = [*POLICY["clauses"], {"rule": "grace", "clause": "1.d"}]  # type: ignore[misc]
    vi, en = stakes_words({**POLICY, "off_within_grace": 5, "clauses": clauses}, late=False)
    assert "trong thời gian ân hạn, nếu có, trừ nhiều nhất 5 điểm (khoản 1.d)" in vi
    assert "5 at most (clause 1.d)" in en
    assert "ân hạn" not in stakes_words(POLICY, late=False)[0]


def test_letters_about_one_obligation_thread_and_one_about_several_does_not() -> None:
    threads = {name: read(mail)["References"] for name, mail in samples().items()}
    assert threads["reminder"] == threads["overdue-nothing-sent"] == threads["escalation"]
    assert threads["reminder"] == read(samples()["reminder"])["In-Reply-To"]
    assert threads["reminder"] != threads["reminder-of-request"], "another obligation"
    assert [threads[name] for name in ("group", "digest-daily", "regime-version")] == [None] * 3
    assert {str(read(mail)["List-Id"]) for mail in samples().values()} == {"<thong-bao.thongsuot.example>"}

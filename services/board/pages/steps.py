"""The forms by which people take steps: what each asks for, where it goes and what is sent. Pure.

A page offers what makes sense as things stand. Whether a step can be taken, by whom and with what, intake says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from services.board.pages.words import Pair
from shared.runtime.clock import LOCAL_ZONE

#: what a form is known by, in addresses and in its hidden field
STEP, ONCE = "step", "once"
_ONCE = re.compile(r"[0-9a-f]{32}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?")
_SAID = re.compile(r"(?P<step>[a-z_]{1,40})~(?P<how>new|again)~(?P<about>[^~]{1,200})~(?P<seal>[0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. `moment`: a day and an hour, Vietnam's time; `line`: a text of one line."""

    name: str
    label: Pair
    kind: Literal["choice", "moment", "day", "line", "text"]
    required: bool = False
    options: tuple[tuple[str, Pair], ...] = ()
    value: str = ""  # what it holds before anybody typed


@dataclass(frozen=True, slots=True)
class Form:
    """A step, or a choice of steps, that somebody may take."""

    step: str  # as in the hidden field
    action: str  # as metrics count it
    heading: Pair
    hint: Pair
    button: Pair
    fields: tuple[Field, ...]


def _reason(label: Pair, *, required: bool = True) -> Field:
    return Field("reason", label, "text", required)


_WHY = ("Lý do", "Reason")
CERTIFICATION = Form(
    "ky", "certification",
    ("Ký xác nhận", "Certify"),
    ("Ông/Bà chịu trách nhiệm về nội dung của phiên bản này. Từ khi ký, báo cáo được tính theo giờ nhận của nó.",
     "You answer for what this version says. Once certified it counts, by the hour of its receipt."),
    ("Ký xác nhận", "Certify"),
    (_reason(("Ghi chú (không bắt buộc)", "Note (optional)"), required=False),),
)  # fmt: skip
REVIEW = Form(
    "duyet", "review",
    ("Duyệt hoặc trả lại", "Approve, or send back"),
    ("Trả lại thì cơ quan sửa rồi gửi lại; bản sửa gửi trong hạn sửa được tính theo giờ nhận của phiên bản này.",
     "What is sent back is corrected and sent again; within the term it counts by the receipt of this version."),
    ("Gửi quyết định", "Send the decision"),
    (
        Field("decision", ("Quyết định", "Decision"), "choice", True, (
            ("approve", ("Duyệt", "Approve")),
            ("rework", ("Trả lại để làm lại", "Send back for rework")),
        )),
        _reason(("Lý do (cần khi trả lại)", "Reason (needed to send it back)"), required=False),
        Field("until", ("Sửa trước (khi trả lại; không bắt buộc)", "To be corrected by (when sent back; optional)"),
              "moment"),
    ),
)  # fmt: skip
WITHDRAWAL = Form(
    "rut", "withdrawal",
    ("Rút phiên bản này", "Withdraw this version"),
    ("Phiên bản coi như chưa gửi. Việc nhắc hạn và tính quá hạn tiếp tục như trước.",
     "It counts as never sent. Reminders and overdue start again."),
    ("Rút báo cáo", "Withdraw"),
    (_reason(_WHY),),
)  # fmt: skip
EXPLANATION = Form(
    "giai-trinh", "explanation",
    ("Giải trình các điểm hệ thống nêu", "Explain what the findings ask about"),
    ("Nêu sự việc và căn cứ. Người duyệt xem và quyết định.", "State the facts and their source. A reviewer decides."),
    ("Gửi giải trình", "Send the explanation"),
    (_reason(("Nội dung giải trình", "Explanation")),),
)  # fmt: skip
VERDICT_APPEAL = Form(
    "khieu-nai", "appeal",
    ("Khiếu nại kết quả kiểm tra", "Appeal against the verdict"),
    ("Nêu điểm nào của kết quả kiểm tra là sai và vì sao. Văn phòng UBND hoặc Chủ tịch quyết định.",
     "Say what in the verdict is wrong, and why. The provincial office or the chair decides."),
    ("Gửi khiếu nại", "Send the appeal"),
    (_reason(("Nội dung khiếu nại", "Appeal")),),
)  # fmt: skip
SCORE_APPEAL = replace(
    VERDICT_APPEAL,
    step="khieu-nai-diem",
    heading=("Khiếu nại điểm", "Appeal against the score"),
    hint=("Nêu dòng điểm nào là sai và vì sao. Văn phòng UBND hoặc Chủ tịch quyết định.",
          "Say which score line is wrong, and why. The provincial office or the chair decides."),
)  # fmt: skip
EXTENSION = Form(
    "gia-han", "extension",
    ("Đề nghị gia hạn", "Ask for an extension"),
    ("Khi chưa có quyết định, hạn nộp giữ nguyên. Đề nghị gửi sau hạn chỉ bớt được số ngày chậm.",
     "Until it is decided the deadline stands. After the deadline it forgives days and makes nothing on time."),
    ("Gửi đề nghị", "Send the request"),
    (Field("until", ("Gia hạn đến", "Until"), "moment", True), _reason(_WHY)),
)  # fmt: skip
UNLOCK = Form(
    "mo-khoa", "unlock",
    ("Mở khóa nhận báo cáo", "Take reports again"),
    ("Báo cáo nhận được sau hạn vẫn tính là chậm.", "What comes after the deadline is late all the same."),
    ("Mở khóa", "Unlock"),
    (Field("until", ("Mở đến", "Until"), "moment", True), _reason(_WHY)),
)  # fmt: skip
EXTENSION_DECISION = Form(
    "quyet-dinh", "decision",
    ("Quyết định", "Decide"),
    ("Chấp thuận thì hạn nộp dời đến thời điểm ghi dưới đây.", "Granted, the deadline moves to the moment below."),
    ("Gửi quyết định", "Send the decision"),
    (
        Field("decision", ("Quyết định", "Decision"), "choice", True, (
            ("grant", ("Chấp thuận gia hạn", "Grant the extension")),
            ("refuse", ("Không gia hạn", "Refuse it")),
        )),
        Field("until", ("Gia hạn đến (khi chấp thuận)", "Until (when granted)"), "moment"),
        _reason(_WHY),
    ),
)  # fmt: skip
EXPLANATION_DECISION = Form(
    "quyet-dinh", "decision",
    ("Quyết định", "Decide"),
    ("Không chấp nhận thì cơ quan có thể giải trình lại.", "Refused, it may be explained again."),
    ("Gửi quyết định", "Send the decision"),
    (
        Field("decision", ("Quyết định", "Decision"), "choice", True, (
            ("grant", ("Chấp nhận giải trình", "Accept the explanation")),
            ("refuse", ("Không chấp nhận", "Refuse it")),
        )),
        _reason(("Lý do (cần khi không chấp nhận)", "Reason (needed to refuse)"), required=False),
    ),
)  # fmt: skip
LATENESS = Form(
    "giai-trinh-cham", "lateness",
    ("Giải trình chậm báo cáo", "Explain why the report is late"),
    ("Sự việc đã có ở trên, không cần nhắc lại. Hạn nộp và điểm giữ nguyên; muốn không tính chậm thì xin gia hạn "
     "hoặc khiếu nại.",
     "The facts stand above and need no repetition. Deadline and score stand; who holds that it should not count asks "
     "for an extension or appeals."),
    ("Gửi giải trình", "Send the explanation"),
    (
        _reason(("Nguyên nhân", "Cause")),
        Field("remedy", ("Biện pháp khắc phục", "Remedy"), "text", True),
        Field("until", ("Khắc phục xong trước (không bắt buộc)", "To be remedied by (optional)"), "moment"),
    ),
)  # fmt: skip
LATENESS_DECISION = Form(
    "xem-giai-trinh", "decision",
    ("Xem giải trình", "Look at the explanation"),
    ("Ghi nhận là đã đọc, không phải miễn. Yêu cầu bổ sung thì nêu rõ còn thiếu gì.",
     "To note it is to have read it, not to forgive. Who asks for more says what is missing."),
    ("Gửi", "Send"),
    (
        Field("decision", ("Ý kiến", "Answer"), "choice", True, (
            ("note", ("Ghi nhận", "Note it")),
            ("ask", ("Yêu cầu bổ sung", "Ask for more")),
        )),
        _reason(("Nội dung (cần khi yêu cầu bổ sung)", "What is said (needed to ask for more)"), required=False),
        Field("until", ("Bổ sung trước (không bắt buộc)", "More is to be said by (optional)"), "moment"),
    ),
)  # fmt: skip
APPEAL_DECISION = Form(
    "quyet-dinh", "decision",
    ("Quyết định", "Decide"),
    ("Miễn trừ là khoảng thời gian không tính cho ai; cần đủ hai thời điểm.",
     "A relief is a span that counts against nobody; it needs both moments."),
    ("Gửi quyết định", "Send the decision"),
    (
        Field("decision", ("Quyết định", "Decision"), "choice", True, (
            ("relief", ("Chấp nhận: miễn trừ khoảng thời gian dưới đây", "Uphold: this span counts against nobody")),
            ("accepted", ("Chấp nhận: báo cáo bị trả lại được tính là đạt", "Uphold: the returned report is accepted")),
            ("dismiss", ("Bác khiếu nại", "Dismiss the appeal")),
        )),
        Field("since", ("Từ (khi miễn trừ)", "From (of a relief)"), "moment"),
        Field("until", ("Đến (khi miễn trừ)", "Until (of a relief)"), "moment"),
        _reason(_WHY),
    ),
)  # fmt: skip

WAIVER = Form(
    "mien-ap-dung", "waiver",
    ("Đề nghị miễn áp dụng một quy tắc", "Ask that a rule is waived"),
    ("Cho cơ quan của Ông/Bà, từ ngày mai trở đi. Báo cáo nhận trong thời gian được miễn không bị trả lại vì quy tắc "
     "này. Người khác, ở cấp trên, quyết định.",
     "For your agency, from tomorrow on. Reports received in the term are not returned by this rule. Somebody else, "
     "above, decides."),
    ("Gửi đề nghị", "Send the request"),
    (
        Field("regime", ("Mã chế độ báo cáo", "Code of the regime"), "line", True),
        Field("rule", ("Mã quy tắc, như trong kết quả kiểm tra", "Code of the rule, as in findings"), "line", True),
        Field("since", ("Từ ngày", "From the day"), "day", True),
        Field("until", ("Đến hết ngày", "To the end of the day"), "day", True),
        _reason(_WHY),
    ),
)  # fmt: skip
WAIVER_DECISION = Form(
    "quyet-dinh", "decision",
    ("Quyết định", "Decide"),
    ("Chấp thuận thì quy tắc không tính cho các cơ quan trên trong thời gian đó; ai đề nghị thì không quyết định.",
     "Granted, the rule counts against none of these agencies for that term; nobody decides what they asked for."),
    ("Gửi quyết định", "Send the decision"),
    (
        Field("decision", ("Quyết định", "Decision"), "choice", True, (
            ("grant", ("Chấp thuận", "Grant")),
            ("refuse", ("Không chấp thuận", "Refuse")),
        )),
        Field("until", ("Ngày cuối, nếu sớm hơn đã đề nghị", "The last day, if earlier than was asked for"), "day"),
        _reason(("Lý do (cần khi không chấp thuận)", "Reason (needed to refuse)"), required=False),
    ),
)  # fmt: skip
#: what is asked for, as in an address -> the step that asks, where its decision goes, and its form
REQUESTS: Mapping[str, tuple[str, str, Form]] = {
    "gia-han": ("extension_requested", "/v1/extensions/{id}/decision", EXTENSION_DECISION),
    "giai-trinh": ("explanation_given", "/v1/explanations/{id}/decision", EXPLANATION_DECISION),
    "khieu-nai": ("appeal_made", "/v1/appeals/{id}/decision", APPEAL_DECISION),
}
#: of a version of a report
OF_VERSION: Mapping[str, tuple[str, Form]] = {
    form.step: (f"/v1/submissions/{{id}}/{last}", form)
    for form, last in (
        (CERTIFICATION, "certification"),
        (REVIEW, "review"),
        (EXPLANATION, "explanation"),
        (VERDICT_APPEAL, "appeals"),
        (WITHDRAWAL, "withdrawal"),
    )
}
#: of an obligation, whatever was sent for it
OF_OBLIGATION: Mapping[str, tuple[str, Form]] = {
    form.step: (f"/v1/obligations/{{regime}}/{{period}}/{last}?agency={{agency}}", form)
    for form, last in ((EXTENSION, "extensions"), (SCORE_APPEAL, "appeals"), (UNLOCK, "unlock"))
}
#: of its lateness: explained by the agency, `about` is the explanation that is looked at
OF_LATENESS: Mapping[str, tuple[str, Form]] = {
    LATENESS.step: ("/v1/obligations/{regime}/{period}/lateness?agency={agency}", LATENESS),
    LATENESS_DECISION.step: ("/v1/lateness/{id}/decision", LATENESS_DECISION),
}
#: what waits -> what leads to it: of a report its version's page, of what is asked for its own
_PAGES: Mapping[str, str] = {
    "certification": "phien-ban", "review": "phien-ban", "extension": "de-nghi/gia-han",
    "explanation": "de-nghi/giai-trinh", "appeal": "de-nghi/khieu-nai",
}  # fmt: skip
#: the step that asks -> the same
_ASKED: Mapping[str, str] = {asks: name for name, (asks, _, _) in REQUESTS.items()}


def page_of(kind: str, obligation: str, about: str) -> str:
    """Where what waits is looked at and done; where the board does not know its kind, the evidence."""
    if kind == "lateness":
        return page_of_lateness(obligation)
    where = _PAGES.get(kind)
    return f"/nghia-vu/{obligation}/{where}/{quote(about, safe='')}" if where else f"/nghia-vu/{obligation}"


def page_of_lateness(obligation: str) -> str:
    """Where it is explained why a report is late."""
    return f"/giai-trinh/{obligation}"


def page_of_request(kind: str, obligation: str, step_id: str) -> str:
    """Where a step that asks for something is shown with its decision; empty for any other step."""
    if kind.startswith("lateness_"):
        return page_of_lateness(obligation)
    return f"/nghia-vu/{obligation}/de-nghi/{_ASKED[kind]}/{step_id}" if kind in _ASKED else ""


def mine(possible: Sequence[Mapping[str, Any]], roles: Collection[str]) -> dict[str, list[str]]:
    """Of what intake says is possible, the steps that somebody in these roles may take, each with what it can give."""
    return {
        str(one.get("step")): [str(effect) for effect in one.get("effects") or ()]
        for one in possible
        if not set(one.get("who") or ()).isdisjoint(roles)
    }


def of_version(mine: Collection[str], state: str) -> list[Form]:
    """The forms about a version of the report in this state, for somebody who may take these steps."""
    found = [CERTIFICATION] if "certified" in mine else []
    decisions = tuple(option for option, step in (("approve", "approved"), ("rework", "rework")) if step in mine)
    if decisions:
        found.append(with_options(REVIEW, decisions))
    if "explanation_given" in mine:
        found.append(EXPLANATION)
    if "appeal_made" in mine and state in ("returned", "rework"):
        found.append(VERDICT_APPEAL)
    return [*found, WITHDRAWAL] if "withdrawn" in mine else found


def of_request(form: Form, mine: Mapping[str, Collection[str]], until: datetime | None) -> list[Form]:
    """The form that decides a request, for somebody who may decide it so: each step with what it can give."""
    if not mine:
        return []
    if form is EXTENSION_DECISION:  # as it was asked for
        return [with_value(form, "until", as_typed(until))]
    if form is APPEAL_DECISION:
        return [with_options(form, (*mine.get("appeal_upheld", ()), "dismiss"))]
    return [form]


def with_options(form: Form, values: Collection[str]) -> Form:
    """The form with these choices alone."""
    return _each(form, lambda field: replace(field, options=tuple(one for one in field.options if one[0] in values)))


def with_value(form: Form, name: str, value: str) -> Form:
    """The form with a field that is filled in."""
    return _each(form, lambda field: replace(field, value=value) if field.name == name else field)


def filled(form: Form, given: Mapping[str, str]) -> Form:
    """The form with what an address gives of its lines."""
    known = {field.name: given.get(field.name, "")[:64] for field in form.fields if field.kind == "line"}
    return _each(form, lambda field: replace(field, value=known.get(field.name, field.value)))


def _each(form: Form, change: Callable[[Field], Field]) -> Form:
    return replace(form, fields=tuple(map(change, form.fields)))


def body_of(form: Form, given: Mapping[str, str]) -> dict[str, Any]:
    """What is sent: the form's own fields that were filled in, as typed; moments with Vietnam's offset."""
    body = {field.name: given.get(field.name, "").strip() for field in form.fields}
    sent: dict[str, Any] = {}
    for field in form.fields:
        text = body[field.name]
        if text or field.name in ("reason", "remedy"):
            sent[field.name] = _moment(text) if field.kind == "moment" else text
    if form is APPEAL_DECISION and sent.get("decision") in ("relief", "accepted"):
        sent |= {"decision": "uphold", "effect": sent["decision"]}
    return sent


def _moment(text: str) -> str:
    """The moment as intake reads it; what is none goes as it was typed, and intake says so."""
    if not _MOMENT.fullmatch(text):
        return text
    try:
        return datetime.fromisoformat(text).replace(tzinfo=LOCAL_ZONE).isoformat()
    except ValueError:
        return text


def as_typed(moment: datetime | None) -> str:
    """A moment as its field holds it: Vietnam's time, to the minute; empty for none."""
    return f"{moment.astimezone(LOCAL_ZONE):%Y-%m-%dT%H:%M}" if moment else ""


def new_once() -> str:
    """What makes the sendings of one form one."""
    return secrets.token_hex(16)


def once_of(given: Mapping[str, str]) -> str:
    """The form's own, or a new one where it came without."""
    once = given.get(ONCE, "")
    return once if _ONCE.fullmatch(once) else new_once()


def idempotency_key(once: str, path: str, body: Mapping[str, Any]) -> str:
    """Of one form, sent twice, the same. Another text under it is another step, which intake judges by itself."""
    return hashlib.sha256(json.dumps([once, path, body], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Said:
    """What a page says of a step that was just taken."""

    step: str  # its kind
    about: str  # the obligation's key, or a waiver's id
    again: bool  # it had been taken before


def sealed(said: Said, secret: str) -> str:
    """For an address: nobody else can make a page say so."""
    text = f"{said.step}~{'again' if said.again else 'new'}~{said.about}"
    return f"{text}~{_seal(text, secret)}"


def unsealed(text: str, secret: str) -> Said | None:
    """What this session was told; None for anything else."""
    found = _SAID.fullmatch(text)
    if found is None or not hmac.compare_digest(found["seal"], _seal(text.rpartition("~")[0], secret)):
        return None
    return Said(found["step"], found["about"], found["how"] == "again")


def _seal(text: str, secret: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]

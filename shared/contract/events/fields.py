"""What a value of the registry may hold: one text, one code, one address, bounded numbers and moments.

The limits count at the gate, where a record is admitted (`context=AT_THE_GATE`), so a consumer may rely on them for
what was admitted; without that context nothing is limited, and what topics and archives hold from before stays
readable. The limits are therefore no part of the JSON Schemas.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from shared.contract.events.base import ExactDecimal
from shared.contract.text import nfc, stream_safe
from shared.runtime.hidden_characters import HIDDEN, LINE_BREAKS, shown

#: the context of pydantic under which the limits count
AT_THE_GATE: Final[Mapping[str, bool]] = {"at_the_gate": True}
#: the error type of a broken limit; its context holds the words
BROKEN: Final = "registry_field"

MAX_CODE_CHARACTERS = 64
MAX_NAME_CHARACTERS = 300
MAX_LABEL_CHARACTERS = 500
MAX_NOTE_CHARACTERS = 1_000
MAX_REASON_CHARACTERS = 2_000
#: digits of an exact number, in all and after the point; a figure's value has no more either
MAX_DIGITS, MAX_FRACTION_DIGITS = 38, 12
#: what calendars, periods and timestamptz hold in every zone
FIRST_YEAR, LAST_YEAR = 1900, 2999

#: RFC 5321 4.5.3.1: a path, a local part, and (RFC 1035) a label of a domain
MAX_ADDRESS_CHARACTERS, _MAX_LOCAL_CHARACTERS = 254, 64
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@{_LABEL}(?:\.{_LABEL})+")

#: Codes become parts of keys joined by `/`, of JSON Pointers and of file names: no slash, no space, no tilde.
_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
is_code = _CODE.fullmatch
_AMOUNT = re.compile(rf"-?[0-9]{{1,{MAX_DIGITS}}}(?:\.[0-9]{{1,{MAX_FRACTION_DIGITS}}})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


class Words(NamedTuple):
    """What is wrong and how to mend it, Vietnamese first."""

    message: str
    message_en: str
    fix: str
    fix_en: str

    def error(self) -> PydanticCustomError:
        return PydanticCustomError(BROKEN, "{message_en}", self._asdict())


def usable_address(address: str) -> bool:
    """Whether a mail can be addressed to it: one mailbox of RFC 5321 with a full domain name, ASCII.

    Quoted local parts and address literals are left out: nobody has one. Other alphabets too: mail goes out without
    SMTPUTF8; a domain in another alphabet has an ASCII form (`xn--…`, RFC 5890).
    """
    if len(address) > MAX_ADDRESS_CHARACTERS:
        return False
    found = _ADDRESS.fullmatch(address)
    return found is not None and len(found["local"]) <= _MAX_LOCAL_CHARACTERS


def flaw_of_text(text: str, most: int, *, least: int = 0, lines: bool = False) -> Words | None:
    """What is wrong with a text of a record; `lines`: it may hold line breaks (`\\n`)."""
    if len(text) > most:
        return Words(
            f"Quá dài: {len(text)} ký tự, nhiều nhất {most}.",
            f"Too long: {len(text)} characters, at most {most}.",
            "Rút gọn.",
            "Shorten it.",
        )
    if len(text) < least:
        return Words("Không được để trống.", "It must not be empty.", "Ghi nội dung.", "Write it.")
    if not lines and LINE_BREAKS.search(text):
        return Words(
            "Có xuống dòng; chỗ này chỉ được một dòng.",
            "It holds a line break; one line is allowed here.",
            "Viết trên một dòng. Trong YAML, “>” và “|” giữ dấu xuống dòng cuối: bỏ chúng hoặc dùng “>-”.",
            "Write it on one line. In YAML, “>” and “|” keep a last line break: leave them out, or use “>-”.",
        )
    hidden = HIDDEN.search(text.replace("\n", "") if lines else text)
    if hidden is not None:
        point = f"U+{ord(hidden[0]):04X}"
        return Words(
            f"Có ký tự điều khiển hoặc ký tự ẩn ({point}).",
            f"It holds a control character or a hidden one ({point}).",
            "Xóa ký tự đó; gõ lại nội dung nếu chép từ nơi khác.",
            "Delete it; type the text again if it was copied from elsewhere.",
        )
    unassigned = None if text.isascii() else next((one for one in text if unicodedata.category(one) == "Cn"), None)
    if unassigned is not None:
        point = f"U+{ord(unassigned):04X}"
        return Words(
            f"Có mã ký tự chưa được Unicode {unicodedata.unidata_version} gán ({point}).",
            f"It holds a code point that Unicode {unicodedata.unidata_version} does not assign ({point}).",
            "Xóa ký tự đó; gõ lại nội dung nếu chép từ nơi khác.",
            "Delete it; type the text again if it was copied from elsewhere.",
        )
    if text and unicodedata.category(text[0]).startswith("M"):
        return Words(
            "Bắt đầu bằng một dấu không có chữ.",
            "It begins with a mark that has no letter.",
            "Gõ lại chữ đầu.",
            "Type the first letter again.",
        )
    if text != text.strip():
        return Words(
            "Có khoảng trắng ở đầu hoặc cuối.",
            "It begins or ends with a space.",
            "Bỏ khoảng trắng thừa.",
            "Remove the surplus space.",
        )
    return None


def _gated(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("at_the_gate"))


def _text(most: int, *, least: int = 0, lines: bool = False) -> AfterValidator:
    def check(value: str, info: ValidationInfo) -> str:
        if not _gated(info):
            return value
        flaw = flaw_of_text(value, most, least=least, lines=lines)
        if flaw is not None:
            raise flaw.error()
        # the length is bounded, so a long run of marks costs little; the joiners it would get are not what was meant
        normal = nfc(value)
        if len(stream_safe(value)) != len(value) or len(normal) > most:
            raise Words(
                "Quá nhiều dấu chồng lên một chữ.",
                "Too many marks on one letter.",
                "Bỏ bớt dấu; gõ lại nội dung.",
                "Remove marks; type the text again.",
            ).error()
        return normal

    return AfterValidator(check)


def _check_code(value: str, info: ValidationInfo) -> str:
    if _gated(info) and not is_code(value):
        raise Words(
            f"Mã “{shown(value)}” không hợp lệ.",
            f"The code “{shown(value)}” is not valid.",
            f"Dùng 1–{MAX_CODE_CHARACTERS} ký tự: chữ không dấu, số, dấu chấm, gạch ngang, gạch dưới; đầu là chữ, số.",
            f"Use 1–{MAX_CODE_CHARACTERS} of ASCII letters, digits, dot, hyphen, underscore; first a letter or digit.",
        ).error()
    return value


def _check_address(value: str, info: ValidationInfo) -> str:
    if _gated(info) and not usable_address(value):
        raise Words(
            f"“{shown(value)}” không phải địa chỉ thư dùng được.",
            f"“{shown(value)}” is not a mail address that can be used.",
            "Ghi một địa chỉ như canbo@example.vn: chữ không dấu; tên miền có dấu thì ghi dạng xn--….",
            "Write one address like officer@example.vn in ASCII; a domain in another alphabet in its xn-- form.",
        ).error()
    return value


def _check_optional_address(value: str, info: ValidationInfo) -> str:
    return _check_address(value, info) if value else value


def between(least: int, most: int) -> AfterValidator:
    """A whole number within bounds, both inclusive, at the gate."""

    def check(value: int, info: ValidationInfo) -> int:
        if _gated(info) and not least <= value <= most:
            raise Words(
                f"Phải từ {least} đến {most}.",
                f"It must be {least} to {most}.",
                "Sửa giá trị.",
                "Correct the value.",
            ).error()
        return value

    return AfterValidator(check)


def at_most(most: int) -> AfterValidator:
    """A list no longer than this at the gate."""

    def check(value: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
        if _gated(info) and len(value) > most:
            raise Words(
                f"Nhiều nhất {most} phần tử; ở đây có {len(value)}.",
                f"At most {most} items; here are {len(value)}.",
                "Bớt phần tử.",
                "Remove items.",
            ).error()
        return value

    return AfterValidator(check)


def _each_once(value: tuple[Any, ...], info: ValidationInfo) -> tuple[Any, ...]:
    if _gated(info) and len(set(value)) < len(value):
        twice = shown(str(Counter(value).most_common(1)[0][0]), 60)
        raise Words(
            f"“{twice}” có nhiều lần.",
            f"“{twice}” stands there more than once.",
            "Ghi mỗi phần tử một lần.",
            "Write each item once.",
        ).error()
    return value


#: a list that names nothing twice at the gate
EACH_ONCE = AfterValidator(_each_once)


def _amount(value: object, info: ValidationInfo) -> object:
    if not _gated(info):
        return value
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text) or sum(map(str.isdigit, text)) > MAX_DIGITS:
        raise Words(
            "Phải là số thập phân chính xác.",
            "This must be an exact decimal.",
            f'Ghi như "12.50": nhiều nhất {MAX_DIGITS} chữ số, {MAX_FRACTION_DIGITS} sau dấu chấm, không số mũ.',
            f'Write it like "12.50": at most {MAX_DIGITS} digits, {MAX_FRACTION_DIGITS} after the point, no exponent.',
        ).error()
    return Decimal(text)


def _day(value: object, info: ValidationInfo) -> object:
    if not _gated(info):
        return value
    try:
        if not isinstance(value, str) or not _DAY.fullmatch(value):
            raise ValueError
        day = date.fromisoformat(value)
    except ValueError:
        raise Words(
            "Phải là ngày ISO 8601.",
            "This must be an ISO 8601 date.",
            "Ghi như 2026-03-31.",
            "Write it like 2026-03-31.",
        ).error() from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise _outside_years().error()
    return day


def _moment(value: object, info: ValidationInfo) -> object:
    if not _gated(info):
        return value
    try:
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            raise ValueError
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Words(
            "Phải là thời điểm ISO 8601 có múi giờ.",
            "This must be an ISO 8601 moment with its offset.",
            "Ghi như 2026-03-31T17:00:00+07:00.",
            "Write it like 2026-03-31T17:00:00+07:00.",
        ).error() from None
    # a year inside the years, so that every zone and timestamptz hold it
    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise _outside_years().error()
    return moment


def _outside_years() -> Words:
    return Words(
        f"Năm phải từ {FIRST_YEAR} đến {LAST_YEAR}.",
        f"The year must be {FIRST_YEAR} to {LAST_YEAR}.",
        "Sửa năm.",
        "Correct the year.",
    )


Name = Annotated[str, _text(MAX_NAME_CHARACTERS, least=1)]  # one line, never empty
OptionalName = Annotated[str, _text(MAX_NAME_CHARACTERS)]
Label = Annotated[str, _text(MAX_LABEL_CHARACTERS, least=1)]
OptionalLabel = Annotated[str, _text(MAX_LABEL_CHARACTERS)]
Unit = Annotated[str, _text(MAX_CODE_CHARACTERS)]
Note = Annotated[str, _text(MAX_NOTE_CHARACTERS)]  # one line, such as a legal basis
Reason = Annotated[str, _text(MAX_REASON_CHARACTERS, lines=True)]  # may have several lines
Code = Annotated[str, AfterValidator(_check_code)]
#: of somebody who has left it is blanked, and only then it may be empty (services/intake/registry/checks.py)
Address = Annotated[str, AfterValidator(_check_optional_address)]
Day = Annotated[date, BeforeValidator(_day)]
BoundedMoment = Annotated[AwareDatetime, BeforeValidator(_moment)]
#: an exact decimal of bounded length
Amount = Annotated[ExactDecimal, BeforeValidator(_amount)]

"""Every error of a body with its place and its fix, in Vietnamese and English; at most MAX_ERRORS are reported.

Names and values are cut short in messages: an answer's size does not depend on what was sent.
"""

from __future__ import annotations

from shared.reports.limits import MAX_CODE_CHARACTERS, MAX_ERRORS, is_code
from shared.web.errors import FieldError

_SHOWN_CHARACTERS = 80


def pointer_token(name: str) -> str:
    """A name as a token of a JSON Pointer (RFC 6901, section 3), short and printable whatever was sent."""
    shown = name[:_SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
    return shown.replace("~", "~0").replace("/", "~1")


class Errors:
    """Collects the errors of one body."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []
        #: there may be more than were found: looking ended at the limit
        self.truncated = False

    @property
    def full(self) -> bool:
        """Whether as many are found as are reported."""
        return len(self.found) >= MAX_ERRORS

    def add(self, pointer: str, message: str, message_en: str, fix: str, fix_en: str) -> None:
        if self.full:
            self.truncated = True
        else:
            self.found.append(FieldError(pointer, message, message_en, fix, fix_en))

    def no_object(self) -> None:
        self.add(
            "",
            "Nội dung phải là một đối tượng JSON.",
            "The body must be a JSON object.",
            'Gửi {"regime": …, "period": …, "officer": …, "figures": {…}, "narratives": {…}}.',
            'Send {"regime": …, "period": …, "officer": …, "figures": {…}, "narratives": {…}}.',
        )

    def not_json(self, place: str, why: str, why_en: str) -> None:
        self.add(
            "",
            f"Nội dung không phải JSON hợp lệ ({why}{place and '; '}{place}).",
            f"The body is not valid JSON ({why_en}{place and '; '}{place}).",
            "Gửi JSON mã hóa UTF-8 theo RFC 8259.",
            "Send JSON in UTF-8 as of RFC 8259.",
        )

    def duplicate(self, parent: str, name: str) -> None:
        self.add(
            f"{parent}/{pointer_token(name)}",
            f"Khóa “{pointer_token(name)}” xuất hiện hai lần trong một đối tượng.",
            f"The key “{pointer_token(name)}” is given twice in one object.",
            "Chỉ giữ lại một giá trị.",
            "Keep one of the values.",
        )

    def unknown_field(self, name: str, known: str) -> None:
        self.add(
            f"/{pointer_token(name)}",
            "Trường này không có trong biểu gửi.",
            "This field is not known.",
            f"Bỏ trường này; các trường được nhận: {known}.",
            f"Leave it out; the fields are: {known}.",
        )

    def missing(self, name: str) -> None:
        self.add(
            f"/{name}",
            f"Thiếu trường `{name}`.",
            f"The field `{name}` is missing.",
            f"Bổ sung `{name}`.",
            f"Add `{name}`.",
        )

    def bad_code(self, pointer: str, value: str) -> None:
        self.add(
            pointer,
            f"Mã “{pointer_token(value)}” không hợp lệ.",
            f"The code “{pointer_token(value)}” is not valid.",
            f"Dùng 1–{MAX_CODE_CHARACTERS} ký tự: chữ không dấu, số, dấu chấm, gạch ngang, gạch dưới.",
            f"Use 1–{MAX_CODE_CHARACTERS} of ASCII letters, digits, dot, hyphen, underscore.",
        )

    def code_of(self, parent: str, code: str) -> str:
        """The pointer of `code` under `parent`; a bad code is reported."""
        pointer = f"{parent}/{pointer_token(code)}"
        if not is_code(code):
            self.bad_code(pointer, code)
        return pointer

    def too_many(self, pointer: str, limit: int) -> None:
        self.add(
            pointer,
            f"Có hơn {limit} mục; các mục chưa được xem từng cái.",
            f"There are more than {limit} entries; they have not been looked at one by one.",
            f"Gửi không quá {limit} mục.",
            f"Send at most {limit} entries.",
        )

    def unreadable_name(self, pointer: str) -> None:
        self.add(
            pointer,
            "Có tên khóa không đọc được.",
            "There is a key that cannot be read.",
            "Gửi tên khóa là chuỗi JSON mã hóa UTF-8.",
            "Send each key as a JSON string in UTF-8.",
        )

    def fits(self, pointer: str, text: str, limit_characters: int) -> bool:
        """Whether the text can be stored; if not, an error says why."""
        if len(text) > limit_characters:
            self.add(
                pointer,
                f"Nội dung dài {len(text)} ký tự, quá giới hạn {limit_characters}.",
                f"The text has {len(text)} characters, over the limit of {limit_characters}.",
                f"Rút gọn còn không quá {limit_characters} ký tự.",
                f"Shorten it to {limit_characters} characters.",
            )
            return False
        if "\x00" in text or not _storable(text):
            self.add(
                pointer,
                "Nội dung có ký tự không lưu được (NUL hoặc mã Unicode khuyết).",
                "The text has a character that cannot be stored (NUL or half of a surrogate pair).",
                "Bỏ ký tự này.",
                "Remove that character.",
            )
            return False
        return True

    def classified(self, pointer: str) -> None:
        """Nothing of the text is repeated."""
        self.add(
            pointer,
            "Hệ thống không nhận báo cáo mang độ mật (NĐ 09/2019/NĐ-CP không áp dụng cho báo cáo mật).",
            "Classified reports are not taken here (Decree 09/2019/NĐ-CP does not cover them).",
            "Gửi báo cáo mật theo quy định về bảo vệ bí mật nhà nước, không qua hệ thống này.",
            "Send classified reports by the channel the law on state secrets names, not by this system.",
        )


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Reads the subset of YAML that has only one meaning into JSON values, each with its line and column; pure.

The parser speaks YAML 1.1; this module refuses its surprises: octal, sexagesimal and other odd numbers, anchors,
aliases, merge keys, tags, a second document, a repeated key. `yes` and dates stay text. A whole number becomes an int,
one with a point stays text with its digits, any other unquoted value is text. PyYAML's events carry exact marks, so
this module decides what a plain scalar means and needs no second YAML library. Every file that a person writes is read
here, and nothing else in services/, shared/ and deploy/ reads YAML (an architecture test looks).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from shared.runtime.file_errors import FileError, Mark, encloses, nearest_mark
from shared.runtime.hidden_characters import shown

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 12
MAX_NUMBER_CHARACTERS = 64
#: limit on errors reported for one file
MAX_ERRORS = 100

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")
#: how libyaml begins its refusal of an escape such as `"\ud800"`; PyYAML's own parser lets it pass
_BAD_ESCAPE = "found invalid Unicode character escape"
#: other texts that YAML 1.1, YAML 1.2 or a hasty reader take for a number
_ODD_NUMBER = re.compile(
    r"""[-+]?(?:
        [0-9][0-9_]*                                    # 025, +5, 1_000
      | 0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | 0[bB][01_]+
      | [0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?     # 1:30
      | (?:[0-9][0-9_]*)?\.[0-9_]*(?:[eE][-+]?[0-9]+)?  # .5, 5., 01.5
      | [0-9][0-9_]*[eE][-+]?[0-9]+
      | \.(?:inf|Inf|INF|nan|NaN|NAN)
    )""",
    re.VERBOSE,
)
#: C0 except tab and line feed (and a carriage return before one), DEL, C1, other line breaks, marks that change the
#: direction of text, a BOM, noncharacters
_NOT_IN_A_FILE = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ufeff\ufffe\uffff]"
)


#: values: null, true, false and whole numbers become what they are; texts: every scalar stays what is written
Scalars = Literal["values", "texts"]


@dataclass(slots=True)
class Document:
    """The content of a file. `value` is None if it cannot be read; `marks` by JSON Pointer.

    `whole`: the file was read to its end, so what `value` lacks is really missing.
    """

    value: Any = None
    whole: bool = True
    marks: dict[str, Mark] = field(default_factory=dict)
    errors: list[FileError] = field(default_factory=list)

    def line(self, pointer: str) -> int:
        """The line (from 1) of the value at this JSON Pointer, or of the nearest part of the file that holds it."""
        return nearest_mark(self.marks, pointer)[0] or 1

    def broken(self, pointer: str) -> bool:
        """Whether an error stands at this place or within it: what else is said of it would be a guess."""
        return any(encloses(pointer, error.place) for error in self.errors)


class FileRefused(ValueError):
    """A file holds errors; the message says each of them."""


class _Full(Exception):
    """Stops reading: too many errors, or the rest cannot be parsed."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end is not read yet."""

    value: Any  # dict or list
    pointer: str
    key: str | None = None  # of a mapping, while its value is outstanding
    awaits_key: bool = True
    key_mark: Mark = (0, 0)
    keys: dict[str, int] = field(default_factory=dict)


def read(
    content: bytes,
    file: str,
    *,
    scalars: Scalars = "values",
    max_bytes: int = MAX_FILE_BYTES,
    max_depth: int = MAX_DEPTH,
) -> Document:
    """The document in these bytes, with all its errors. `file`: its name in them."""
    reader = _Reader(file, scalars, max_depth)
    try:
        reader.events(_text(content, reader, max_bytes))
    except _Full:
        reader.document.whole = False
    except yaml.YAMLError as error:
        reader.document.whole = False
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        what = shown(str(getattr(error, "problem", None) or getattr(error, "reason", None) or "?"), 200)
        reader.document.value = None
        # at the end of the file, the parser's mark may lie a line or two after it
        last_line = max(1, len(content.splitlines()))
        at = (min(mark.line + 1, last_line), mark.column + 1) if mark else (1, 1)
        if what.startswith(_BAD_ESCAPE):
            reader.half_a_character(at, last=True)
            return reader.document
        reader.report(
            at,
            "",
            f"YAML sai cú pháp: {what}.",
            f"The YAML is malformed: {what}.",
            "Sửa cú pháp tại dòng này (hoặc ngay trên nó).",
            "Correct the syntax at this line (or just above it).",
            last=True,
        )
    return reader.document


def value_of(content: bytes, file: str) -> Any:
    """The value in these bytes. Raises FileRefused with every error."""
    document = read(content, file)
    if document.errors:
        raise FileRefused("\n".join(map(str, document.errors)))
    return document.value


def _text(content: bytes, reader: _Reader, max_bytes: int) -> str:
    if len(content) > max_bytes:
        reader.report(
            (1, 1),
            "",
            f"Tệp quá lớn: {len(content)} byte, nhiều nhất {max_bytes}.",
            f"The file is too large: {len(content)} bytes, at most {max_bytes}.",
            "Kiểm tra xem có đúng tệp không; nếu đúng, chia thành nhiều tệp.",
            "Check that it is the right file; if so, split it into several.",
        )
        raise _Full
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        reader.report(
            (before.count(b"\n") + 1, len(before) - before.rfind(b"\n")),
            "",
            f"Tệp không phải UTF-8 (byte thứ {error.start + 1}).",
            f"The file is not UTF-8 (byte {error.start + 1}).",
            "Lưu lại bằng UTF-8, không BOM.",
            "Save it as UTF-8 without BOM.",
        )
        raise _Full from None
    found = False
    for wrong in _NOT_IN_A_FILE.finditer(text):
        found = True
        point = f"U+{ord(wrong[0][0]):04X}"
        reader.report(
            (text.count("\n", 0, wrong.start()) + 1, wrong.start() - text.rfind("\n", 0, wrong.start())),
            "",
            f"Tệp có ký tự điều khiển, ký tự ẩn hoặc BOM ({point}).",
            f"The file holds a control character, a hidden one or a BOM ({point}).",
            "Xóa ký tự đó; lưu bằng UTF-8 không BOM, xuống dòng bằng LF hoặc CRLF.",
            "Delete it; save as UTF-8 without BOM, with LF or CRLF line ends.",
        )
    if found:
        raise _Full
    return text


class _Reader:
    """Builds the value from the parser's events; iterative, so that depth costs no stack."""

    def __init__(self, file: str, scalars: Scalars, max_depth: int) -> None:
        self._file = file
        self._texts = scalars == "texts"
        self._max_depth = max_depth
        self.document = Document()
        self._stack: list[_Open] = []
        self._documents = 0

    def report(
        self, mark: Mark, place: str, message: str, message_en: str, fix: str, fix_en: str, *, last: bool = False
    ) -> None:
        line, column = mark
        self.document.errors.append(FileError(self._file, line, place, message, message_en, fix, fix_en, column))
        if len(self.document.errors) >= MAX_ERRORS and not last:
            raise _Full

    def events(self, text: str) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        for event in yaml.parse(text, Loader=loader):
            begins: Any = event.start_mark
            mark = (begins.line + 1, begins.column + 1)
            match event:
                case yaml.DocumentStartEvent():
                    self._begin(event, mark)
                case yaml.AliasEvent():
                    self._no_anchor(mark)
                    self._put(None, mark)
                case yaml.ScalarEvent():
                    self._tagged(event, mark)
                    self._scalar(event, mark)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._tagged(event, mark)
                    self._open(isinstance(event, yaml.MappingStartEvent), mark)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._stack.pop()
                case _:
                    pass

    def _begin(self, event: yaml.DocumentStartEvent, mark: Mark) -> None:
        self._documents += 1
        if self._documents > 1:
            self.report(
                mark,
                "",
                "Tệp có nhiều tài liệu YAML (“---”).",
                "The file has several YAML documents (“---”).",
                "Chia thành nhiều tệp, hoặc dùng một danh sách.",
                "Split it into files, or use one list.",
            )
            raise _Full
        if event.version or event.tags:
            self.report(
                mark,
                "",
                "Không dùng chỉ thị (%YAML, %TAG).",
                "Directives (%YAML, %TAG) are not used here.",
                "Bỏ dòng đó.",
                "Remove the line.",
            )

    def _tagged(self, event: Any, mark: Mark) -> None:
        if event.anchor is not None:
            self._no_anchor(mark)
        if event.tag is not None:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self.report(
                mark,
                self._pointer(),
                f"Không dùng thẻ kiểu ({tag}).",
                f"Tags are not used here ({tag}).",
                "Bỏ thẻ; đặt giá trị trong dấu nháy kép nếu là chữ.",
                "Remove the tag; put the value in double quotes if it is a text.",
            )

    def _no_anchor(self, mark: Mark) -> None:
        self.report(
            mark,
            self._pointer(),
            "Không dùng neo và tham chiếu (“&”, “*”).",
            "Anchors and aliases (“&”, “*”) are not used here.",
            "Viết đầy đủ giá trị; đặt trong dấu nháy kép nếu là chữ.",
            "Write the value out; put it in double quotes if it is a text.",
        )

    def _pointer(self) -> str:
        """The place of the next value."""
        if not self._stack:
            return ""
        top = self._stack[-1]
        if isinstance(top.value, list):
            return f"{top.pointer}/{len(top.value)}"
        if top.key is None:
            return top.pointer
        return f"{top.pointer}/{top.key.replace('~', '~0').replace('/', '~1')}"

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].awaits_key

    def half_a_character(self, mark: Mark, *, last: bool = False) -> None:
        self.report(
            mark,
            self._pointer(),
            "Có nửa ký tự (surrogate), hoặc mã ký tự không tồn tại.",
            "It holds half a character (a lone surrogate), or the code of none.",
            "Gõ lại nội dung.",
            "Type the text again.",
            last=last,
        )

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> None:
        text = str(event.value)
        if not text.isascii() and _HALF_A_CHARACTER.search(text):
            self.half_a_character(mark)
        if self._awaits_key():
            self._key(text, mark)
        elif event.style or self._texts:  # no style: plain; PyYAML's two parsers mark it differently
            self._put(text, mark)
        else:
            self._put(self._plain(text, mark), mark)

    def _key(self, name: str, mark: Mark) -> None:
        top = self._stack[-1]
        first = top.keys.setdefault(name, mark[0])
        top.key, top.key_mark, top.awaits_key = name, mark, False
        if first != mark[0] or name in top.value:
            self.report(
                mark,
                self._pointer(),
                f"“{shown(name)}” được ghi hai lần (lần đầu ở dòng {first}).",
                f"“{shown(name)}” is given twice (first at line {first}).",
                "Chỉ giữ lại một.",
                "Keep one of them.",
            )

    def _plain(self, text: str, mark: Mark) -> Any:
        """The value of an unquoted scalar."""
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if len(text) <= MAX_NUMBER_CHARACTERS:
            if _INTEGER.fullmatch(text):
                return int(text)
            if _DECIMAL.fullmatch(text):
                return text
        if text[0] in "+-.0123456789" and _ODD_NUMBER.fullmatch(text):
            self.report(
                mark,
                self._pointer(),
                f"“{shown(text)}” có thể hiểu thành nhiều số khác nhau.",
                f"“{shown(text)}” can be read as different numbers.",
                "Ghi số thường như 25 hoặc 0.5; nếu là chữ (mã, giờ), đặt trong dấu nháy kép.",
                "Write a plain number such as 25 or 0.5; put a text (a code, an hour) in double quotes.",
            )
        return text

    def _open(self, mapping: bool, mark: Mark) -> None:
        if self._awaits_key():
            self.report(
                mark,
                self._pointer(),
                "Tên trường phải là chữ.",
                "A field's name must be a text.",
                "Ghi tên trường trên một dòng, không bắt đầu bằng “[”, “{” hoặc “?”.",
                "Write the name on one line, without “[”, “{” or “?” before it.",
            )
            raise _Full
        if len(self._stack) >= self._max_depth:
            self.report(
                mark,
                self._pointer(),
                f"Lồng nhau quá {self._max_depth} tầng.",
                f"Nested more than {self._max_depth} levels deep.",
                "Bỏ bớt dấu ngoặc hoặc thụt đầu dòng.",
                "Remove brackets or indentation.",
            )
            raise _Full
        pointer = self._pointer()
        value: Any = {} if mapping else []
        # report an error of a block at the line of its name: often something in it is missing
        self._put(value, self._stack[-1].key_mark if self._stack and self._stack[-1].key is not None else mark)
        self._stack.append(_Open(value, pointer))

    def _put(self, value: Any, mark: Mark) -> None:
        if self._awaits_key():  # an alias as a key; already reported
            self._stack[-1].key, self._stack[-1].awaits_key = "*", False
            return
        self.document.marks[self._pointer()] = mark
        if not self._stack:
            self.document.value = value
            return
        top = self._stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        else:
            top.value.setdefault(top.key, value)
            top.key, top.awaits_key = None, True

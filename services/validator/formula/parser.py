"""Text of a formula → nodes. What is not in the language raises FormulaError with its place; nothing else is raised.

Bounded: text, nesting and therefore time. The grammar is LALR(1), so that parsing is linear.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from services.validator.formula import nodes
from services.validator.formula.errors import FormulaError, suggestion
from services.validator.formula.functions import FUNCTIONS
from services.validator.formula.nodes import Formula, Node, Span, Term
from services.validator.formula.values import Operator
from shared.contract.text import nfc

MAX_CHARACTERS = 4_000
MAX_DEPTH = 60
MAX_NUMBER_DIGITS = 34

GRAMMAR = r"""
?start: comparison
?comparison: concat
    | concat COMPARE concat -> compare
    | concat IN LPAR comparison (SEPARATOR comparison)* RPAR -> membership
?concat: sum | concat JOIN sum -> binary
?sum: product (SIGN product)*
?product: power | product SCALE power -> binary
?power: unary | power POWER unary -> binary
?unary: percent | SIGN unary -> signed
?percent: atom | percent PERCENT -> percentage
?atom: NUMBER -> number
    | TEXT -> text
    | BOOLEAN -> boolean
    | CODE -> reference
    | CODE COLON CODE -> range
    | NAME LPAR (comparison (SEPARATOR comparison)*)? RPAR -> call
    | LPAR comparison RPAR -> group

COMPARE: "<=" | ">=" | "<>" | "!=" | "≤" | "≥" | "≠" | "=" | "<" | ">"
JOIN: "&"
SIGN: "+" | "-" | "−"
SCALE: "*" | "/" | "×" | "÷"
POWER: "^"
PERCENT: "%"
COLON: ":"
LPAR: "("
RPAR: ")"
SEPARATOR: ";" | ","
NUMBER: /[0-9]+(\.[0-9]+)?/
TEXT: /"([^"]|"")*"|“[^“”]*”/
BOOLEAN.2: /(TRUE|FALSE|ĐÚNG|SAI)(?!\w)/i
IN.2: /IN(?!\w)/i
NAME: /[^\W\d]\w*/
CODE: /\[[^\[\]\n]+\]/
%ignore /[\s\u00a0]+/
"""

_COMPARISONS: dict[str, Operator] = {
    "=": "=", "<>": "<>", "!=": "<>", "≠": "<>", "<": "<", "<=": "<=", "≤": "<=", ">": ">", ">=": ">=", "≥": ">=",
}  # fmt: skip
_PLAIN = {"−": "-", "×": "*", "÷": "/"}


def parse(text: str) -> Formula:
    """The formula of the text; a leading `=`, as in a spreadsheet, does not count.

    Raises FormulaError at the first thing that is not in the language.
    """
    text = nfc(text)
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(
            f"Công thức dài {len(text)} ký tự; tối đa {MAX_CHARACTERS}.",
            f"The formula has {len(text)} characters; at most {MAX_CHARACTERS} are allowed.",
            MAX_CHARACTERS,
            len(text),
        )
    stripped = text.lstrip()
    if not stripped.rstrip(" \t\r\n="):
        raise FormulaError("Công thức trống.", "The formula is empty.", 0, len(text))
    body = text
    if stripped.startswith("="):
        start = len(text) - len(stripped)
        body = text[:start] + " " + text[start + 1 :]
    try:
        root = cast(Node, _parser().parse(body))
    except UnexpectedInput as unexpected:
        raise _explained(body, unexpected) from None
    if nodes.depth(root) > MAX_DEPTH:
        raise FormulaError(
            f"Công thức lồng nhau quá {MAX_DEPTH} bậc. Tách thành nhiều quy tắc.",
            f"The formula is nested more than {MAX_DEPTH} levels deep. Break it up into several rules.",
            *root.span,
        )
    return Formula(text, root)


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", transformer=_Builder(), maybe_placeholders=False)


def _span(first: Token | Node, last: Token | Node) -> Span:
    start = cast(int, first.start_pos) if isinstance(first, Token) else first.span.start
    end = cast(int, last.end_pos) if isinstance(last, Token) else last.span.end
    return Span(start, end)


def _code(token: Token) -> str:
    code = token[1:-1].strip()
    if not code:
        raise FormulaError("Trong [ ] không có mã.", "There is no code within [ ].", *_span(token, token))
    return code


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Builds nodes while lark parses: no second pass, no recursion."""

    def number(self, token: Token) -> Node:
        if len(token) > MAX_NUMBER_DIGITS:
            raise FormulaError(
                f"Số dài quá {MAX_NUMBER_DIGITS} chữ số.",
                f"The number has more than {MAX_NUMBER_DIGITS} digits.",
                *_span(token, token),
            )
        return nodes.Literal(Decimal(token), _span(token, token))

    def text(self, token: Token) -> Node:
        content = token[1:-1]
        return nodes.Literal(content.replace('""', '"') if token[0] == '"' else content, _span(token, token))

    def boolean(self, token: Token) -> Node:
        return nodes.Literal(token.upper() in ("TRUE", "ĐÚNG"), _span(token, token))

    def reference(self, token: Token) -> Node:
        code = _code(token)
        table, dot, column = code.partition(".")
        span = _span(token, token)
        return nodes.Column(table, column, span) if dot and table and column else nodes.Figure(code, span)

    def range(self, first: Token, _colon: Token, last: Token) -> Node:
        return nodes.Range(_code(first), _code(last), None, _span(first, last))

    def group(self, opening: Token, node: Node, closing: Token) -> Node:
        return replace(node, span=_span(opening, closing))

    def percentage(self, operand: Node, sign: Token) -> Node:
        return nodes.Unary("%", operand, _span(operand, sign))

    def signed(self, sign: Token, operand: Node) -> Node:
        return nodes.Unary(_PLAIN.get(sign, str(sign)), operand, _span(sign, operand))

    def binary(self, left: Node, operator: Token, right: Node) -> Node:
        return nodes.Binary(_PLAIN.get(operator, str(operator)), left, right, _span(left, right))

    def sum(self, first: Node, *others: Token | Node) -> Node:
        signs, terms = cast("tuple[Token, ...]", others[::2]), cast("tuple[Node, ...]", others[1::2])
        summed = (Term(False, first), *(Term(sign != "+", node) for sign, node in zip(signs, terms, strict=True)))
        return nodes.Sum(summed, _span(first, terms[-1]))

    def compare(self, left: Node, operator: Token, right: Node) -> Node:
        return nodes.Comparison(_COMPARISONS[operator], left, right, _span(left, right))

    def membership(self, value: Node, _in: Token, _opening: Token, *items: Token | Node) -> Node:
        allowed = tuple(item for item in items if not isinstance(item, Token))
        return nodes.Call("IN", (value, *allowed), _span(value, items[-1]))

    def call(self, token: Token, _opening: Token, *rest: Token | Node) -> Node:
        name = token.upper()
        span = _span(token, rest[-1])
        function = FUNCTIONS.get(name)
        if function is None:
            meant = suggestion(name, FUNCTIONS)
            raise FormulaError(
                f"Không có hàm {token}.{meant[0]}", f"There is no function {token}.{meant[1]}", *_span(token, token)
            )
        arguments = tuple(item for item in rest if not isinstance(item, Token))
        if not function.takes(len(arguments)):
            raise FormulaError(
                f"Hàm {name} không nhận {len(arguments)} đối số. Viết: {name}({function.usage}).",
                f"{name} does not take {len(arguments)} arguments. Write: {name}({function.usage}).",
                *span,
            )
        return nodes.Call(name, arguments, span)


_BEGINS_VALUE = frozenset({"NUMBER", "TEXT", "BOOLEAN", "CODE", "NAME", "IN"})


def _explained(text: str, unexpected: UnexpectedInput) -> FormulaError:
    """What lark did not expect, in words of a person who writes formulas."""
    if isinstance(unexpected, UnexpectedToken):
        token = unexpected.token
        if token.type == "$END":
            return _unfinished(text, unexpected.expected)
        start, end = cast(int, token.start_pos), cast(int, token.end_pos)
        return _misplaced(text, token.type, str(token), start, end, frozenset(unexpected.expected))
    assert isinstance(unexpected, UnexpectedCharacters)
    start = cast(int, unexpected.pos_in_stream)
    character = text[start]
    if character in '"“':
        return FormulaError("Văn bản chưa đóng ngoặc kép.", "The text's closing quote is missing.", start, len(text))
    if character == "[":
        return FormulaError(
            "Mã chưa đóng ngoặc vuông: viết như [CT01].", "The code's ] is missing: write it like [CT01].", start, start
        )
    return FormulaError(
        f"Không dùng được ký tự “{character}” ở đây.", f"“{character}” cannot be used here.", start, start + 1
    )


def _unfinished(text: str, expected: set[str]) -> FormulaError:
    end = len(text.rstrip())
    if expected == {"LPAR"}:
        return _no_function(text, end, end)
    if "RPAR" in expected:
        return FormulaError("Thiếu dấu ) đóng ngoặc.", "A closing ) is missing.", end, end)
    return FormulaError(
        "Công thức chưa hết: thiếu một giá trị ở cuối.", "The formula is unfinished: a value is missing.", end, end
    )


def _no_function(text: str, start: int, end: int) -> FormulaError:
    name = text[:start].split()[-1]
    return FormulaError(
        f"Sau tên hàm {name} phải có ngoặc ( ). Nếu là mã chỉ tiêu, viết [{name}]; nếu là văn bản, đặt trong "
        'ngoặc kép "…".',
        f'After a function\'s name ({name}) there must be ( ). A code is written [{name}], a text within "…".',
        start,
        end,
    )


def _misplaced(text: str, kind: str, sign: str, start: int, end: int, expected: frozenset[str]) -> FormulaError:
    wants_value = "NUMBER" in expected
    if kind == "COMPARE" and not wants_value:
        return FormulaError(
            "Không so sánh nối tiếp được. Viết AND(…; …), ví dụ AND(0 <= [CT01]; [CT01] <= 100).",
            "Comparisons cannot be chained. Write AND(…; …), such as AND(0 <= [CT01]; [CT01] <= 100).",
            start,
            end,
        )
    if sign == "," and text[start - 1 : start].isdigit() and text[end : end + 1].isdigit():
        return FormulaError(
            "Phần thập phân viết sau dấu chấm: 1.5, không phải 1,5.",
            "The fraction follows a point: 1.5, not 1,5.",
            start,
            end,
        )
    if expected == {"LPAR"}:
        return _no_function(text, start, end)
    if wants_value:
        return FormulaError(f"Thiếu một giá trị trước “{sign}”.", f"A value is missing before “{sign}”.", start, end)
    if kind in _BEGINS_VALUE:
        return FormulaError(
            f"Thiếu dấu phép tính hoặc dấu ; trước “{sign}”.",
            f"An operator or ; is missing before “{sign}”.",
            start,
            end,
        )
    if kind == "RPAR":
        return FormulaError("Thừa dấu ).", "There is a ) too many.", start, end)
    return FormulaError(f"Không dùng được “{sign}” ở đây.", f"“{sign}” cannot be used here.", start, end)

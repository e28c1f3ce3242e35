"""What is typed into the entry form, and the report that it makes. Pure.

A field is named by the JSON Pointer (RFC 6901) of its place in the report, so a finding names the field it is about.
Codes hold neither `/` nor `~` (shared/contract/events/fields.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import chain
from typing import Any

import msgspec

from shared.contract.events.registry import MAX_TABLE_ROWS, Form, SumRule, TableField
from shared.reports.classified import is_classified
from shared.reports.limits import MAX_BODY_BYTES

#: empty rows under those that are filled: of a new table, of one that holds something, and for each press of "more"
ROWS_OF_A_NEW_TABLE, ROWS_AFTER, ROWS_MORE = 5, 2, 10
#: what an officer answers: a report, NIL, or of an information request that it is refused, or belongs to another agency
ANSWERS = ("report", "nil", "refusal", "referral")

Row = Mapping[str, str]


class Content(msgspec.Struct, frozen=True):
    """A report as it was typed: texts by code, blank ones left out; rows of tables in order, without blank rows.

    Beside NIL, figures and texts stay: whoever changes his mind finds them again. They are not sent with it.
    """

    officer: str = ""
    answer: str = "report"
    reason: str = ""  # why there is nothing to report, or why it is declined
    refer_to: str = ""  # of a referral: the agency to ask instead
    figures: dict[str, str] = {}
    narratives: dict[str, str] = {}
    tables: dict[str, list[dict[str, str]]] = {}

    def encode(self) -> str:
        return msgspec.json.encode(self).decode()

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """Each text with its pointer."""
        yield from (("/officer", self.officer), ("/nil_reason", self.reason), ("/refer_to", self.refer_to))
        yield from ((f"/figures/{code}", text) for code, text in self.figures.items())
        yield from ((f"/narratives/{code}", text) for code, text in self.narratives.items())
        for code, rows in self.tables.items():
            for number, row in enumerate(rows):
                yield from ((f"/tables/{code}/{number}/{column}", text) for column, text in row.items())

    @property
    def classified(self) -> list[str]:
        """Pointers of texts that a word of classification heads: such a text is never kept."""
        return [pointer for pointer, text in self.texts if is_classified(text)]


def decode(document: str | bytes) -> Content:
    """A content as `encode` wrote it."""
    return msgspec.json.decode(document, type=Content)


def typed(fields: Mapping[str, str], form: Form) -> Content:
    """What the fields of a sent form hold, of what this form asks for. Lines end as in JSON, not as in HTTP."""
    given = {name: text.replace("\r\n", "\n") for name, text in fields.items() if text and not text.isspace()}
    rows: dict[str, dict[int, dict[str, str]]] = {table.code: {} for table in form.tables}
    columns = {table.code: {column.code for column in table.columns} for table in form.tables}
    for name, text in given.items():
        parts = name.split("/")
        if len(parts) != 5 or parts[1] != "tables" or parts[4] not in columns.get(parts[2], ()):
            continue
        if parts[3].isascii() and parts[3].isdecimal() and len(parts[3]) <= 4 and int(parts[3]) < MAX_TABLE_ROWS:
            rows[parts[2]].setdefault(int(parts[3]), {})[parts[4]] = text
    answer = fields.get("answer", "report")
    return Content(
        officer=given.get("/officer", ""),
        answer=answer if answer in ANSWERS else "report",
        reason=given.get("/nil_reason", ""),
        refer_to=given.get("/refer_to", "").strip(),
        figures=_of(given, "figures", (one.code for one in form.figures)),
        narratives=_of(given, "narratives", (one.code for one in form.narratives)),
        tables={
            table.code: [
                {column.code: row[column.code] for column in table.columns if column.code in row}
                for _, row in sorted(rows[table.code].items())
            ]
            for table in form.tables
            if rows[table.code]
        },
    )


def _of(given: Mapping[str, str], part: str, codes: Iterator[str]) -> dict[str, str]:
    return {code: given[name] for code in codes if (name := f"/{part}/{code}") in given}


def sent(document: Mapping[str, Any]) -> Content:
    """What a submission said, as intake shows it."""
    declines = str(document.get("declines") or "")
    return Content(
        officer=str(document.get("officer") or ""),
        answer=declines if declines in ANSWERS else "nil" if document.get("nil") is True else "report",
        reason=str(document.get("nil_reason") or ""),
        refer_to=str(document.get("refer_to") or ""),
        figures=_texts(document.get("figures")),
        narratives=_texts(document.get("narratives")),
        tables={
            code: [_texts(row) for row in rows if isinstance(row, Mapping)]
            for code, rows in _members(document.get("tables"))
            if isinstance(rows, list) and rows
        },
    )


def _texts(found: Any) -> dict[str, str]:
    return {code: text for code, text in _members(found) if isinstance(text, str) and text and not text.isspace()}


def _members(found: Any) -> list[tuple[str, Any]]:
    return [(str(code), value) for code, value in found.items()] if isinstance(found, Mapping) else []


def report(content: Content, regime: str, period: str) -> dict[str, Any]:
    """The body of `POST /v1/submissions`. Texts stay as typed: what a number is, the validator says."""
    body: dict[str, Any] = {"regime": regime, "period": period, "officer": content.officer}
    if content.answer != "report":
        body |= {"nil": True, "nil_reason": content.reason}
        if content.answer != "nil":
            body["declines"] = content.answer
        if content.answer == "referral":
            body["refer_to"] = content.refer_to
        return body
    body |= {"figures": content.figures, "narratives": content.narratives}
    return body | ({"tables": content.tables} if content.tables else {})


@dataclass(frozen=True, slots=True)
class Summed:
    """A sum of the form as it is typed so far. `made`: what the terms make that are numbers; None: none of them is one.

    `unknown`: terms that are empty but required, or no plain number; `differs`: how much the total is above the sum;
    None where the total or a term is not known.
    """

    rule: SumRule
    made: Decimal | None
    unknown: tuple[str, ...]
    differs: Decimal | None

    @property
    def agrees(self) -> bool:
        """Whether the total is typed and right, within the form's tolerance."""
        return self.differs is not None and abs(self.differs) <= Decimal(self.rule.tolerance)


#: what needs no advice of the validator: no comma, space or exponent
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_DIGITS = 100  # exact for terms of 80


def counted(form: Form) -> set[str]:
    """The figures that stand in a sum."""
    return {code for rule in form.sums for code in (rule.total, *rule.terms)}


def sums(form: Form, figures: Mapping[str, str]) -> list[Summed]:
    """The sums of the form by what is typed, for whoever types; what is sent is the validator's to judge.

    A term that is optional and empty adds nothing, as there.
    """
    optional = {one.code for one in form.figures if not one.required}
    found = []
    for rule in form.sums:
        typed_terms = {code: figures.get(code, "").strip() for code in rule.terms}
        numbers = {code: Decimal(text) for code, text in typed_terms.items() if _PLAIN_NUMBER.fullmatch(text)}
        unknown = tuple(
            code for code, text in typed_terms.items() if code not in numbers and (text or code not in optional)
        )
        total = figures.get(rule.total, "").strip()
        with localcontext(prec=_DIGITS):
            made = sum(numbers.values(), start=Decimal(0)) if numbers else None
            differs = None
            if made is not None and not unknown and _PLAIN_NUMBER.fullmatch(total):
                differs = Decimal(total) - made
        found.append(Summed(rule, made, unknown, differs))
    return found


def too_large(content: Content) -> bool:
    """Whether it is more than one report may hold, so that nobody would take it."""
    return len(content.encode().encode()) > MAX_BODY_BYTES


def idempotency_key(obligation: str, after_version: int, body: Mapping[str, Any]) -> str:
    """The same for whoever sends the same report after the same version: a second click, or a second try after no
    answer came, counts once. What says the same after a newer version has come is another report.
    """
    written = f"{obligation}\n{after_version}\n".encode() + msgspec.json.encode(body)
    return f"board-{hashlib.sha256(written).hexdigest()}"


def rows_shown(table: TableField, content: Content, more: int = 0) -> list[Row]:
    """The rows of a table with empty ones under them, as many as the form takes. `more`: presses of "more rows"."""
    filled: list[Row] = list(content.tables.get(table.code, ()))
    wanted = len(filled) + ROWS_AFTER if filled else max(ROWS_OF_A_NEW_TABLE, table.min_rows)
    empty: Row = {}
    return filled + [empty] * (max(len(filled), min(table.max_rows, wanted + more * ROWS_MORE)) - len(filled))


def element_id(pointer: str) -> str:
    """The id of a field's element; no code holds a colon."""
    return pointer.strip("/").replace("/", ":")


def pointers(form: Form, content: Content) -> set[str]:
    """Every field of the form that a finding can be shown at."""
    cells = chain.from_iterable(
        (f"/tables/{table.code}/{number}/{column.code}" for column in table.columns)
        for table in form.tables
        for number in range(len(content.tables.get(table.code, ())))
    )
    return {
        "/officer", "/nil_reason", "/refer_to",
        *(f"/figures/{one.code}" for one in form.figures),
        *(f"/narratives/{one.code}" for one in form.narratives),
        *(f"/tables/{one.code}" for one in form.tables),
        *cells,
    }  # fmt: skip


def place(pointer: str, known: set[str]) -> str:
    """The field that a finding is shown at: its own, else the nearest one around it; empty where there is none."""
    while pointer and pointer not in known:
        pointer = pointer.rpartition("/")[0]
    return pointer


def no_more_asked(form: Form, content: Content) -> Sequence[tuple[str, str]]:
    """Figures and texts of a content that this form does not ask for (any more), by code."""
    codes = {*(one.code for one in form.figures), *(one.code for one in form.narratives)}
    return [(code, text) for code, text in (*content.figures.items(), *content.narratives.items()) if code not in codes]

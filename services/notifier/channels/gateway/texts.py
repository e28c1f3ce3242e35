"""Composes the short text of a claimed notice: what is late, of whom, since when. No link, and no promise of a letter.

Where names are too long they are shortened, and marked so; moment, period and standing never are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from services.notifier.channels.gateway.parts import Alphabet, count_parts, folded
from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.planning.domain import LetterFacts
from services.notifier.templates import CannotRender
from services.notifier.templates.compose import LETTER_FACTS
from services.notifier.templates.words import RESOLUTIONS, SHORT_STANDINGS
from shared.contract.words import period_words
from shared.runtime.clock import LOCAL_ZONE

#: lengths to which names are cut, one after the other, until the text fits
_NAMES = (80, 60, 45, 34, 25, 18, 12)
TEST = "Thông Suốt: tin thử kênh này, không cần làm gì."

#: a name, cut to the length that is being tried
_Name = Callable[[str], str]


class TextComposer:
    """Of one gateway: in its alphabet, and in at most so many parts."""

    sender_address = ""  # the gateway has the sender's name by contract

    def __init__(self, alphabet: Alphabet = "gsm7", max_parts: int = 2) -> None:
        self._alphabet: Alphabet = alphabet
        self._max_parts = max_parts

    def compose(self, mail: ClaimedMail) -> bytes:
        """The text as UTF-8. Raises CannotRender."""
        try:
            facts = LETTER_FACTS.validate_python(dict(mail.facts))
            for longest in _NAMES:
                text = self.written(_text_of(mail, facts, partial(self._cut, most=longest)))
                if count_parts(text, self._alphabet) <= self._max_parts:
                    return text.encode()
        except Exception as error:  # one text must not end the round of all
            if isinstance(error, MemoryError):
                raise
            raise CannotRender(f"{type(error).__name__}: {error}") from error
        raise CannotRender(f"the text does not fit into {self._max_parts} parts")

    def written(self, text: str) -> str:
        """One line in the gateway's alphabet, without characters that nobody sees."""
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return folded(line) if self._alphabet == "gsm7" else line

    def _cut(self, name: str, most: int) -> str:
        mark = "..." if self._alphabet == "gsm7" else "…"
        line = " ".join(name.split())
        return line if len(line) <= most else line[: most - len(mark)].rstrip() + mark


def _text_of(mail: ClaimedMail, facts: LetterFacts, name: _Name) -> str:
    if facts.matters:
        return _of_several(facts.matters, name)
    period = _period(facts.period, mail.names.get("request_title") or "", name)
    report = f"{name(mail.names.get('regime_name') or facts.regime)}, {period}"
    agency = name(facts.agency_name)
    match mail.kind:
        case "escalation":
            standing, _ = SHORT_STANDINGS[facts.standing or "nothing_sent"]
            officer = f" Đầu mối: {name(facts.officer_name)}." if facts.officer_name else ""
            by = f" {name(facts.handed_on_by)} chuyển việc này." if facts.handed_on_by else ""
            late = f"quá hạn {_moment(facts.deadline or mail.deadline)}, {standing}"
            return f"Thông Suốt: {late}: {report}. {agency}.{by}{officer}"
        case "resolved":
            why, _ = RESOLUTIONS[facts.resolution]
            return f"Thông Suốt: hết quá hạn: {report}. {agency}: {why}."
    raise CannotRender(f"no short text is there for a notice of kind {mail.kind}")


def _of_several(matters: tuple[Mapping[str, Any], ...], name: _Name) -> str:
    """How many of each kind, and the one whose deadline was first."""
    words = {"escalation": "báo cáo quá hạn", "resolved": "báo cáo hết quá hạn"}
    counts = Counter(matter["kind"] for matter in matters)
    if unknown := sorted(set(counts) - set(words)):
        raise CannotRender(f"no short text is there for a notice of kind {', '.join(unknown)}")
    told = ", ".join(f"{counts[kind]} {said}" for kind, said in words.items() if counts[kind])
    late = [matter for matter in matters if matter["kind"] == "escalation" and matter["deadline"]]
    if not late:
        return f"Thông Suốt: {told}."
    first = min(late, key=lambda matter: datetime.fromisoformat(matter["deadline"]))
    period = _period(first["period"], first["request"], name)
    hour = _moment(datetime.fromisoformat(first["deadline"]))
    return f"Thông Suốt: {told}. Hạn sớm nhất {hour}: {name(first['regime'])}, {period}. {name(first['agency'])}."


def _period(period: str, request: str, name: _Name) -> str:
    """The period, whole; a request's title and number are cut as names are."""
    words, _ = period_words(period, request)
    return name(words) if request else words


def _moment(at: datetime | None) -> str:
    if at is None:
        raise CannotRender("the report has no deadline")
    return f"{at.astimezone(LOCAL_ZONE):%H:%M %d/%m/%Y}"

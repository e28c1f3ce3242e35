"""Composes the RFC 5322 message of a claimed notice; the same facts always give the same message.

A line break or another control character in a header is refused. Headers are encoded words
(RFC 2047), bodies are UTF-8.
"""

from __future__ import annotations

from binascii import b2a_qp
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from email import message_from_bytes
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, formataddr
from typing import Any
from uuid import UUID

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import TypeAdapter

from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.states import thread_id
from services.notifier.escalation.links import AnswerLinks
from services.notifier.planning.domain import LetterFacts
from services.notifier.templates import words
from shared.access import ACTORS
from shared.contract.events.fields import MAX_NAME_CHARACTERS
from shared.contract.text import header_safe
from shared.contract.words import MONTHS_EN, period_words
from shared.runtime.clock import LOCAL_ZONE

LETTER_FACTS: TypeAdapter[LetterFacts] = TypeAdapter(LetterFacts)
MAX_SUBJECT_CHARACTERS = 119


class _Wire(EmailPolicy):
    """CRLF line ends, 7 bits, and encoded words that come back as they were.

    The standard library's own folding of non-ASCII headers (CPython 3.11) drops spaces between encoded words:
    "và Môi" arrives as "vàMôi". `email.header.Header` encodes the spaces with the words.
    """

    def fold(self, name: str, value: Any) -> str:
        if str(value).isascii():
            return str(super().fold(name, value))
        if hasattr(value, "addresses"):
            text = ", ".join(_mailbox(name, address) for address in value.addresses)
        else:
            text = _encoded(name, str(value))
        return f"{name}: {text}\r\n"

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("ascii")


def _encoded(name: str, text: str) -> str:
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n")


def _mailbox(name: str, address: Address) -> str:
    if address.display_name.isascii():
        return formataddr((address.display_name, address.addr_spec))
    return f"{_encoded(name, address.display_name)}\r\n <{address.addr_spec}>"


#: of a header's line, its end included
_LONGEST = 80
_POLICY = _Wire(linesep="\r\n", cte_type="7bit", max_line_length=78)


class Letter:
    """A message of a text and its HTML on the way to its bytes.

    `EmailMessage` parses each header that it is given: two thirds of a letter's cost.
    """

    def __init__(self) -> None:
        self.headers: list[tuple[str, str | Address]] = []
        self.text = self.html = self.boundary = ""

    def __setitem__(self, name: str, value: str | Address) -> None:
        self.headers.append((name, value))

    def set_content(self, text: str) -> None:
        self.text = text

    def add_alternative(self, html: str) -> None:
        self.html = html

    def set_boundary(self, boundary: str) -> None:
        self.boundary = boundary

    def as_bytes(self) -> bytes:
        """RFC 5322 and 2045, in 7 bits with CRLF line ends."""
        head = "".join(_folded(name, value) for name, value in self.headers)
        parts = b"".join(
            f"--{self.boundary}\r\n"
            f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n".encode("ascii")
            + _quoted(content)
            + b"\r\n"  # of the boundary
            for subtype, content in (("plain", self.text), ("html", self.html))
        )
        kind = f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{self.boundary}"\r\n\r\n'
        return f"{head}{kind}".encode("ascii") + parts + f"--{self.boundary}--\r\n".encode("ascii")


def _folded(name: str, value: str | Address) -> str:
    if not isinstance(value, str):
        text = _mailbox(name, value)
    elif value.isascii():
        text = value
    else:
        text = _encoded(name, value)
    line = f"{name}: {text}\r\n"
    if "\r\n" not in text and len(line) > _LONGEST:  # a long one of ASCII alone
        return str(_POLICY.fold(name, _POLICY.header_factory(name, text)))
    return line


def _quoted(text: str) -> bytes:
    """As quoted-printable (RFC 2045 6.7), ending in a line end."""
    content = text.replace("\r\n", "\n").replace("\r", "\n")
    if not content.endswith("\n"):
        content += "\n"
    return b2a_qp(content.encode(), istext=True).replace(b"\n", b"\r\n")


class CannotRender(ValueError):
    """No message can be composed from these facts; the text says why."""


@dataclass(frozen=True, slots=True)
class Originator:
    """Who the mails are from (RFC 5322 3.6.2). `reply_to` is an address or empty."""

    address: str
    name: str = "Thông Suốt"
    reply_to: str = ""


class Composer:
    """Renders letters. Templates are loaded once; nothing here reads a clock or the network."""

    def __init__(self, originator: Originator, links: AnswerLinks | None = None) -> None:
        self._links = links
        header_safe(originator.address + originator.name + originator.reply_to)
        self._originator = originator
        loader = PackageLoader("services.notifier", "templates")
        options: dict[str, Any] = {
            "loader": loader,
            "undefined": StrictUndefined,
            "trim_blocks": True,
            "lstrip_blocks": True,
            "keep_trailing_newline": True,
        }
        self._html = Environment(autoescape=True, **options)
        self._text = Environment(autoescape=False, **options)  # noqa: S701 - plain text, nothing to escape

    @property
    def sender_address(self) -> str:
        """The envelope's sender."""
        return self._originator.address

    def compose(self, mail: ClaimedMail) -> bytes:
        """The message as bytes with CRLF line ends. Raises CannotRender."""
        try:
            return self._letter(mail).as_bytes()
        except MemoryError:
            raise  # the process is short of memory; that says nothing of the letter
        except Exception as error:
            # whatever it is, the email package's own errors included: one letter must not end the round of all
            raise CannotRender(f"{type(error).__name__}: {error}") from error

    def message(self, mail: ClaimedMail) -> EmailMessage:
        """The message as a reader of mail has it."""
        found = message_from_bytes(self._letter(mail).as_bytes(), policy=_POLICY)
        assert isinstance(found, EmailMessage)
        return found

    def _letter(self, mail: ClaimedMail) -> Letter:
        view = self._view(mail)
        name = "group" if view["facts"].matters else mail.kind
        subject = " ".join(self._text.get_template(f"{name}.subject.j2").render(view).split(" ")).strip("\n")
        if len(subject) > MAX_SUBJECT_CHARACTERS:
            subject = subject[: MAX_SUBJECT_CHARACTERS - 1] + "…"
        message = Letter()
        message["From"] = Address(header_safe(self._originator.name), addr_spec=self._originator.address)
        # folding a header costs the square of its length; the body has the whole name
        addressee = view["facts"].recipient_name[:MAX_NAME_CHARACTERS]
        message["To"] = Address(header_safe(addressee), addr_spec=header_safe(mail.recipient))
        if self._originator.reply_to:
            message["Reply-To"] = header_safe(self._originator.reply_to)
        message["Subject"] = header_safe(subject)
        message["Date"] = format_datetime((mail.released_at or mail.created_at).astimezone(LOCAL_ZONE))
        message["Message-ID"] = header_safe(mail.message_id)
        domain = mail.message_id.rpartition("@")[2].rstrip(">")
        message["List-Id"] = header_safe(f"<thong-bao.{domain}>")  # RFC 2919: what filters go by
        if name not in ("group", "digest", "regime"):  # these are about more than one report
            thread = thread_id(mail.obligation, domain)
            message["In-Reply-To"] = header_safe(thread)
            message["References"] = header_safe(thread)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: suppresses out-of-office answers
        message["X-Auto-Response-Suppress"] = "All"
        message["Content-Language"] = "vi, en"
        message.set_content(self._text.get_template(f"{name}.txt.j2").render(view))
        html = self._html.get_template(f"{name}.html.j2").render(view)
        message.add_alternative(html)
        # a random boundary would make two copies of one notice differ
        message.set_boundary(f"=_{mail.message_id.strip('<>').partition('@')[0]}")
        return message

    def _group_view(self, facts: LetterFacts, mail: ClaimedMail) -> dict[str, Any]:
        """What a letter about several matters says; empty for a letter of one."""
        at = mail.released_at or mail.created_at
        matters = [_matter_view(matter, at) for matter in facts.matters]
        for matter in matters:
            answerable = self._links is not None and matter["kind"] == "escalation"
            matter["answer_url"] = self._links.of(UUID(matter["notice"])) if answerable and self._links else ""
        counts_vi, counts_en = words.counts_words(matter["kind"] for matter in matters)
        kinds = {matter["kind"] for matter in matters}
        return {
            "matters": matters,
            "counts_vi": counts_vi,
            "counts_en": counts_en,
            "any_late": bool(kinds & {"overdue", "escalation"}),
            "any_named": "named" in kinds,
        }

    def _view(self, mail: ClaimedMail) -> dict[str, Any]:
        facts = LETTER_FACTS.validate_python(dict(mail.facts))
        deadline = facts.deadline or mail.deadline
        request_vi = mail.names.get("request_title") or ""
        request_en = mail.names.get("request_title_en") or request_vi
        period_vi, period_en = period_words(facts.period, request_vi, request_en)
        regime_vi = mail.names.get("regime_name") or facts.regime
        deadline_vi, deadline_en = words.deadline_words(deadline)
        late_vi, late_en = words.lateness_words(deadline, mail.released_at or mail.created_at)
        standing_vi, standing_en = words.STANDINGS.get(facts.standing or "", ("", ""))
        resolution_vi, resolution_en = words.RESOLUTIONS.get(facts.resolution, ("", ""))
        stakes_vi, stakes_en = _stakes(mail, facts)
        next_vi, next_en = words.RUNG_ROLES.get(facts.next_role, ("", ""))
        return {
            "stakes_vi": stakes_vi,
            "stakes_en": stakes_en,
            "next_vi": next_vi,
            "next_en": next_en,
            "next_at_vi": words.deadline_words(facts.next_at)[0],
            "next_at_en": words.deadline_words(facts.next_at)[1],
            "facts": facts,
            "obligation": mail.obligation,
            "regime_vi": regime_vi,
            "regime_en": mail.names.get("regime_name_en") or regime_vi,
            # a request's own basis; where it names none, its regime's
            "legal_basis": mail.names.get("request_legal_basis") or mail.names.get("legal_basis") or "",
            "request_vi": request_vi,
            "request_en": request_en,
            "request_number": facts.period if request_vi else "",
            "question": mail.names.get("question") or "",
            "asked_by_vi": mail.names.get("asked_by") or "",
            "asked_by_en": mail.names.get("asked_by_en") or mail.names.get("asked_by") or "",
            "nil_allowed": mail.names.get("nil_allowed") == "true",
            "agency_vi": facts.agency_name,
            "agency_en": facts.agency_name_en or facts.agency_name,
            "period_vi": period_vi,
            "period_en": period_en,
            "deadline_vi": deadline_vi,
            "deadline_short": words.short_words(deadline),
            "deadline_en": deadline_en,
            "late_vi": late_vi,
            "late_en": late_en,
            "standing_vi": standing_vi,
            "standing_en": standing_en,
            "resolution_vi": resolution_vi,
            "resolution_en": resolution_en,
            "received_vi": words.deadline_words(facts.received_at)[0],
            "received_en": words.deadline_words(facts.received_at)[1],
            "rework_until_vi": words.deadline_words(facts.rework_until)[0] if facts.rework_until else "",
            "rework_until_en": words.deadline_words(facts.rework_until)[1] if facts.rework_until else "",
            **_step_view(facts, mail.created_at),
            **self._group_view(facts, mail),
            **_digest_view(facts.digest),
            **_regime_view(facts.regime_change),
            "item": words.pointer_words,
            "reports": [_report_view(report) for report in facts.reports],
            "signature": self._originator.name,
            "message_id": mail.message_id,
            "answer_url": self._links.of(mail.id) if self._links is not None and mail.kind == "escalation" else "",
        }


#: kinds of notices that say what a late day costs, and whether the deadline is behind
_AT_STAKE = {"request": False, "reminder": False, "overdue": True, "escalation": True}


def _stakes(mail: ClaimedMail, facts: LetterFacts) -> tuple[str, str]:
    """(Vietnamese, English): what a late day costs; empty where no policy is known, or nothing is at stake."""
    kinds = {str(matter["kind"]) for matter in facts.matters} or {mail.kind}
    late = {_AT_STAKE[kind] for kind in kinds & _AT_STAKE.keys()}
    policy = mail.names.get("policy")
    return words.stakes_words(msgspec.json.decode(policy), late=late == {True}) if policy and late else ("", "")


def _matter_view(matter: Mapping[str, Any], at: datetime) -> dict[str, str]:
    """A line of a letter about several matters, in the words people use. `at`: when the letter is from."""
    period_vi, period_en = period_words(matter["period"], matter["request"], matter["request_en"])
    deadline = datetime.fromisoformat(matter["deadline"]) if matter["deadline"] else None
    owed = matter["kind"] in ("overdue", "escalation")
    late_vi, late_en = words.lateness_words(deadline, at) if owed else ("", "")
    what_vi, what_en, _, _, colour = words.MATTERS[matter["kind"]]
    ahead_vi, ahead_en = words.TO_DO[matter["kind"]]
    change = matter.get("regime_change")
    if change is not None:
        period_vi, period_en = f"phiên bản {change['version']}", f"version {change['version']}"
        ahead_vi, ahead_en = _regime_ahead(change)
    if matter["kind"] == "resolved":
        ahead_vi, ahead_en = words.RESOLUTIONS.get(matter["resolution"], (ahead_vi, ahead_en))
    elif matter["decision"] in words.DECISIONS:
        ahead_vi, ahead_en = words.DECISIONS[matter["decision"]][0]
    elif matter["standing"] == "returned" and owed:
        ahead_vi, ahead_en = words.TO_DO["returned"]
    if matter["next_role"] in words.RUNG_ROLES and matter["next_at"]:
        role_vi, role_en = words.RUNG_ROLES[matter["next_role"]]
        next_at = datetime.fromisoformat(matter["next_at"])
        ahead_vi += f"; chưa có thì {words.short_words(next_at)} báo {role_vi}"
        ahead_en += f"; else {role_en} is told at {words.brief_words(next_at)}"
    receipt_vi, receipt_en = _receipt_words(matter)
    held_vi, held_en = words.HELD.get(matter["held"].partition(":")[0], ("", ""))
    return {
        **matter,
        "what_vi": what_vi,
        "what_en": what_en,
        "colour": colour,
        "regime_vi": matter["regime"],
        "request_vi": matter["request"],
        "number": matter["period"] if matter["request"] else "",
        "period_vi": period_vi,
        "period_en": period_en,
        "timed": change is None,
        "deadline_vi": words.deadline_words(deadline)[0],
        "deadline_en": words.deadline_words(deadline)[1],
        "deadline_hour": words.short_words(deadline).partition(" ngày ")[0],
        "deadline_day": words.short_words(deadline).partition(" ngày ")[2],
        "deadline_brief_en": words.brief_words(deadline),
        "late_vi": late_vi,
        "late_en": late_en,
        "ahead_vi": ahead_vi,
        "ahead_en": ahead_en,
        "held_vi": held_vi,
        "held_en": held_en,
        "receipt_vi": receipt_vi,
        "receipt_en": receipt_en,
    }


def _regime_ahead(change: Mapping[str, Any]) -> tuple[str, str]:
    """(Vietnamese, English): a line's summary of what a regime version changes."""
    lines = words.change_words(change)
    day = date.fromisoformat(change["effective_from"])
    vi, en = f"có hiệu lực từ {day:%d/%m/%Y}", f"in force from {day.day} {MONTHS_EN[day.month - 1]} {day.year}"
    if not lines:
        return f"{vi}; xem biểu mẫu trong hệ thống", f"{en}; see its form in the system"
    said, said_en = (" ".join(f"{name}: {text}" for name, text in pairs) for pairs in (
        ((line[0], line[1]) for line in lines), ((line[2], line[3]) for line in lines)))  # fmt: skip
    return f"{vi}. {said}", f"{en}. {said_en}"


def _receipt_words(matter: Mapping[str, Any]) -> tuple[str, str]:
    """(Vietnamese, English): which version was received when; empty where the line does not say it."""
    if not matter.get("received_at"):
        return "", ""
    at = datetime.fromisoformat(matter["received_at"])
    vi = f"Phiên bản {matter['version']}, nhận lúc {words.short_words(at)}"
    return vi, f"Version {matter['version']}, received at {words.brief_words(at)}"


def _digest_view(content: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a digest says; empty for another letter."""
    if content is None:
        return {}
    at = datetime.fromisoformat(content["at"])
    parts = ("overdue", "due", "scores", "receipts")
    counted = [(content[f"{part}_total"], *words.DIGEST_PARTS[part]) for part in parts if content[f"{part}_total"]]
    weekly = content["kind"] == "weekly"
    return {
        "digest": content,
        "weekly": weekly,
        "counts_vi": ", ".join(f"{count} {vi}" for count, vi, _ in counted),
        "counts_en": ", ".join(f"{count} {en}" for count, _, en in counted),
        "any_late": bool(content["overdue"]),
        "at_vi": words.short_words(at),
        "at_en": words.brief_words(at),
        "since_vi": words.short_words(datetime.fromisoformat(content["since"])),
        "since_en": words.brief_words(datetime.fromisoformat(content["since"])),
        "mean_vi": content["scores_mean"].replace(".", ","),
        "mean_en": content["scores_mean"],
        **{part: [_digest_line(line, at) for line in content[part]] for part in parts},
        "left_out": {part: content[f"{part}_total"] - len(content[part]) for part in parts},
    }


def _regime_view(change: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a letter about a regime version says; empty for another letter."""
    if change is None:
        return {}
    day = date.fromisoformat(change["effective_from"])
    deadline_vi, deadline_en = words.terms_words(change["deadline"])
    return {
        "change": change,
        "changes": words.change_words(change),
        "from_vi": f"{day:%d/%m/%Y}",
        "from_en": f"{day.day} {MONTHS_EN[day.month - 1]} {day.year}",
        "terms_vi": deadline_vi,
        "terms_en": deadline_en,
        "frequency_vi": words.FREQUENCIES[change["frequency"]][0],
        "frequency_en": words.FREQUENCIES[change["frequency"]][1],
    }


def _digest_line(line: Mapping[str, Any], at: datetime) -> dict[str, str]:
    """A line of a digest's table in the words people use. `at`: when the digest is from."""
    period_vi, period_en = period_words(line["period"], line["request"], line["request_en"])
    deadline = datetime.fromisoformat(line["deadline"]) if line["deadline"] else None
    late_vi, late_en = words.lateness_words(deadline, at)
    standing_vi, standing_en = words.SHORT_STANDINGS.get(line.get("standing", ""), ("", ""))
    receipt_vi, receipt_en = _receipt_words(line)
    return {
        "obligation": line["obligation"],
        "agency_vi": line["agency"],
        "agency_en": line["agency_en"],
        "report_vi": f"{line['regime']}, {period_vi}",
        "report_en": f"{line['regime_en']}, {period_en}",
        "hour": words.short_words(deadline).partition(" ngày ")[0],
        "day": words.short_words(deadline).partition(" ngày ")[2],
        "deadline_en": words.brief_words(deadline),
        "late_vi": late_vi,
        "late_en": late_en,
        "standing_vi": standing_vi,
        "standing_en": standing_en,
        "score_vi": line.get("score", "").replace(".", ","),
        "score_en": line.get("score", ""),
        "receipt_vi": receipt_vi,
        "receipt_en": receipt_en,
    }


def _step_view(facts: LetterFacts, at: datetime) -> dict[str, str]:
    """A step that people took, or that is wanted of the recipient, in the words people use."""
    role_vi, role_en = ACTORS.get(facts.decision_role, (facts.decision_role, facts.decision_role))
    view = {
        "role_vi": role_vi,
        "role_en": role_en,
        "certify_by_vi": words.short_words(facts.certify_by),
        "certify_by_en": words.deadline_words(facts.certify_by)[1],
        "certify_late": "late" if words.lateness_words(facts.certify_by, at)[0] else "",
        "asked_vi": words.deadline_words(facts.asked_at)[0] if facts.asked_at else "",
        "asked_en": words.deadline_words(facts.asked_at)[1] if facts.asked_at else "",
    }
    if facts.decision not in words.DECISIONS:
        return view
    name, said, follows = words.decision_words(
        facts.decision, facts.decision_effect, facts.decision_since, facts.decision_until, facts.submission_version
    )
    for key, (vi, en) in (("decision", name), ("said", said), ("follows", follows)):
        view |= {f"{key}_vi": vi, f"{key}_en": en}
    return view


def _report_view(report: dict[str, str]) -> dict[str, str]:
    """A listed report in the words people use."""
    period_vi, period_en = period_words(report["period"], report["request"], report["request_en"])
    received_vi, received_en = words.deadline_words(datetime.fromisoformat(report["received_at"]))
    return {
        **report,
        "regime_vi": report["regime"],
        "period_vi": period_vi,
        "period_en": period_en,
        "received_vi": received_vi,
        "received_en": received_en,
    }

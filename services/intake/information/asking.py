"""What an agency asks becomes an ad hoc request of the registry, and where it brings its own form a regime too. Pure.

So the answers are obligations like any other. A request stays within bounds: no agency floods others with duties, and
nobody is given a deadline that cannot be met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from services.intake.registry.agency_codes import newer
from services.intake.registry.gate import Proposal
from services.intake.registry.records import content_of
from services.intake.registry.source import Source
from shared.contract.events import AgencyRegistered, RegistryEvent, RequestIssued
from shared.contract.events.fields import MAX_NAME_CHARACTERS
from shared.contract.reporting_window import local_day
from shared.reports.classified import CLASSIFIED, is_classified
from shared.web.errors import FieldError

MAX_ADDRESSEES = 200
#: requests of one agency that still run, and those that it makes in a day, withdrawn or not
MAX_OPEN, MAX_A_DAY = 50, 100
MAX_FIGURES, MAX_NARRATIVES = 100, 20
MAX_TERM = timedelta(days=366)
#: ids that are looked at for one that no file has taken
MOST_TAKEN = 100
#: no object or list of a form lies deeper
MAX_DEPTH = 6
#: what is asked for where no form is given: free text
FREE_FORM: dict[str, Any] = {
    "narratives": [{"code": "TL", "label": "Nội dung trả lời", "label_en": "The answer", "min_characters": 1}]
}


class Question(Struct, frozen=True):
    """What an agency asks: by the form of an ad hoc `regime` that reports to it, by its own `form`, or freely."""

    title: str
    title_en: str
    question: str
    deadline: datetime
    agencies: tuple[str, ...]
    regime: str | None = None
    form: dict[str, Any] | None = None


def faults(asked: Question, now: datetime, notice: timedelta) -> list[FieldError]:
    """Everything that is wrong with a question before the registry's gate looks at it. notice: the shortest term."""
    found = list(_classified(asked))
    if asked.deadline < now + notice:
        hours = notice // timedelta(hours=1)
        found.append(
            FieldError(
                "/deadline",
                f"Quá gấp: phải cách hiện tại ít nhất {hours} giờ.",
                f"Too soon: it must be at least {hours} hours from now.",
                "Ghi thời hạn muộn hơn.",
                "Give a later deadline.",
            )
        )
    elif asked.deadline > now + MAX_TERM:
        found.append(
            FieldError(
                "/deadline",
                f"Quá xa: nhiều nhất {MAX_TERM.days} ngày.",
                f"Too far: at most {MAX_TERM.days} days.",
                "Ghi thời hạn sớm hơn.",
                "Give an earlier deadline.",
            )
        )
    if asked.regime is not None and asked.form is not None:
        found.append(
            FieldError(
                "/form",
                "Chỉ dùng một trong hai: `regime` hoặc `form`.",
                "Give one of `regime` and `form`.",
                "Bỏ một trường; bỏ cả hai nếu chỉ cần trả lời bằng lời.",
                "Leave one out; leave both out where words are enough.",
            )
        )
    if asked.form is not None:
        found += _too_large(asked.form)
    return found


def regime_of(asked: Question, asker: str) -> str | None:
    """The regime that there may be already; None for a form of its own."""
    if asked.form is not None and asked.regime is None:
        return None
    return asked.regime or _free(asker)


def agencies_of(asked: Question, asker: str) -> list[str]:
    """The agencies that the records name, in the newer form of their codes."""
    return list(dict.fromkeys(newer(code) for code in (asker, *asked.agencies)))


def next_ids(asker: str, made: int) -> list[str]:
    """The ids that a request may get, in order. made: how many the agency has made; a file may have taken some ids."""
    return [f"TT-{asker}-{number}" for number in range(made + 1, made + 1 + MOST_TAKEN)]


def proposals(
    asked: Question, asker: str, made: int, records: Sequence[RegistryEvent], now: datetime
) -> list[Proposal] | None:
    """The records that ask it, as the gate takes them; the request is the last of them. None: all ids are taken.

    A form of its own is a regime with the request's id. Free text is one regime for all questions of an agency, so
    that regimes do not grow with every letter. No code of an agency has a hyphen, so the ids of two never meet.
    made: how many requests the agency has made. records: those of agencies_of, regime_of and next_ids.
    """
    keys = {record.key for record in records}
    ids = next_ids(asker, made)
    free = (name for name in ids if f"request/{name}" not in keys and f"regime/{name}/1" not in keys)
    if (request_id := next(free, None)) is None:
        return None
    made_of = []
    if asked.regime is not None:
        regime = asked.regime
    elif asked.form is not None:
        regime = request_id
        made_of.append(_regime(regime, asked.title, asked.title_en, asked.form, asker, asked.agencies, now))
    else:
        regime = _free(asker)
        if f"regime/{regime}/1" not in keys:
            name = _name_of(records, asker)
            made_of.append(_regime(regime, f"Trao đổi thông tin với {name}", "", FREE_FORM, asker, asked.agencies, now))
    request = {
        "request_id": request_id,
        "regime": regime,
        "title": asked.title,
        "title_en": asked.title_en,
        "question": asked.question,
        "issued_at": now.isoformat(),
        "deadline": asked.deadline.isoformat(),
        "agencies": list(asked.agencies),
        "asked_by": asker,
    }
    return [*made_of, Proposal("request", request, Source())]


def withdrawal(request: RequestIssued, reason: str, now: datetime) -> Proposal:
    """The request as its asker withdraws it."""
    content = content_of(request) | {"withdrawn_at": now.isoformat(), "withdrawal_reason": reason}
    return Proposal("request", content, Source())


def _regime(
    code: str, name: str, name_en: str, form: dict[str, Any], asker: str, agencies: Sequence[str], now: datetime
) -> Proposal:
    regime = {
        "code": code,
        "regime_version": 1,
        "name": name[:MAX_NAME_CHARACTERS].rstrip(),
        "name_en": name_en,
        "frequency": "adhoc",
        "effective_from": local_day(now).isoformat(),
        "submitters": list(agencies),
        "receiver": asker,
        "deadline": {"rule": "on_request"},
        "remind_working_days": 1,
        # a refusal and a referral come as NIL reports
        "form": form | {"nil_allowed": True},
    }
    return Proposal("regime", regime, Source())


def _free(asker: str) -> str:
    return f"TT-{asker}"


def _name_of(records: Sequence[RegistryEvent], code: str) -> str:
    return next((one.name for one in records if isinstance(one, AgencyRegistered) and one.code == code), code)


def _classified(asked: Question) -> Iterator[FieldError]:
    places = [("/title", asked.title), ("/title_en", asked.title_en), ("/question", asked.question)]
    if asked.form is not None and _shallow(asked.form):
        places += [("/form", text) for text in _texts(asked.form)]
    for place in dict.fromkeys(place for place, text in places if is_classified(text)):
        yield FieldError(place, *CLASSIFIED)


def _too_large(form: dict[str, Any]) -> Iterator[FieldError]:
    if not _shallow(form):
        yield FieldError(
            "/form",
            "Biểu mẫu lồng quá nhiều cấp.",
            "The form is nested too deeply.",
            "Ghi như biểu của một chế độ báo cáo.",
            "Write it as the form of a regime.",
        )
    for name, most in (("figures", MAX_FIGURES), ("narratives", MAX_NARRATIVES)):
        if isinstance(form.get(name), list) and len(form[name]) > most:
            yield FieldError(
                f"/form/{name}",
                f"Nhiều nhất {most} mục.",
                f"At most {most} entries.",
                "Chia thành nhiều yêu cầu, hoặc ban hành một chế độ báo cáo.",
                "Split it into several requests, or publish a regime.",
            )


def _shallow(form: Any) -> bool:
    level = [form]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
    return not level


def _inside(value: Any) -> list[Any]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case _:
            return []


def _texts(value: Any) -> Iterator[str]:
    """The texts of a shallow value."""
    if isinstance(value, str):
        yield value
    for inner in _inside(value):
        yield from _texts(inner)

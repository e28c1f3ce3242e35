"""The state tables, as data: what is read here is what is done and what docs/lifecycle.md shows. Pure.

A report's state is never stored. It follows from its verdict, the steps taken and the other versions (`states.py`), so
that no sequence of requests reaches a state that the table lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from shared.access import ACTORS, Role, Scope
from shared.contract.events import LatenessKind, StepKind

#: of one version of a report
ReportState = Literal[
    "received", "not_judged", "returned", "accepted", "to_explain", "rework", "approved", "withdrawn", "superseded"
]  # fmt: skip
#: of a request for extension, an explanation, an appeal
AskedState = Literal["none", "asked", "granted", "refused"]
LatenessState = Literal["none", "given", "noted", "questioned"]
LockState = Literal["open", "locked"]
Thing = Literal["report", "extension", "explanation", "lateness", "appeal", "lock"]
#: what people do with a report, and what they say of its lateness
AnyKind = StepKind | LatenessKind
#: an agency's system acts with the agency's own key; the rest are people
Actor = Literal["agency"] | Role

#: what each state is called: Vietnamese, English
STATES: dict[str, tuple[str, str]] = {
    "received": ("đã nhận, đang kiểm tra", "received, being validated"),
    "not_judged": ("đã nhận, hệ thống chưa kiểm tra được", "received, could not be judged by the system"),
    "returned": ("trả lại", "returned by validation"),
    "accepted": ("đạt", "accepted"),
    "to_explain": ("đạt, cần giải trình", "accepted, to be explained"),
    "rework": ("trả lại để làm lại", "sent back by a reviewer"),
    "approved": ("đã duyệt", "approved"),
    "withdrawn": ("đã rút", "withdrawn"),
    "superseded": ("đã có phiên bản thay thế", "superseded by a newer accepted version"),
    "none": ("chưa có", "none"),
    "asked": ("chờ quyết định", "waits for a decision"),
    "granted": ("chấp thuận", "granted"),
    "refused": ("không chấp thuận", "refused"),
    "given": ("đã giải trình, chờ xem", "given, not looked at yet"),
    "noted": ("đã ghi nhận", "noted"),
    "questioned": ("cần bổ sung", "more is to be said"),
    "open": ("mở", "open"),
    "locked": ("khóa", "locked"),
}
#: those who act for the agency that owes the report
_OF_AGENCY: tuple[Actor, ...] = ("agency", "reporting_officer", "head", "deputy")
_WHO_SIGN: tuple[Actor, ...] = ("head", "deputy")
#: a head answers for lateness; the agency's own system hands on what the head has signed
_WHO_EXPLAIN: tuple[Actor, ...] = ("agency", *_WHO_SIGN)
_REVIEWERS: tuple[Actor, ...] = ("reviewer", "provincial_office", "chair")
_ABOVE: tuple[Actor, ...] = ("provincial_office", "chair")


class Transition(Struct, frozen=True):
    """One row of a table. `kind`: of the step that is stored and published; None: no person takes it."""

    thing: Thing
    kind: AnyKind | None
    sources: tuple[str, ...]
    target: str
    name: tuple[str, str]
    route: str = ""
    scope: Scope | None = None
    who: tuple[Actor, ...] = ()
    reason: bool = False  # must be given
    obligation: str = "–"  # what it does to standing and score
    notices: str = "–"
    event: str = "submission.step"


_SUBMISSION = "/v1/submissions/{id}"
_OBLIGATION = "/v1/obligations/{regime}/{period}"

TRANSITIONS: tuple[Transition, ...] = (
    Transition(
        "report", None, (), "received", ("nhận", "receive"), "POST /v1/submissions", "submit", _OF_AGENCY,
        obligation="`awaiting_verdict`; its receipt decides on time or late", notices="reminders stop",
        event="submission.received",
    ),
    Transition(
        "report", None, ("received",), "not_judged", ("hệ thống chưa kiểm tra được", "the system cannot judge it"),
        obligation="`awaiting_verdict`, nobody is overdue; a new version may come, or operators have it judged again",
        notices="the officer is told once", event="verdict.not_judged",
    ),
    Transition(
        "report", None, ("received", "not_judged"), "returned", ("kiểm tra: trả lại", "validation returns it"),
        obligation="`returned`; overdue once the deadline lies behind", notices="returned", event="verdict.reached",
    ),
    Transition(
        "report", None, ("received", "not_judged"), "accepted", ("kiểm tra: đạt", "validation accepts it"),
        obligation="`fulfilled` and scored; where a certification is asked for, only with it",
        notices="unsent ones are cancelled; where it is to be certified, the head is told", event="verdict.reached",
    ),
    Transition(
        "report", None, ("received", "not_judged"), "to_explain",
        ("kiểm tra: đạt, cần giải trình", "validation asks to explain"),
        obligation="as accepted", notices="unsent ones are cancelled", event="verdict.reached",
    ),
    *(
        Transition(
            "report", None, (source,), target,
            ("kiểm tra lại theo báo cáo khác", "judged again by reports that came since"),
            obligation="nothing", event="verdict.reached",
        )
        for source, target in (("accepted", "to_explain"), ("to_explain", "accepted"))
    ),
    Transition(
        "report", None, ("accepted", "to_explain", "approved"), "superseded",
        ("phiên bản mới được tính", "a newer version counts"),
        obligation="the first accepted version answers; completeness is that of the last one in time",
        event="verdict.reached or submission.step, of the newer version",
    ),
    Transition(
        "report", None, ("received", "not_judged", "returned", "rework"), "superseded",
        ("được tính khi đã có phiên bản mới hơn", "it comes to count when a newer version does already"),
        obligation="nothing: the newer version is the last one", event="verdict.reached or submission.step",
    ),
    *(
        Transition(
            "report", None, ("superseded",), target,
            ("phiên bản mới hơn bị rút hoặc trả lại", "the newer version is withdrawn or sent back"),
            obligation="this version answers again", event="submission.step, of the newer version",
        )
        for target in ("accepted", "to_explain", "approved")
    ),
    Transition(
        "report", "certified", ("received", "not_judged", "accepted", "to_explain"), "=", ("ký xác nhận", "certify"),
        f"POST {_SUBMISSION}/certification", "submit", _WHO_SIGN,
        obligation="counts from now on, by its receipt if certified by the lock", notices="unsent ones are cancelled",
    ),
    Transition(
        "report", "approved", ("accepted", "rework"), "approved", ("duyệt", "approve"),
        f"POST {_SUBMISSION}/review", "review", _REVIEWERS,
        obligation="nothing; of what was sent back: it counts again",
    ),
    Transition(
        "report", "rework", ("accepted", "to_explain", "approved", "rework"), "rework",
        ("trả lại để làm lại", "send back for rework"), f"POST {_SUBMISSION}/review", "review", _REVIEWERS, True,
        "`returned` with the reason; what is corrected within the term counts by the receipt of this version",
        "returned, with the reason and the term",
    ),
    Transition(
        "report", "withdrawn", ("received", "not_judged", "returned", "accepted", "to_explain", "rework"), "withdrawn",
        ("rút", "withdraw"), f"POST {_SUBMISSION}/withdrawal", "submit", _OF_AGENCY, True,
        "as if never sent; an earlier accepted version answers again",
        "reminders and overdue start again; the reviewer is told",
    ),
    Transition(
        "report", "appeal_upheld", ("returned",), "accepted", ("chấp nhận khiếu nại", "uphold an appeal"),
        "POST /v1/appeals/{id}/decision", "review", _ABOVE, True,
        "the returned version counts as accepted, by its receipt", "unsent ones are cancelled",
    ),
    Transition(
        "report", "explanation_accepted", ("to_explain",), "accepted",
        ("chấp nhận giải trình", "accept the explanation"), "POST /v1/explanations/{id}/decision", "review",
        _REVIEWERS, False, "nothing", "the officer and who asked are told",
    ),
    Transition(
        "extension", "extension_requested", ("none", "granted", "refused"), "asked",
        ("xin gia hạn", "ask for an extension"),
        f"POST {_OBLIGATION}/extensions", "submit", _OF_AGENCY, True,
        "nothing: until it is granted the deadline stands",
    ),
    Transition(
        "extension", "extension_granted", ("asked",), "granted", ("chấp thuận gia hạn", "grant the extension"),
        "POST /v1/extensions/{id}/decision", "review", _REVIEWERS, True,
        "a relief of this obligation from the hour of the request to `until`",
        "the officer and who asked are told; unsent overdue ones are cancelled",
    ),
    Transition(
        "extension", "extension_refused", ("asked",), "refused", ("không gia hạn", "refuse the extension"),
        "POST /v1/extensions/{id}/decision", "review", _REVIEWERS, True, notices="the officer and who asked are told",
    ),
    Transition(
        "explanation", "explanation_given", ("none", "refused"), "asked", ("giải trình", "explain"),
        f"POST {_SUBMISSION}/explanation", "submit", _OF_AGENCY, True,
    ),
    Transition(
        "explanation", "explanation_accepted", ("asked",), "granted",
        ("chấp nhận giải trình", "accept the explanation"), "POST /v1/explanations/{id}/decision", "review",
        _REVIEWERS, False, "nothing: the report is accepted without reserve", "the officer and who asked are told",
    ),
    Transition(
        "explanation", "explanation_refused", ("asked",), "refused",
        ("không chấp nhận giải trình", "refuse the explanation"), "POST /v1/explanations/{id}/decision", "review",
        _REVIEWERS, True, "nothing: it may be explained again, or sent back for rework",
        "the officer and who asked are told",
    ),
    Transition(
        "lateness", "lateness_explained", ("none", "questioned", "noted"), "given",
        ("giải trình chậm báo cáo", "explain lateness"),
        f"POST {_OBLIGATION}/lateness", "submit", _WHO_EXPLAIN, True, "nothing: no deadline and no score follows it",
        event="submission.lateness",
    ),
    Transition(
        "lateness", "lateness_noted", ("given",), "noted", ("ghi nhận giải trình", "note the explanation"),
        "POST /v1/lateness/{id}/decision", "review", _REVIEWERS, False, "nothing: to note is not to forgive",
        "the officer and who explained are told", "submission.lateness",
    ),
    Transition(
        "lateness", "lateness_questioned", ("given",), "questioned",
        ("yêu cầu giải trình bổ sung", "ask for more"), "POST /v1/lateness/{id}/decision", "review", _REVIEWERS, True,
        "nothing", "the officer and who explained are told", "submission.lateness",
    ),
    Transition(
        "appeal", "appeal_made", ("none", "granted", "refused"), "asked", ("khiếu nại", "appeal"),
        f"POST {_SUBMISSION}/appeals, {_OBLIGATION}/appeals", "submit", _OF_AGENCY, True,
    ),
    Transition(
        "appeal", "appeal_upheld", ("asked",), "granted", ("chấp nhận khiếu nại", "uphold the appeal"),
        "POST /v1/appeals/{id}/decision", "review", _ABOVE, True,
        "`relief`: a relief of this obligation from `since` to `until`; `accepted`: the returned version counts",
        "the officer and who asked are told",
    ),
    Transition(
        "appeal", "appeal_dismissed", ("asked",), "refused", ("bác khiếu nại", "dismiss the appeal"),
        "POST /v1/appeals/{id}/decision", "review", _ABOVE, True, notices="the officer and who asked are told",
    ),
    Transition(
        "lock", None, ("open",), "locked", ("hết hạn khóa", "the lock's hour passes"),
        obligation="nothing; no report is taken any more", event="–",
    ),
    Transition(
        "lock", "unlocked", ("locked", "open"), "open", ("mở khóa", "unlock"), f"POST {_OBLIGATION}/unlock", "review",
        _ABOVE, True, "nothing: what comes is late by its receipt",
    ),
)  # fmt: skip


def by_kind(kind: AnyKind) -> Transition:
    """The row by which a person takes this step; of a decision, what is decided, not the report that it changes."""
    return next(row for row in reversed(TRANSITIONS) if row.kind == kind)


def thing_of(kind: AnyKind) -> Thing:
    return by_kind(kind).thing


def scope_of(kind: AnyKind) -> Scope:
    """The scope that a key needs for this step."""
    scope = by_kind(kind).scope
    assert scope is not None, "a person takes it"
    return scope


def possible(thing: Thing, state: str) -> list[Transition]:
    """What people can do with a thing in this state."""
    return [row for row in TRANSITIONS if row.thing == thing and row.kind is not None and state in row.sources]


def who(actors: Iterable[Actor]) -> tuple[str, str]:
    """Who they are, in words."""
    vi, en = zip(*(ACTORS[actor] for actor in actors), strict=True)
    return ", ".join(vi), ", ".join(en)


def as_markdown(thing: Thing) -> str:
    """The table as docs/lifecycle.md shows it."""
    lines = ["| from | to | step | who may | obligation and score | notices | event |", "|---|---|---|---|---|---|---|"]
    for row in (row for row in TRANSITIONS if row.thing == thing):
        sources = ", ".join(f"`{source}`" for source in row.sources) or "–"
        target = "the same" if row.target == "=" else f"`{row.target}`"
        step = f"{row.name[1]} ({row.name[0]})" + (f": `{row.route}`" if row.route else "")
        may = "–" if row.scope is None else f"{who(row.who)[1]}; scope `{row.scope}`"
        reason = "; with a reason" if row.reason else ""
        lines.append(
            f"| {sources} | {target} | {step}{reason} | {may} | {row.obligation} | {row.notices} | {row.event} |"
        )
    return "\n".join(lines)

"""Decides whether a published regime version is told, to whom, and what its letter says has changed. Pure.

A version is told ahead of the day from which it counts. One that counts already is told only where it takes the place
of one that was known here, so that a registry read for the first time tells nobody of what has long been so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct

from services.notifier.planning.directory import Directory, Officer
from services.notifier.planning.domain import LetterFacts, Notice
from shared.contract.addressing import override_of, submits
from shared.contract.events import RegimePublished
from shared.contract.events.registry import DeadlineOverride
from shared.contract.hierarchy import Tree

#: what was published longer ago than this is not told any more
TOLD_WITHIN = timedelta(days=30)
#: items that a letter lists of each kind of change; the others it counts
MAX_LISTED_ITEMS = 12


class Submitters(Struct, frozen=True):
    """Who reports under a version, as shared/contract/addressing.py reads it."""

    submitter_kinds: tuple[str, ...]
    submitters: tuple[str, ...]
    submitters_except: tuple[str, ...]
    submitter_parents: tuple[str, ...]


class Version(Struct, frozen=True):
    """A published version as notifier keeps it. content: as content.content_of; None: stored before there was any."""

    code: str
    number: int
    effective_from: date
    content: Mapping[str, Any] | None

    def submitters(self) -> Submitters:
        """Nobody, where the content is not known."""
        content = self.content or {}
        return Submitters(*(tuple(content.get(name, ())) for name in Submitters.__struct_fields__))


class Told(Struct, frozen=True):
    """A person who is told, and the agency for which."""

    agency: str
    officer: Officer | None
    skipped: str = ""  # why nobody is


def takes_a_place(number: int, published: datetime, known: Mapping[int, datetime]) -> bool:
    """Whether a version takes the place of one that was here when it was published. known: versions here, since when.

    What was published before any was here belongs to the first reading of the registry, in however many batches.
    """
    return number not in known and any(since < published for since in known.values())


def to_tell(regime: RegimePublished, published: datetime, now: datetime, today: date, *, known: bool) -> bool:
    """Whether a version that is heard for the first time is told.

    published, now: system time. today: local, business time. known: it takes the place of another (takes_a_place).
    """
    if now - published > TOLD_WITHIN or (regime.effective_to is not None and regime.effective_to < today):
        return False
    return regime.effective_from > today or known


def told(version: Version, codes: Iterable[str], directory: Directory, tree: Tree, on: date) -> list[Told]:
    """Of these agencies those that report under the version, each with its officer and its head.

    on: the day from which the version counts, or today where that is behind.
    """
    submitters, found = version.submitters(), []
    for code in codes:
        agency = directory.agency(code)
        if agency.closed(on) or not agency.kind or not submits(agency, submitters, tree.above(code, on)):
            continue
        people = [one for one in (directory.responsible(code, version.code), directory.head(code)) if one is not None]
        found += [Told(code, one) for one in {one.officer_id: one for one in people}.values()]
        if not people:
            found.append(Told(code, None, directory.why_no_officer(code)))
    return found


def changes(
    version: Version, before: Version | None, agency: str, kind: str, above: Sequence[str]
) -> dict[str, Any]:  # fmt: skip
    """What the letter says, as JSON: from when, and for this agency what is other than under the version before.

    Lists are empty and terms None where nothing changes, or where the version before is not known (`compared` False).
    """
    now, then = version.content or {}, (before.content if before is not None else None)
    said: dict[str, Any] = {
        "version": version.number,
        "before": before.number if before is not None else None,
        "effective_from": version.effective_from.isoformat(),
        "reason": now.get("replaces_reason") or "",
        "frequency": now.get("frequency") or "",
        "deadline": _terms(now, agency, kind, above),
        "compared": then is not None,
        "deadline_before": None,
        "cutoff": None,
        "frequency_before": "",
        "certification": "",
    }
    if then is None:
        return said | {f"{name}{end}": [] if not end else 0 for name in _LISTS for end in ("", "_left_out")}
    terms = _terms(then, agency, kind, above)
    if terms != said["deadline"]:
        said["deadline_before"] = terms
    if now["cutoff"] != then["cutoff"]:
        said["cutoff"] = now["cutoff"]
    if now["frequency"] != then["frequency"]:
        said["frequency_before"] = then["frequency"]
    if now["certification"] != then["certification"]:
        said["certification"] = now["certification"]
    ours, theirs = ({item["code"]: item for item in content["items"]} for content in (now, then))
    lists = (
        [item for code, item in ours.items() if code not in theirs],
        [item for code, item in theirs.items() if code not in ours],
        [item for code, item in ours.items() if code in theirs and item != theirs[code]],
    )
    for name, items in zip(_LISTS, lists, strict=True):
        said[name] = [{key: item[key] for key in ("code", "label", "label_en")} for item in items[:MAX_LISTED_ITEMS]]
        said[f"{name}_left_out"] = max(0, len(items) - MAX_LISTED_ITEMS)
    return said


_LISTS = ("added", "removed", "changed")


def _terms(content: Mapping[str, Any], agency: str, kind: str, above: Sequence[str]) -> dict[str, Any]:
    """The agency's deadline under a version: its own where there is one for it, else the regime's."""
    deadline = dict(content["deadline"])
    overrides = [DeadlineOverride.model_validate(one) for one in deadline.pop("overrides", ())]
    place = override_of(_Agency(agency, kind), overrides, above)
    extra = 0
    if place:
        own = overrides[place - 1]
        extra = own.extra_working_days or 0
        if own.deadline is not None:
            deadline = own.deadline.model_dump(mode="json")
    return deadline | {"extra_working_days": extra}


class _Agency(Struct, frozen=True):
    code: str
    kind: str


def key_of(agency: str, version: Version) -> tuple[str, str]:
    """(ledger key, period) under which an agency is told of a version; no period of a report is called so."""
    period = f"version/{version.number}"
    return f"{agency}/{version.code}/{period}", period


def notice(
    one: Told, version: Version, before: Version | None, directory: Directory, tree: Tree, at: datetime
) -> Notice:
    """The letter to one person. `at`: business time."""
    agency = directory.agency(one.agency)
    key, period = key_of(one.agency, version)
    facts = LetterFacts(
        recipient_name=one.officer.name if one.officer else "",
        recipient_title=one.officer.title if one.officer else "",
        agency=one.agency,
        agency_name=agency.name,
        agency_name_en=agency.name_en,
        regime=version.code,
        regime_version=version.number,
        period=period,
        deadline=None,
        standing=None,
        regime_change=changes(
            version, before, one.agency, agency.kind, tree.above(one.agency, version.effective_from)
        ),
    )  # fmt: skip
    return Notice(
        obligation=key,
        agency=one.agency,
        regime=version.code,
        period=period,
        kind="regime",
        step=f"regime/{version.number}",
        officer=one.officer,
        facts=facts,
        at=at,
        skipped=one.skipped or None,
    )

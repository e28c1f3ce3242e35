"""A verdict depends on the submission and its form alone: no clock, no I/O, and no input makes it raise.

All findings are counted; errors come before warnings, then tiers, then the order of the form; only so many are listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar
from uuid import UUID

from services.validator.references import NO_REFERENCES, References
from services.validator.rules import catalogue, fingerprints, mentions, narratives, sums, synthesis, tables, texts
from services.validator.rules.figures import check
from services.validator.rules.flaws import Flaw, pointer, render, shown
from services.validator.rules.forms import CompiledForm, Narrative
from services.validator.rules.numbers import MAX_DIGITS, is_blank
from services.validator.rules.packs import Enter, Pack
from services.validator.rules.tables import Tables
from shared.contract.events import Finding, Severity, Tier, VerdictOutcome, WaiverGranted
from shared.contract.events.verdicts import Waived
from shared.runtime.english import counted

#: findings listed in a verdict; all are counted
LISTED_FINDINGS = 500
#: and their texts together stay this small, so that the verdict's event fits into a Kafka message
LISTED_CHARACTERS = 300_000

#: Two numbers of 38 digits span at most 76 places; a sum of them is exact or, by the trap, an error of ours. The
#: default context would silently round at 28 digits.
EXACT = Context(prec=200, Emax=999_999, Emin=-999_999, traps=[InvalidOperation, DivisionByZero, Overflow, Inexact])


NO_NARRATIVES: Mapping[str, str] = MappingProxyType({})
NO_TABLES: Tables = MappingProxyType({})


class Overrun(NamedTuple):
    """Where judging a report was stopped, and by which limit: CPU of the tier or of the whole report, or memory."""

    limit: Literal["tier", "report", "memory"]
    tier: Tier
    rule: str  # code of the rule, table or narrative; empty: not one alone
    seconds: float  # of CPU, the limit

    @property
    def finding(self) -> Finding:
        """What the agency is told of it. The tier is that which ran over."""
        tier, tier_en = catalogue.TIER_NAMES[self.tier]
        limit, limit_en = {
            "tier": (f"nhóm kiểm tra “{tier}” dùng quá {_seconds(self.seconds, ',')} giây xử lý",
                     f'the checks of the tier "{tier_en}" took more than {_seconds(self.seconds)} s of processing'),
            "report": (f"việc kiểm tra dùng quá {_seconds(self.seconds, ',')} giây xử lý",
                       f"judging took more than {_seconds(self.seconds)} s of processing"),
            "memory": ("việc kiểm tra cần quá nhiều bộ nhớ", "judging needs too much memory"),
        }[self.limit]  # fmt: skip
        of, of_en = (f", mục {self.rule}", f", item {self.rule}") if self.rule else ("", "")
        words = {
            "limit": limit, "limit_en": limit_en,
            "place": f"kiểm tra nhóm “{tier}”{of}", "place_en": f'checking the tier "{tier_en}"{of_en}',
        }  # fmt: skip
        return render(Flaw(catalogue.NOT_JUDGED, "", words)).model_copy(update={"tier": self.tier})


class Overran(Exception):
    """The report costs more CPU than it may: `where`."""

    def __init__(self, where: Overrun) -> None:
        super().__init__(where)
        self.where = where


def _seconds(seconds: float, point: str = ".") -> str:
    return f"{seconds:g}".replace(".", point)


class Section(NamedTuple):
    """A narrative section to be compared with others; what is said of a near-copy, and how severely."""

    code: str
    name: str
    name_en: str
    like_last: Severity | None  # None: the regime does not ask
    like_another: Severity | None
    buckets: bytes  # its fingerprint


class Kept(NamedTuple):
    """The fingerprint of a section of an accepted report."""

    submission_id: UUID
    obligation: str
    agency: str
    received_at: datetime
    buckets: bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of one submission."""

    outcome: VerdictOutcome
    errors: int
    warnings: int
    required_items: int  # figures, narratives and tables the form requires of this submission
    present_items: int  # of these, usable: of the right type and in range, no filler; a table in which nothing is wrong
    findings: tuple[Finding, ...] = ()
    findings_truncated: bool = False
    waived: int = 0  # findings that count against nobody, in neither of the numbers above
    unlisted: tuple[tuple[str, Severity, int], ...] = ()  # found and not listed: code, severity, how many
    waivers: Mapping[str, WaiverGranted] | None = None  # in force for this report, by the code of their rule
    any_nonzero: bool | None = None  # whether a figure or a table says something; None: no figure, or one unread
    filler: Severity = "error"  # what the regime makes of a report of zeros alone
    rule_pack: str | None = None  # checksum of the form's rules
    looks_back: Pack | None = None  # the form's rules, where some are about other reports
    references: References = NO_REFERENCES  # that rules looked up
    looked_at: tuple[str, ...] = ()  # obligations whose accepted reports they look at
    of_others: tuple[Finding, ...] = ()  # findings of these rules
    compared_with: tuple[UUID, ...] = ()  # submissions that they looked back to
    sections: tuple[Section, ...] = ()  # its texts that are long enough to be compared, should it be accepted
    resembles: tuple[UUID, ...] = ()  # submissions of other agencies that it is a near-copy of; shown to nobody

    @property
    def to_explain(self) -> bool:
        """Whether it is accepted and a finding asks for an explanation."""
        return self.outcome == "accepted" and any(asks_to_explain(finding) for finding in self.findings)

    @property
    def is_compared(self) -> bool:
        """Whether anything is to be said of it beside other reports."""
        return self.any_nonzero is False or self.looks_back is not None or bool(self.sections)

    @property
    def compared(self) -> tuple[Section, ...]:
        """The sections that are compared and kept: those of an accepted report. Waivers may accept it yet."""
        return self.sections if self.outcome == "accepted" else ()

    def kept_figures(self, figures: Mapping[str, str | None]) -> dict[str, str] | None:
        """What reports of later periods, and under other regimes, are compared with: the figures, where accepted."""
        if self.outcome != "accepted":
            return None
        return {code: text.strip() for code, text in figures.items() if text is not None and not is_blank(text)}


def asks_to_explain(finding: Finding) -> bool:
    """Whether the agency is asked to explain the finding."""
    return finding.weight == "confirm"


T = TypeVar("T")
#: what an accepted report holds, with the moment of its withdrawal
Held = tuple[datetime | None, T]


def standing(versions: Sequence[Held[T]] | None, received_at: datetime) -> Held[T] | None:
    """Of an obligation's accepted reports, the newest first, the first that stood when another report was received."""
    return next((held for held in versions or () if held[0] is None or held[0] > received_at), None)


@dataclass(frozen=True, slots=True)
class Earlier:
    """An accepted report of an earlier period."""

    submission_id: UUID
    figures: Mapping[str, str]


NO_REPORTS: Mapping[str, Earlier] = MappingProxyType({})


def judge(
    form: CompiledForm,
    figures: Mapping[str, str | None],
    given_narratives: Mapping[str, str],
    given_tables: Tables = NO_TABLES,
    *,
    nil: bool,
    period: str = "",
    references: References = NO_REFERENCES,
    enter: Enter | None = None,
) -> Judgement:
    """Judge the content of one submission by its form. `period`: for rules that are of some periods only.

    `references`: the tables that its rules look up. `enter` is told what is judged next: the tier, and the code of the
    rule, table or narrative (empty: several).

    A NIL report owes nothing where the form allows NIL. Where it does not, the report still owes everything, but the
    one finding that says so is enough. Content beside NIL is checked as far as it goes.
    """
    flaws: list[Flaw] = []
    values: dict[str, Decimal] = {}
    absent = 0
    sections: list[Section] = []
    if enter is not None:
        enter("validity", "")
    with localcontext(EXACT):
        for code, well_written, minimum, maximum, figure in form.steps:
            text = figures.get(code)
            if text is not None and len(text) <= MAX_DIGITS and well_written(text):
                value = Decimal(text)
                if minimum <= value <= maximum:
                    values[code] = value
                    continue
            before = len(flaws)
            read = check(figure, text, flaws, demanded=not nil)
            if read is not None:
                values[code] = read
            if figure.required and (read is None or any(flaw.is_error for flaw in flaws[before:])):
                absent += 1
        if enter is not None:
            enter("consistency", "")
        sums.check(form, figures, values, flaws)
    for text_figure in form.texts:
        usable = texts.check(text_figure, figures.get(text_figure.code), flaws, form.severities, demanded=not nil)
        absent += text_figure.required and not usable
    for narrative in form.narratives:
        given = given_narratives.get(narrative.code)
        if enter is not None:
            enter("narrative", narrative.code)
        content = narratives.trimmed(given) if given else ""
        if content:
            before = len(flaws)
            narratives.check(narrative, content, flaws, form.severities)
            absent += narrative.required and any(map(narratives.is_unusable, flaws[before:]))
            if form.labels and values:
                with localcontext(EXACT):
                    mentions.check(form.labels, form.figures, values, narrative, content, flaws, form.severities)
            if form.keys and not nil and "assessment" in narrative.roles:
                synthesis.check(form.keys, form.figures, values, narrative, content, flaws, form.severities)
            if form.near_copies and (buckets := fingerprints.fingerprint(content)) is not None:
                sections.append(_section(narrative, form.near_copies, buckets))
        elif narrative.required:
            absent += 1
            if not nil:
                flaws.append(Flaw(catalogue.NARRATIVE_MISSING, narrative.path, narrative.words))
    if form.tables:
        with localcontext(EXACT):
            for table in form.tables:
                if enter is not None:
                    enter("validity", table.code)
                usable = tables.check(table, given_tables.get(table.code), flaws, form.severities, demanded=not nil)
                absent += table.required and not usable
    if enter is not None:
        enter("structure", "")
    _check_codes(form, figures, given_narratives, given_tables, flaws)
    if form.pack is not None and not nil:
        form.pack.check(
            values, figures, given_tables, flaws, period=period, narratives=given_narratives,
            references=references.tables, enter=enter,
        )  # fmt: skip
    if nil or not (values or form.required_items):
        _check_nil(form, figures, given_narratives, given_tables, nil, flaws)

    excused = nil and form.nil_allowed
    required = 0 if excused else form.required_items
    present = 0 if excused else required - absent
    any_nonzero = (
        True
        if any(values.values()) or any(tables.says_something(t, given_tables.get(t.code)) for t in form.tables)
        else False
        if _all_read(values, figures, form.text_codes)
        else None
    )
    rule_pack = None if form.pack is None else form.pack.checksum
    if not flaws:
        return Judgement(
            "accepted",
            0,
            0,
            required,
            present,
            any_nonzero=any_nonzero,
            filler=form.severities[catalogue.ALL_ZERO.code],
            rule_pack=rule_pack,
            looks_back=form.looks_back,
            references=references,
            sections=tuple(sections),
        )
    concluded = _concluded(flaws, required, present)
    return replace(
        concluded,
        sections=tuple(sections),
        any_nonzero=any_nonzero,
        filler=form.severities[catalogue.ALL_ZERO.code],
        rule_pack=rule_pack,
        looks_back=form.looks_back,
        references=references,
    )


def _all_read(values: Mapping[str, Decimal], figures: Mapping[str, str | None], texts: frozenset[str]) -> bool:
    """Whether every number was read, and there is one; a text beside zeros says nothing of what was done."""
    return bool(values) and all(code in values or code in texts or is_blank(text) for code, text in figures.items())


def after_figures(judgement: Judgement, before: str, *, confirmed: bool) -> Judgement:
    """The judgement on a report of zeros alone, where the period `before` had figures.

    `confirmed`: an earlier version was returned for that. Zeros that are sent again are the agency's word: whoever
    truly has nothing must not be returned for ever.
    """
    severity: Severity = "warning" if confirmed else judgement.filler
    return with_finding(judgement, render(Flaw(catalogue.ALL_ZERO, "/figures", {"before": before}, severity=severity)))


def _rank(finding: Finding) -> tuple[bool, int]:
    return (finding.severity != "error", catalogue.TIER_RANK[finding.tier])


def after_history(
    judgement: Judgement,
    figures: Mapping[str, str | None],
    period: str,
    previous: Earlier | None,
    year_ago: Earlier | None,
    *,
    others: Mapping[str, Earlier] = NO_REPORTS,
    given_narratives: Mapping[str, str] = NO_NARRATIVES,
    given_tables: Tables = NO_TABLES,
    children: Sequence[Earlier] | None = None,
    looked_at: tuple[str, ...] = (),
    again: bool = False,
    enter: Enter | None = None,
) -> Judgement:
    """The judgement with what the rules say about other reports.

    Those of the agency for the period before and for that of the year before, `others` under other regimes by the
    regime's code, and `children`: of the agencies beneath it; None: not all of these have come, or who they are is not
    known. `looked_at`: the obligations whose reports these are. `again`: the report was accepted before; nobody is
    returned for what others report later, so what would return it asks for an explanation. `enter` is told of each rule
    before it is asked.
    """
    assert judgement.looks_back is not None
    flaws: list[Flaw] = []
    judgement.looks_back.look_back(
        figures,
        None if previous is None else previous.figures,
        None if year_ago is None else year_ago.figures,
        flaws,
        period=period,
        tables=given_tables,
        narratives=given_narratives,
        reports={regime: report.figures for regime, report in others.items()},
        references=judgement.references.tables,
        children=None if children is None else [child.figures for child in children],
        enter=enter,
    )
    rendered = [_asking(render(flaw)) if again else render(flaw) for flaw in flaws]
    found = tuple(_waived(finding, judgement.waivers or {}) for finding in rendered)
    for finding in rendered:
        judgement = with_finding(judgement, finding)
    compared = (previous, year_ago, *others.values(), *(children or ()))
    used = tuple(dict.fromkeys(report.submission_id for report in compared if report))
    return replace(judgement, compared_with=used, of_others=found, looked_at=looked_at)


def _asking(finding: Finding) -> Finding:
    """The finding as one that asks for an explanation, where it would return the report."""
    if finding.severity != "error":
        return finding
    return finding.model_copy(update={"severity": "warning", "weight": "confirm", "explain": True})


def without(findings: Iterable[Finding], taken: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings but for those that were taken out, each once."""
    left = list(findings)
    for finding in taken:
        if finding in left:
            left.remove(finding)
    return tuple(left)


def _section(narrative: Narrative, near_copies: Mapping[str, Severity], buckets: bytes) -> Section:
    return Section(
        narrative.code,
        narrative.words["name"],
        narrative.words["name_en"],
        near_copies.get(catalogue.LIKE_LAST.code),
        near_copies.get(catalogue.LIKE_ANOTHER.code),
        buckets,
    )


def after_texts(judgement: Judgement, last: Mapping[str, Kept], others: Mapping[str, Iterable[Kept]]) -> Judgement:
    """The judgement with what is said of near-copies; what is no near-copy is not told.

    `last`, by section: of the agency's report of the period before; `others`: of reports of other agencies of the same
    regime and period that were received earlier. Who repeats himself is not said to be like another.
    """
    compared, resembles = list(judgement.compared_with), list(judgement.resembles)
    for section in judgement.compared:
        words = {"name": section.name, "name_en": section.name_en}
        path = pointer("narratives", section.code)
        own = last.get(section.code)
        if own is not None and section.like_last is not None:
            compared.append(own.submission_id)
            likeness = fingerprints.likeness(section.buckets, own.buckets)
            if likeness >= fingerprints.NEAR:
                words |= {"percent": str(round(100 * likeness)), "before": own.obligation.rpartition("/")[2]}
                flaw = Flaw(catalogue.LIKE_LAST, path, words, severity=section.like_last)
                judgement = with_finding(judgement, render(flaw))
                continue
        for other in others.get(section.code, ()) if section.like_another is not None else ():
            likeness = fingerprints.likeness(section.buckets, other.buckets)
            if likeness >= fingerprints.NEAR:
                resembles.append(other.submission_id)
                flaw = Flaw(
                    catalogue.LIKE_ANOTHER,
                    path,
                    words | {"percent": str(round(100 * likeness))},
                    severity=section.like_another,
                )
                judgement = with_finding(judgement, render(flaw))
                break
    return replace(judgement, compared_with=tuple(dict.fromkeys(compared)), resembles=tuple(dict.fromkeys(resembles)))


def in_force(given: Iterable[WaiverGranted], agency: str, day: date) -> dict[str, WaiverGranted]:
    """Of a regime's waivers those of a report of this agency that is received on this day, by the code of their rule.

    Of several for one rule the one that lasts longest, else the first by its id.
    """
    found: dict[str, WaiverGranted] = {}
    for waiver in sorted(given, key=lambda waiver: waiver.waiver_id):
        if waiver.since <= day <= waiver.until and agency in waiver.agencies:
            before = found.get(waiver.rule)
            if before is None or before.until < waiver.until:
                found[waiver.rule] = waiver
    return found


def under_waivers(judgement: Judgement, waivers: Mapping[str, WaiverGranted]) -> Judgement:
    """The judgement where these rules count against nobody: what they found is listed as waived, and not counted."""
    if not waivers:
        return judgement
    judgement = replace(judgement, waivers=waivers)
    concerned = [finding.severity for finding in judgement.findings if finding.code in waivers]
    concerned += [severity for code, severity, many in judgement.unlisted if code in waivers for _ in range(many)]
    if not concerned:
        return judgement
    errors = concerned.count("error")
    findings = sorted((_waived(finding, waivers) for finding in judgement.findings), key=_rank)
    return replace(
        judgement,
        outcome="returned" if judgement.errors > errors else "accepted",
        errors=judgement.errors - errors,
        warnings=judgement.warnings - (len(concerned) - errors),
        waived=len(concerned),
        findings=tuple(findings),
    )


def _waived(finding: Finding, waivers: Mapping[str, WaiverGranted]) -> Finding:
    waiver = waivers.get(finding.code)
    if waiver is None:
        return finding
    why = Waived(
        waiver_id=waiver.waiver_id,
        asked_by=waiver.asked_by,
        approved_by=waiver.approved_by,
        reason=waiver.reason,
        until=waiver.until,
        weight=finding.weight or "info",
    )
    return finding.model_copy(update={"severity": "warning", "weight": "info", "explain": None, "waived": why})


def with_finding(judgement: Judgement, finding: Finding) -> Judgement:
    """The judgement with a finding that was made later, in its place among the others."""
    finding = _waived(finding, judgement.waivers or {})
    findings = list(judgement.findings)
    findings.insert(sum(_rank(line) <= _rank(finding) for line in findings), finding)
    is_waived = finding.waived is not None
    is_error = finding.severity == "error"
    return replace(
        judgement,
        outcome="returned" if judgement.errors or is_error else "accepted",
        errors=judgement.errors + is_error,
        warnings=judgement.warnings + (not is_error and not is_waived),
        waived=judgement.waived + is_waived,
        findings=tuple(findings[:LISTED_FINDINGS]),
        findings_truncated=judgement.findings_truncated or len(findings) > LISTED_FINDINGS,
    )


def _check_codes(
    form: CompiledForm,
    figures: Mapping[str, str | None],
    given_narratives: Mapping[str, str],
    given_tables: Tables,
    flaws: list[Flaw],
) -> None:
    unknown = 0
    for rule, member, given, declared in (
        (catalogue.UNKNOWN_FIGURE, "figures", figures.keys(), form.figure_codes),
        (catalogue.UNKNOWN_NARRATIVE, "narratives", given_narratives.keys(), form.narrative_codes),
        (catalogue.UNKNOWN_TABLE, "tables", given_tables.keys(), form.table_codes),
    ):
        if not given <= declared:
            for code in sorted(given - declared):
                # they come first in the verdict: one that will not be listed costs no words
                listed = unknown < LISTED_FINDINGS
                flaws.append(_unknown(form, rule, member, code) if listed else Flaw(rule, "", {}))
                unknown += 1


def _check_nil(
    form: CompiledForm,
    figures: Mapping[str, str | None],
    given_narratives: Mapping[str, str],
    given_tables: Tables,
    nil: bool,
    flaws: list[Flaw],
) -> None:
    """What is wrong between NIL and content; a report without either is worth a warning."""
    content = [code for code, text in figures.items() if not is_blank(text)]
    content += [code for code, text in given_narratives.items() if narratives.trimmed(text)]
    content += [code for code, rows in given_tables.items() if rows]
    if nil and not form.nil_allowed:
        words = {"count": str(form.required_items), "count_en": counted(form.required_items, "required item")}
        flaws.append(Flaw(catalogue.NIL_NOT_ALLOWED, "/nil", words, provided="true", expected="false"))
    elif nil and content:
        names = ", ".join(shown(code, 40) for code in sorted(content)[:10]) + (", …" if len(content) > 10 else "")
        words = {"count": str(len(content)), "count_en": counted(len(content), "item"), "names": names}
        flaws.append(Flaw(catalogue.NIL_WITH_CONTENT, "/nil", words, provided="true", expected="false"))
    if not nil and not content and form.nil_allowed and (form.figure_codes or form.narratives or form.tables):
        flaws.append(Flaw(catalogue.EMPTY_REPORT, "", {}))


def _unknown(form: CompiledForm, rule: catalogue.Rule, member: str, code: str) -> Flaw:
    meant = form.folded_codes.get(code.strip().casefold())
    name = f"“{shown(code, 60)}”"
    if meant is None:
        hint = "Bỏ mã này khỏi báo cáo, hoặc viết lại đúng mã như trong biểu mẫu của phiên bản chế độ báo cáo này."
        hint_en = "Leave this code out, or write it exactly as in the form of this version of the reporting regime."
    else:
        place = next(
            name
            for name, codes in (
                ("figures", form.figure_codes),
                ("narratives", form.narrative_codes),
                ("tables", {meant}),
            )
            if meant in codes
        )
        hint = f"Mã đúng là {meant}, đặt trong “{place}”."
        hint_en = f'The right code is {meant}, under "{place}".'
    words = {"name": name, "name_en": name, "hint": hint, "hint_en": hint_en}
    return Flaw(rule, pointer(member, code), words, provided=shown(code), expected=meant)


def _concluded(flaws: list[Flaw], required: int, present: int) -> Judgement:
    errors = sum(flaw.is_error for flaw in flaws)
    flaws.sort(key=lambda flaw: flaw.rank)  # stable: within a tier the order of the form stays
    listed: list[Finding] = []
    characters = 0
    for flaw in flaws[:LISTED_FINDINGS]:
        finding = render(flaw)
        characters += _characters(finding)
        if listed and characters > LISTED_CHARACTERS:
            break
        listed.append(finding)
    return Judgement(
        outcome="returned" if errors else "accepted",
        errors=errors,
        warnings=len(flaws) - errors,
        required_items=required,
        present_items=present,
        findings=tuple(listed),
        findings_truncated=len(listed) < len(flaws),
        unlisted=_numbers(flaws[len(listed) :]),
    )


def _numbers(flaws: Iterable[Flaw]) -> tuple[tuple[str, Severity, int], ...]:
    found = Counter((flaw.rule.code, flaw.severity or flaw.rule.severity) for flaw in flaws)
    return tuple((code, severity, many) for (code, severity), many in found.items())


def _characters(finding: Finding) -> int:
    return (
        len(finding.path)
        + len(finding.provided or "")
        + len(finding.message)
        + len(finding.message_en)
        + len(finding.fix)
        + len(finding.fix_en)
        + 200  # the names of its fields
    )

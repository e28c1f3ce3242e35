"""What intake publishes of the registry: each event is the whole current record of one entity, compacted by its key.

`version` grows with every change of the entity; a copy never lets an older version overwrite a newer one. The limits
of the fields (shared/contract/events/fields.py) count where a record is admitted, not where an event is read.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from shared.contract.events.base import REGISTRY, EventModel, Model, Moment
from shared.contract.events.fields import (
    EACH_ONCE,
    Address,
    Amount,
    BoundedMoment,
    Code,
    Day,
    Label,
    Name,
    Note,
    OptionalLabel,
    OptionalName,
    Reason,
    Unit,
    at_most,
    between,
)
from shared.contract.events.rules import MAX_RULES, GivenFigures, PackRule, whole_number_as_text
from shared.contract.events.verdicts import Weight

AgencyKind = Literal["province", "department", "commune", "ward", "special_zone", "district", "office"]
Frequency = Literal["weekly", "monthly", "quarterly", "half_yearly", "nine_monthly", "yearly", "adhoc"]
Filler = Literal["return", "explain"]
#: what becomes of what is open when an agency closes: its first successor owes it, or nobody does
OpenObligations = Literal["transfer", "withdraw"]
OfficerRole = Literal["reporting_officer", "head"]
#: a letter about all that a person answers for: what is due and overdue; what a week has brought
DigestKind = Literal["daily", "weekly"]
#: head: a report counts once the head of the agency, or a deputy with delegation, has certified it
Certification = Literal["none", "head"]
#: required: a reviewer approves each accepted report, or sends it back for rework
Review = Literal["none", "required"]

#: a figure is a number, or a short text such as a grade
FigureKind = Literal["number", "text"]
#: what kind of number a figure is; percentages are never added up
FigureType = Literal["integer", "decimal", "percent"]
#: what the cells of a table's column hold: a number like a figure's, a text, a day (ISO 8601), one of the choices
ColumnType = Literal["integer", "decimal", "percent", "text", "date", "choice"]
#: what the cells of a reference table's column hold: an exact decimal, a text, a day (ISO 8601)
ReferenceType = Literal["number", "text", "date"]
#: how the figures of many agencies, or periods, become one
Consolidation = Literal["sum", "average", "last", "none"]
#: what a narrative section is for: results, assessment, causes, proposals (kết quả, đánh giá, nguyên nhân, kiến nghị)
NarrativeRole = Literal["results", "assessment", "causes", "proposals"]
AttachmentKind = Literal["pdf", "docx", "xlsx", "image"]
#: what a webhook may tell: a receipt, a verdict, a deadline near, overdue, a score decided, a request issued, somebody
#: above told of what is overdue, a report that could not be judged
WebhookEvent = Literal[
    "submission.received", "verdict.reached", "obligation.due_soon", "obligation.overdue", "score.changed",
    "request.issued", "obligation.escalated", "verdict.not_judged",
]  # fmt: skip
#: own: of the agency's own reports; below: of those of the agencies below it, as far as these events go
WebhookCovers = Literal["own", "below"]
EVENTS_BELOW: frozenset[str] = frozenset({"obligation.overdue", "obligation.escalated", "score.changed"})
#: paused: nothing is sent until it is active again; deleted: for good
WebhookState = Literal["active", "paused", "deleted"]

MAX_REGIME_VERSION = 9_999
#: how much of a form one report can answer (shared/reports/limits.py)
MAX_FIGURES, MAX_NARRATIVES = 2_000, 200
MAX_NARRATIVE_CHARACTERS = 20_000
MAX_FIGURE_CHARACTERS = 128
MAX_ATTACHMENTS = 50
#: of one report: its tables, and the rows and cells of all of them together
MAX_TABLES, MAX_TABLE_ROWS, MAX_CELLS = 20, 2_000, 10_000
MAX_COLUMNS, MAX_CHOICES = 50, 200
MAX_CELL_CHARACTERS = 2_000
#: of a reference table; its record has to fit into one event too
MAX_REFERENCE_COLUMNS, MAX_REFERENCE_ROWS = 20, 10_000

_Codes = Annotated[tuple[str, ...], at_most(20_000), EACH_ONCE]
_Characters = Annotated[int, between(0, MAX_NARRATIVE_CHARACTERS)]


class LaterParent(Model):
    """The agency above another one from a day on."""

    code: str
    since: Day


class AgencyRegistered(EventModel):
    """An agency (cơ quan) under its code of QĐ 20/2020/QĐ-TTg."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.agency.v1"
    TOPIC: ClassVar[str] = REGISTRY

    code: str
    name: Name
    name_en: OptionalName = ""
    kind: AgencyKind
    parent: str | None = None  # the agency above it, until the first of `parents` is
    parents: Annotated[tuple[LaterParent, ...], at_most(50)] = ()  # in the order of their days
    opened_on: Day
    closed_on: Day | None = None  # last day on which it exists
    successors: _Codes = ()
    open_obligations: OpenObligations | None = None  # None: said before this was asked for; nobody owes them
    closing_reason: Reason = ""
    version: int

    @property
    def key(self) -> str:
        return f"agency/{self.code}"

    @property
    def heir(self) -> str | None:
        """The agency that owes what is open when this one closes."""
        transfers = self.closed_on is not None and self.open_obligations == "transfer"
        return self.successors[0] if transfers and self.successors else None


class OfficerRegistered(EventModel):
    """A person of an agency: reporting officer (cán bộ đầu mối) or head (thủ trưởng)."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.officer.v1"
    TOPIC: ClassVar[str] = REGISTRY

    officer_id: Code
    agency: str
    name: Name
    title: OptionalName = ""
    email: Address
    role: OfficerRole
    regimes: _Codes = ()  # regimes this officer answers for; empty: all of the agency
    active: bool = True
    version: int

    @property
    def key(self) -> str:
        return f"officer/{self.officer_id}"


class AgencyStaffing(EventModel):
    """Whether an agency has a reporting officer (cán bộ đầu mối) on duty; a head alone is none.

    Published when it changes. An agency of which nothing is said has had one since it was registered. Whether the
    agency exists on a day, its own record says. `version` is the registry's revision: it grows, with gaps.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.staffing.v1"
    TOPIC: ClassVar[str] = REGISTRY

    agency: str
    designated: bool
    version: int

    @property
    def key(self) -> str:
        return f"staffing/{self.agency}"


class AgencyRegrouped(EventModel):
    """When an agency came to be of another kind, or below others: what was due by then it does not owe anew.

    Published when it changes; of an agency of which nothing is said, neither has changed since it was registered.
    `version` is the registry's revision: it grows, with gaps.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.regrouped.v1"
    TOPIC: ClassVar[str] = REGISTRY

    agency: str
    at: Moment  # business time at which intake was last told of either
    moved_at: Moment | None = None  # and of others above it, which concerns those below it too
    version: int

    @property
    def key(self) -> str:
        return f"regrouped/{self.agency}"


class FigureField(Model):
    """One figure (chỉ tiêu) of a form. Bounds are inclusive; `fraction_digits` is the most digits after the point.

    Of a text there is `max_characters`, and none of what is said of numbers.
    """

    code: Code
    label: Label
    label_en: OptionalLabel = ""
    unit: Unit = ""
    required: bool = True
    minimum: Amount | None = None
    maximum: Amount | None = None
    fraction_digits: int = Field(default=0, ge=0, le=12)
    type: FigureType | None = None  # None: as `fraction_digits` says
    scale: Annotated[int, between(0, 12)] = 0  # 1 stands for 10^scale units: 6 for millions
    consolidation: Consolidation = "none"
    key: bool = False  # an assessment is expected to mention one of the key figures
    kind: FigureKind = "number"
    max_characters: Annotated[int, between(1, MAX_FIGURE_CHARACTERS)] = MAX_FIGURE_CHARACTERS  # of a text


class NarrativeField(Model):
    """One narrative section (mục thuyết minh). Lengths count characters after NFC normalisation and trimming."""

    code: Code
    label: Label
    label_en: OptionalLabel = ""
    required: bool = True
    min_characters: _Characters = 0
    max_characters: _Characters = MAX_NARRATIVE_CHARACTERS
    roles: Annotated[tuple[NarrativeRole, ...], at_most(4), EACH_ONCE] = ()
    #: of what counts: spaces, invisible characters and repeated words do not
    min_syllables: Annotated[int, between(0, MAX_NARRATIVE_CHARACTERS)] = 0
    min_sentences: Annotated[int, between(0, MAX_NARRATIVE_CHARACTERS)] = 0


class TableColumn(Model):
    """One column (cột) of a table. Bounds, digits and scale are of numbers alone; `max_characters` is of texts."""

    code: Code
    label: Label
    label_en: OptionalLabel = ""
    type: ColumnType
    unit: Unit = ""
    required: bool = True  # whether each row must fill it
    minimum: Amount | None = None
    maximum: Amount | None = None
    fraction_digits: int = Field(default=0, ge=0, le=12)
    scale: Annotated[int, between(0, 12)] = 0
    max_characters: Annotated[int, between(1, MAX_CELL_CHARACTERS)] = MAX_CELL_CHARACTERS
    choices: Annotated[tuple[Label, ...], at_most(MAX_CHOICES), EACH_ONCE] = ()


class TableField(Model):
    """A table (bảng số liệu) of a form. A report sends its rows; a required table is one required item."""

    code: Code
    label: Label
    label_en: OptionalLabel = ""
    required: bool = True
    columns: Annotated[tuple[TableColumn, ...], at_most(MAX_COLUMNS)]
    min_rows: Annotated[int, between(0, MAX_TABLE_ROWS)] = 1
    max_rows: Annotated[int, between(1, MAX_TABLE_ROWS)] = MAX_TABLE_ROWS


class AttachmentField(Model):
    """A file that is wanted beside the report. Declared only: no report can carry files yet, so none is asked for."""

    code: Code
    label: Label
    label_en: OptionalLabel = ""
    required: bool = False
    kinds: Annotated[tuple[AttachmentKind, ...], at_most(4), EACH_ONCE] = ()  # empty: any


class SumRule(Model):
    """`total` must equal the sum of `terms` within `tolerance` (absolute, same unit)."""

    code: Code
    total: str
    terms: Annotated[tuple[str, ...], at_most(MAX_FIGURES)]
    tolerance: Amount = Field(default="0", validate_default=True)


class Form(Model):
    """What a report of the regime holds."""

    figures: Annotated[tuple[FigureField, ...], at_most(MAX_FIGURES)] = ()
    narratives: Annotated[tuple[NarrativeField, ...], at_most(MAX_NARRATIVES)] = ()
    sums: Annotated[tuple[SumRule, ...], at_most(MAX_FIGURES)] = ()
    nil_allowed: bool = False  # whether a report may say that there was nothing to report (không phát sinh)
    #: what filler does (a phrase for content, repetition): it returns the report, or asks for an explanation
    filler: Filler = "return"
    #: finding code -> what it does in this regime; docs/findings.md says which codes have a choice
    severities: dict[str, Weight] = Field(default_factory=dict)
    attachments: Annotated[tuple[AttachmentField, ...], at_most(MAX_ATTACHMENTS)] = ()
    tables: Annotated[tuple[TableField, ...], at_most(MAX_TABLES)] = ()
    rules: Annotated[tuple[PackRule, ...], at_most(MAX_RULES)] = ()
    #: figures of a report that the form and its rules accept without a remark; agencies are shown them
    example: GivenFigures | None = None


class Cutoff(Model):
    """When figures are closed (thời gian chốt số liệu, NĐ 09/2019/NĐ-CP Điều 12).

    Month-based periods: from `day`+1 of the month before the period to `day` of the period's last month.
    Weekly: from the day after `weekday` of the week before to `weekday` (ISO, 1 = Monday) of the week.
    """

    day: int = Field(default=14, ge=1, le=28)
    weekday: int = Field(default=7, ge=1, le=7)


class DeadlineTerms(Model):
    """When the report is owed (thời hạn gửi, NĐ 09/2019/NĐ-CP Điều 8 and 13), local time of the agency's zone.

    day_of_month: `day` of the period's last month, `month_offset` months later;
    weekday: ISO `weekday` of the week, `week_offset` weeks later;
    working_days_after_cutoff: the nth working day after the cut-off;
    on_request: the ad hoc request says it.
    """

    rule: Literal["day_of_month", "weekday", "working_days_after_cutoff", "on_request"]
    day: int = Field(default=18, ge=1, le=31)
    month_offset: Annotated[int, between(0, 36)] = 0
    weekday: int = Field(default=5, ge=1, le=7)
    week_offset: Annotated[int, between(0, 53)] = 0
    working_days: Annotated[int, between(1, 250)] = Field(default=1, ge=1)
    hour: int = Field(default=17, ge=0, le=23)
    minute: int = Field(default=0, ge=0, le=59)
    on_holiday: Literal["keep", "next_working_day"] = "next_working_day"


class DeadlineOverride(Model):
    """Another deadline for some of the submitters (thời hạn riêng): a rule of its own, or more working days.

    Of one of `agencies`, `parents` (those below them) and `kinds`. One for an agency goes before one for a parent, a
    nearer parent before a farther one, a parent before a kind.
    """

    agencies: _Codes = ()
    parents: _Codes = ()
    kinds: Annotated[tuple[AgencyKind, ...], at_most(20), EACH_ONCE] = ()
    deadline: DeadlineTerms | None = None
    extra_working_days: Annotated[int, between(1, 60)] | None = None  # after the regime's own deadline
    reason: Reason = ""


class Deadline(DeadlineTerms):
    """The regime's deadline, and those that hold for some of its submitters in its place."""

    overrides: Annotated[tuple[DeadlineOverride, ...], at_most(50)] = ()


class RulePack(Model):
    """A name that the publisher gives the form's rules. Nothing reads it: what runs are the rules in `form.rules`."""

    code: Code
    version: Annotated[int, between(1, MAX_REGIME_VERSION)]


class RegimePublished(EventModel):
    """A version of a regime (chế độ báo cáo, NĐ 09/2019/NĐ-CP Điều 7). A published version never changes.

    A newer version may replace it: what has not been judged is judged under the newer one.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.regime.v1"
    TOPIC: ClassVar[str] = REGISTRY

    code: Code
    regime_version: Annotated[int, between(1, MAX_REGIME_VERSION)]
    name: Name
    name_en: OptionalName = ""
    frequency: Frequency
    effective_from: Day
    effective_to: Day | None = None
    submitter_kinds: Annotated[tuple[AgencyKind, ...], at_most(20), EACH_ONCE] = ()
    submitters: _Codes = ()  # agency codes in addition to the kinds
    submitters_except: _Codes = ()  # agency codes that are of such a kind, or below such a parent, and report nothing
    submitter_parents: _Codes = ()  # of such a kind, or of any where none is given: those below one of these agencies
    receiver: str
    cutoff: Cutoff = Cutoff()
    deadline: Deadline
    remind_working_days: Annotated[int, between(0, 60)] = 3  # due soon this many working days before the deadline
    legal_basis: Note = ""
    form: Form
    early_allowed: bool = False  # whether a report may come before its cut-off is over
    #: the published version that this one withdraws: what is not judged under it is judged under this one
    replaces: Annotated[int, between(1, MAX_REGIME_VERSION)] | None = None
    replaces_reason: Reason = ""
    certification: Certification = "none"
    review: Review = "none"
    #: nothing is taken any more once so many working days have passed since the deadline; None: late is never locked
    lock_after_working_days: Annotated[int, between(1, 250)] | None = None
    #: nobody is called overdue before so many working days have passed since the deadline, which stays what it is
    grace_working_days: Annotated[int, between(1, 60)] | None = None
    review_by: Day | None = None  # whether the regime is still needed is to be looked at by this day (rà soát)
    rule_pack: RulePack | None = None
    version: int

    @property
    def key(self) -> str:
        return f"regime/{self.code}/{self.regime_version}"


class RequestIssued(EventModel):
    """An ad hoc or thematic request (báo cáo đột xuất, chuyên đề): a period of its own with its own deadline.

    With `asked_by` it is an information request (phối hợp, trao đổi thông tin): one agency asks others. Withdrawn, it
    counts against nobody; who had answered in time keeps what it earned.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.request.v1"
    TOPIC: ClassVar[str] = REGISTRY

    request_id: str  # the period id, such as DX-2026-003
    regime: str
    title: Name
    title_en: OptionalName = ""
    issued_at: BoundedMoment
    deadline: BoundedMoment
    agencies: _Codes = ()  # empty: every submitter of the regime
    legal_basis: Note = ""
    asked_by: str | None = None  # the agency that asks, and reads the answers
    question: Reason = ""  # what it wants to know
    withdrawn_at: BoundedMoment | None = None  # for good
    withdrawal_reason: Reason = ""
    version: int

    @property
    def key(self) -> str:
        return f"request/{self.request_id}"


class SharingGranted(EventModel):
    """An agency may read the accepted reports of others under one regime (chia sẻ báo cáo), for so long."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.sharing.v1"
    TOPIC: ClassVar[str] = REGISTRY

    sharing_id: Code
    reader: str  # the agency that reads
    regime: Code
    below: str | None = None  # of the agencies below this one, and of itself
    agencies: _Codes = ()  # of these; neither: of all
    since: Day
    until: Day | None = None  # the last day
    legal_basis: Note = ""
    version: int

    @property
    def key(self) -> str:
        return f"sharing/{self.sharing_id}"


class ReferenceColumn(Model):
    """One column (cột) of a reference table."""

    code: Code
    label: Label
    label_en: OptionalLabel = ""
    type: ReferenceType = "text"


#: a cell of a reference table, None where it is blank; a whole number may stand without quotes
_ReferenceCell = Annotated[OptionalName | None, BeforeValidator(whole_number_as_text)]
_ReferenceRow = Annotated[tuple[_ReferenceCell, ...], at_most(MAX_REFERENCE_COLUMNS)]


class ReferenceTablePublished(EventModel):
    """A version of a reference table (danh mục tra cứu), which rules look up. A published version never changes.

    The first column is the key: every row fills it, no two alike. Cells are texts: of numbers exact decimals, of dates
    ISO 8601. For a day counts the version that took effect last by then; of those of one day, the highest.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.reference.v1"
    TOPIC: ClassVar[str] = REGISTRY

    code: Code
    table_version: Annotated[int, between(1, MAX_REGIME_VERSION)]
    name: Name
    name_en: OptionalName = ""
    effective_from: Day
    legal_basis: Note = ""
    columns: Annotated[tuple[ReferenceColumn, ...], at_most(MAX_REFERENCE_COLUMNS)]
    rows: Annotated[tuple[_ReferenceRow, ...], at_most(MAX_REFERENCE_ROWS)] = ()
    version: int

    @property
    def key(self) -> str:
        return f"reference/{self.code}/{self.table_version}"

    @property
    def checksum(self) -> str:
        """SHA-256 in hex of the columns' codes and types and of the rows, as compact JSON in UTF-8."""
        content = [[[column.code, column.type] for column in self.columns], self.rows]
        written = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()


class WaiverGranted(EventModel):
    """A rule finds fault with nobody for so long (miễn áp dụng quy tắc): of reports of these agencies under a regime.

    What the rule would have found is shown as waived. A report is under it by the day of its receipt.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.waiver.v1"
    TOPIC: ClassVar[str] = REGISTRY

    waiver_id: Code
    regime: Code
    rule: Code  # code of its findings
    agencies: _Codes
    asked_by: Code  # the person of such an agency, or of one above it, who asked
    approved_by: Code  # the person above who approved; another one
    reason: Reason
    since: Day
    until: Day  # the last day
    version: int

    @property
    def key(self) -> str:
        return f"waiver/{self.waiver_id}"


class Contact(Model):
    """How a person is reached on one channel (kênh): `email`, `phone`; a channel of later may follow."""

    channel: Code
    address: Name


class PersonsOffice(Model):
    """An office (chức vụ, nhiệm vụ) of a person at an agency, from its first day to its last.

    role: one of shared/access/principals.py; a reader gives no right to a role that it does not know.
    """

    role: Code
    agency: str
    regimes: _Codes = ()  # regimes that it covers; empty: all of the agency
    since: Day
    until: Day | None = None
    delegated_by: Code | None = None  # a deputy's head, by the id of the person or officer
    document: Note = ""  # number and date of the decision or the delegation


class PersonRegistered(EventModel):
    """A person with offices (chức vụ, nhiệm vụ) at agencies. May be an officer too, under the same id.

    Personal data (NĐ 13/2023/NĐ-CP): name, title and contacts.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.person.v1"
    TOPIC: ClassVar[str] = REGISTRY

    person_id: Code
    agency: str  # where the person works
    name: Name
    title: OptionalName = ""
    contacts: Annotated[tuple[Contact, ...], at_most(20)] = ()
    offices: Annotated[tuple[PersonsOffice, ...], at_most(50)] = ()
    digests: Annotated[tuple[DigestKind, ...], EACH_ONCE] | None = None  # None: nothing was said, the offices decide
    version: int

    @property
    def key(self) -> str:
        return f"person/{self.person_id}"


class KeyRegistered(EventModel):
    """A key with which a principal is known to every service: its SHA-256, never the key itself.

    Of an issuer it is the public key that verifies its tokens, which name a person each.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.registry.key.v1"
    TOPIC: ClassVar[str] = REGISTRY

    key_id: str  # the public part of tsk_<key_id>_<secret>; of an issuer the `kid` of its tokens
    sha256: str  # of the whole key, in hex; of an issuer's: of the public key
    principal_kind: str  # agency, person, operator, issuer; a kind that a reader does not know gives no right
    principal_id: str  # the agency's code, the person's id, the operator's name, the service that signs
    scopes: tuple[str, ...] = ()
    public_key: str | None = None  # of an issuer: 32 bytes of Ed25519 in hex
    created_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
    version: int

    @property
    def key(self) -> str:
        return f"key/{self.key_id}"


class WebhookSecret(Model):
    """Which secret signs a webhook's messages; the secret itself is derived (shared/contract/webhook_secrets.py)."""

    generation: int
    master_key: str  # the id of the master key
    until: Moment | None = None  # system time; None: without end


class WebhookRegistered(EventModel):
    """An endpoint (webhook) of an agency's system, to which notifier sends what the agency chose to hear of."""

    TYPE: ClassVar[str] = "vn.thongsuot.registry.webhook.v1"
    TOPIC: ClassVar[str] = REGISTRY

    webhook_id: UUID
    agency: str  # whose obligations the messages are about, or those of the agencies below it
    covers: WebhookCovers = "own"
    url: str
    events: tuple[str, ...] = ()  # WebhookEvent; a reader ignores those that it does not know
    state: WebhookState
    secrets: tuple[WebhookSecret, ...] = ()  # the newest first
    test_id: UUID | None = None  # the latest test that was asked for, and when (system time)
    test_at: Moment | None = None
    version: int

    @property
    def key(self) -> str:
        return f"webhook/{self.webhook_id}"


#: the records that a registry's folder holds
RegistryEvent = (
    AgencyRegistered
    | OfficerRegistered
    | PersonRegistered
    | RegimePublished
    | RequestIssued
    | SharingGranted
    | ReferenceTablePublished
    | WaiverGranted
)

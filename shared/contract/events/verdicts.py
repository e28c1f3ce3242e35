"""What validator publishes: the verdict on one submission with every finding."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from shared.contract.events.base import VERDICTS, EventModel, Model, Moment
from shared.contract.events.fields import Day

Tier = Literal["structure", "completeness", "validity", "consistency", "history", "narrative", "cross_report"]
Severity = Literal["error", "warning"]
#: what a finding does: it returns the report, asks for an explanation, or only informs. Both of these are warnings
Weight = Literal["error", "confirm", "info"]
VerdictOutcome = Literal["accepted", "returned"]

#: codes of built-in findings that, as warnings, ask for an explanation (validator's catalogue holds it to this), where
#: they have no `weight`
EXPLAINABLE = frozenset({"H01", "N04", "N05", "N06", "N12", "N13", "N15"})


#: codes of built-in findings that can be waived, beside those of a form's rules: their fix is another judgement, not
#: another spelling, and whether a report is complete does not hang on them (validator's catalogue holds it to this)
WAIVABLE = frozenset({"K01", "H01", "N11", "N12", "N13", "N14"})


class Waived(Model):
    """Why a finding counts against nobody: the waiver by which its rule is silent, and until when."""

    waiver_id: str
    asked_by: str
    approved_by: str
    reason: str
    until: Day  # the last day
    weight: Weight  # what the finding would do without the waiver


class Finding(Model):
    """One line of a verdict: what is wrong, where, by how much, and what to do. Figures are exact texts."""

    code: str
    tier: Tier
    severity: Severity
    path: str  # JSON Pointer (RFC 6901) into the submission, such as /figures/A01
    provided: str | None = None
    expected: str | None = None
    difference: str | None = None
    message: str  # Vietnamese
    message_en: str
    fix: str  # Vietnamese
    fix_en: str
    legal_basis: str | None = None  # of a rule of the form
    weight: Weight | None = None  # None: of a verdict reached before findings said it
    waived: Waived | None = None  # then it is a warning that informs, and is counted as waived alone
    explain: bool | None = None  # as `weight` says for every finding: a warning of a rule of the form asks to explain


class VerdictReached(EventModel):
    """What validation said of a submission: accepted (no error) or returned (trả lại).

    It repeats what followers need of the submission, so that it can be folded before the submission's own event.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.verdict.reached.v1"
    TOPIC: ClassVar[str] = VERDICTS

    verdict_id: UUID
    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    version: int  # the submission's version within its obligation
    revision: int = 1  # of the verdict; the highest of a submission is in force
    officer_id: str
    received_at: Moment
    decided_at: Moment
    nil: bool = False
    outcome: VerdictOutcome
    errors: int
    warnings: int
    waived: int = 0  # findings that count against nobody; in neither of the others
    required_items: int  # figures and narratives the form requires of this submission
    present_items: int  # of these, usable: of the right type and in range, no filler
    findings: tuple[Finding, ...] = ()
    findings_truncated: bool = False  # more were found than are listed
    rule_pack: str | None = None  # checksum of the form's rules, which are those of the regime version
    compared_with: tuple[UUID, ...] | None = None  # accepted submissions of earlier periods that rules looked back to
    looked_up: tuple[str, ...] | None = None  # versions of reference tables that rules looked up: DVHC-XA/2

    @property
    def key(self) -> str:
        return self.obligation


class NotJudged(EventModel):
    """What validation says of a submission that it could not judge (chưa kiểm tra được): it ran over a limit of ours.

    It counts against nobody: while it stands, scoring calls nobody overdue. It stands until an operator has the
    submission judged again; that verdict has the next revision. `findings` says once which tier ran over, of which
    rule. Its outcome is no third one of VerdictReached: whoever reads that one knows of two.
    """

    TYPE: ClassVar[str] = "vn.thongsuot.verdict.not_judged.v1"
    TOPIC: ClassVar[str] = VERDICTS

    verdict_id: UUID
    submission_id: UUID
    obligation: str
    agency: str
    regime: str
    regime_version: int
    period: str
    version: int  # the submission's version within its obligation
    revision: int = 1
    officer_id: str
    received_at: Moment
    decided_at: Moment
    nil: bool = False
    outcome: Literal["not_judged"] = "not_judged"
    errors: int = 0
    warnings: int = 0
    findings: tuple[Finding, ...] = ()
    findings_truncated: bool = False

    @property
    def key(self) -> str:
        return self.obligation

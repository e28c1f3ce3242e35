"""All events that travel between the services. A model here is a promise: changes are additive only."""

from shared.contract.events.base import (
    COMPLIANCE,
    NOTIFICATIONS,
    OWNERS,
    REGISTRY,
    SUBMISSIONS,
    VERDICTS,
    EventModel,
    ExactDecimal,
    Model,
    Moment,
)
from shared.contract.events.compliance import (
    Change,
    ComplianceEvent,
    ObligationChanged,
    ScoreLine,
    Standing,
)
from shared.contract.events.notifications import NotificationKind, NotificationOutcome, NotificationRecorded
from shared.contract.events.registry import (
    AgencyKind,
    AgencyRegistered,
    Cutoff,
    Deadline,
    FigureField,
    Form,
    Frequency,
    NarrativeField,
    OfficerRegistered,
    OfficerRole,
    RegimePublished,
    RegistryEvent,
    RequestIssued,
    SumRule,
)
from shared.contract.events.submissions import (
    IntakeAvailable,
    IntakeUnavailable,
    StepKind,
    StepTaken,
    SubmissionReceived,
    UnavailableCause,
    obligation_key,
)
from shared.contract.events.verdicts import Finding, Severity, Tier, VerdictOutcome, VerdictReached

#: every event model, by its CloudEvents type
MODELS: dict[str, type[EventModel]] = {
    model.TYPE: model
    for model in (
        AgencyRegistered,
        OfficerRegistered,
        RegimePublished,
        RequestIssued,
        SubmissionReceived,
        StepTaken,
        IntakeAvailable,
        IntakeUnavailable,
        VerdictReached,
        ObligationChanged,
        NotificationRecorded,
    )
}

__all__ = [
    "COMPLIANCE",
    "MODELS",
    "NOTIFICATIONS",
    "OWNERS",
    "REGISTRY",
    "SUBMISSIONS",
    "VERDICTS",
    "AgencyKind",
    "AgencyRegistered",
    "Change",
    "ComplianceEvent",
    "Cutoff",
    "Deadline",
    "EventModel",
    "ExactDecimal",
    "FigureField",
    "Finding",
    "Form",
    "Frequency",
    "IntakeAvailable",
    "IntakeUnavailable",
    "Model",
    "Moment",
    "NarrativeField",
    "NotificationKind",
    "NotificationOutcome",
    "NotificationRecorded",
    "ObligationChanged",
    "OfficerRegistered",
    "OfficerRole",
    "RegimePublished",
    "RegistryEvent",
    "RequestIssued",
    "ScoreLine",
    "Severity",
    "Standing",
    "StepKind",
    "StepTaken",
    "SubmissionReceived",
    "SumRule",
    "Tier",
    "UnavailableCause",
    "VerdictOutcome",
    "VerdictReached",
    "obligation_key",
]

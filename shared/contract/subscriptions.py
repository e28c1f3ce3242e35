"""Which service follows which events, declared once: consumers, AsyncAPI, Kafka's ACLs, reconcile and demo read it.

A consumer takes its topics and models from here by name (`Inbound.of("scoring.follow", …)`), so what is documented and
granted is what runs.
"""

from __future__ import annotations

from shared.contract.events import (
    AgencyRegistered,
    AgencyRegrouped,
    CalendarLoaded,
    EscalationChanged,
    EventModel,
    IntakeAvailable,
    IntakeUnavailable,
    KeyRegistered,
    LatenessStep,
    NoticeRecorded,
    NotificationRecorded,
    NotJudged,
    ObligationChanged,
    OfficerRegistered,
    PersonRegistered,
    PolicyLoaded,
    ReferenceTablePublished,
    RegimePublished,
    RequestIssued,
    StepTaken,
    SubmissionReceived,
    VerdictReached,
    WaiverGranted,
    WebhookHealth,
    WebhookRegistered,
    WebhookStopped,
)
from shared.contract.services import SERVICES

_REGISTRY = (AgencyRegistered, OfficerRegistered, RegimePublished, RequestIssued)
_ACCESS = (KeyRegistered, PersonRegistered, OfficerRegistered)

#: consumer (`<service>.<name>`: its Kafka group, and its name in the inbox) -> the events it applies
SUBSCRIPTIONS: dict[str, tuple[type[EventModel], ...]] = {
    "intake.follow": (VerdictReached, NotJudged, ObligationChanged),
    # of its own, so that trouble with either keeps nothing of the other from the agencies
    "intake.notices": (NotificationRecorded, NoticeRecorded, WebhookStopped, WebhookHealth),
    "validator.registry": (RegimePublished, ReferenceTablePublished, WaiverGranted),
    # of its own, so that it reads from the first agency on wherever the others stand
    "validator.agencies": (AgencyRegistered,),
    "validator.submissions": (SubmissionReceived,),
    "validator.steps": (StepTaken,),
    # of its own, so that trouble with the registry keeps no revoked key alive
    "validator.access": _ACCESS,
    "scoring.registry": (*_REGISTRY, AgencyRegrouped),
    "scoring.follow": (SubmissionReceived, VerdictReached, NotJudged, StepTaken, IntakeAvailable, IntakeUnavailable),
    "scoring.access": _ACCESS,
    "notifier.registry": (*_REGISTRY, PersonRegistered, WebhookRegistered),
    "notifier.verdicts": (VerdictReached, NotJudged),
    "notifier.compliance": (ObligationChanged, CalendarLoaded, PolicyLoaded),
    # receipts for webhooks; decisions for the mail
    "notifier.steps": (StepTaken, LatenessStep, SubmissionReceived),
    "notifier.access": _ACCESS,
    # each topic by itself, so that trouble with one keeps nothing of the others from the pages
    "board.registry": (*_REGISTRY, PersonRegistered),
    "board.submissions": (SubmissionReceived, StepTaken, LatenessStep),
    "board.verdicts": (VerdictReached, NotJudged),
    "board.compliance": (ObligationChanged,),
    "board.notifications": (NotificationRecorded, NoticeRecorded, EscalationChanged),
    "board.access": _ACCESS,
}


#: service -> every event it follows
FOLLOWS: dict[str, tuple[type[EventModel], ...]] = {
    service: tuple(
        dict.fromkeys(
            model
            for consumer, models in SUBSCRIPTIONS.items()
            if consumer.startswith(f"{service}.")
            for model in models
        )
    )
    for service in SERVICES
}


def topics_of(consumer: str) -> tuple[str, ...]:
    """The topics a consumer reads, whole: it skips what it does not follow. KeyError if not declared."""
    return tuple(dict.fromkeys(model.TOPIC for model in SUBSCRIPTIONS[consumer]))

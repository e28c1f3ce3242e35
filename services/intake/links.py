"""Which calls go on from which answer of intake, for the `links` of its OpenAPI document."""

from __future__ import annotations

from shared.web.links import Link

_OF_REPORT = ("submission", "timeline", "receipt")
_STEPS = ("certification", "review", "withdrawal", "explanation", "appeal_against_verdict")
_OF_OBLIGATION = ("obligation", "extension", "unlock", "appeal_against_score")
_OF_WEBHOOK = ("webhook", "edit_webhook", "delete_webhook", "resume_webhook", "rotate_webhook_secret", "test_webhook")

LINKS = (
    Link(("submit", "submission"), (*_OF_REPORT, *_STEPS), {"submission_id": "/submission_id"}),
    Link(("submissions",), (*_OF_REPORT, *_STEPS), {"submission_id": "/items/0/submission_id"}),
    Link(("certification", "review", "withdrawal"), ("submission", "timeline"), {"submission_id": "/submission_id"}),
    Link(("submission",), ("obligation",), {"regime": "/regime", "period": "/period"}),
    Link(("submission",), ("regime",), {"code": "/regime"}),
    Link(("open_reviews",), _STEPS, {"submission_id": "/items/0/submission_id"}),
    Link(("obligations",), _OF_OBLIGATION, {"regime": "/items/0/regime", "period": "/items/0/period"}),
    Link(("obligation",), _OF_OBLIGATION, {"regime": "/regime", "period": "/period"}),
    Link(("obligation",), ("regime",), {"code": "/regime"}),
    Link(("extension",), ("extension_decision",), {"step_id": "/step_id"}),
    Link(("explanation",), ("explanation_decision",), {"step_id": "/step_id"}),
    Link(("appeal_against_verdict", "appeal_against_score"), ("appeal_decision",), {"step_id": "/step_id"}),
    Link(
        ("ask_information", "information_request"),
        ("information_request", "withdraw_information_request"),
        {"request_id": "/request_id"},
    ),
    Link(
        ("information_requests",),
        ("information_request", "withdraw_information_request"),
        {"request_id": "/items/0/request_id"},
    ),
    Link(
        ("information_request",),
        ("information_answer",),
        {"request_id": "path.request_id", "addressee": "/addressees/0/agency"},
    ),
    Link(("ask_waiver", "waiver"), ("waiver", "decide_waiver"), {"waiver_id": "/waiver_id"}),
    Link(("waivers",), ("waiver", "decide_waiver"), {"waiver_id": "/items/0/waiver_id"}),
    Link(("add_webhook", "webhook"), _OF_WEBHOOK, {"webhook_id": "/webhook_id"}),
    Link(("webhooks",), _OF_WEBHOOK, {"webhook_id": "/items/0/webhook_id"}),
    Link(("list_regimes",), ("regime",), {"code": "/items/0/code"}),
    Link(("list_references",), ("reference",), {"code": "/items/0/code"}),
    Link(("listed",), ("one", "put"), {"kind": "path.kind", "key": "/items/0/key"}),
    Link(("one", "put"), ("one", "put"), {"kind": "path.kind", "key": "path.key"}),
    Link(("one", "put"), ("version",), {"kind": "path.kind", "key": "path.key", "version": "/version"}),
)

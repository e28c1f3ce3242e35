"""Which calls go on from which answer of notifier, for the `links` of its OpenAPI document."""

from __future__ import annotations

from shared.web.links import Link

_OF_NOTICE = ("answer_escalation", "hand_on")
_OF_DELIVERY = ("webhook_delivery", "replay_delivery")
_OF_WEBHOOK = ("webhook_deliveries", "webhook_health")

LINKS = (
    Link(("notifications",), ("notification",), {"notification_id": "/items/0/id"}),
    Link(("proof",), ("notification",), {"notification_id": "/items/0/notice"}),
    Link(("bounce",), ("notification",), {"notification_id": "/notices/0"}),
    Link(("escalations",), _OF_NOTICE, {"notification_id": "/items/0/notification_id"}),
    Link(_OF_NOTICE, _OF_NOTICE, {"notification_id": "/notification_id"}),
    Link(("silences",), ("end_silence",), {"silence_id": "/items/0/id"}),
    Link(("make_silence",), ("end_silence",), {"silence_id": "/id"}),
    Link(("webhook_deliveries",), _OF_DELIVERY, {"webhook_id": "path.webhook_id", "message_id": "/items/0/message_id"}),
    Link((*_OF_WEBHOOK, *_OF_DELIVERY, "replay_deliveries"), _OF_WEBHOOK, {"webhook_id": "path.webhook_id"}),
)

"""Which calls go on from which answer of scoring, for the `links` of its OpenAPI document."""

from __future__ import annotations

from shared.web.links import Link

LINKS = (
    Link(("policies",), ("one_policy",), {"version": "/items/0/version"}),
    Link(("calendars",), ("one_calendar",), {"version": "/items/0/version"}),
    Link(("reliefs",), ("one_relief",), {"relief_id": "/items/0/relief_id"}),
    Link(
        ("obligations",),
        ("obligation",),
        {"agency": "/items/0/agency", "regime": "/items/0/regime", "period": "/items/0/period"},
    ),
    Link(("obligation",), ("one_policy",), {"version": "/policy_version"}),
    Link(("obligation",), ("one_calendar",), {"version": "/calendar_version"}),
)

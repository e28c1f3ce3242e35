"""Which calls go on from which answer of validator, for the `links` of its OpenAPI document."""

from __future__ import annotations

from shared.web.links import Link

LINKS = (Link(("verdicts",), ("verdict",), {"submission_id": "/items/0/submission_id"}),)

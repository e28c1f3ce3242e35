"""What one was sent: the notices to whoever is signed in, or about an agency that they see, as notifier tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response

from services.board.pages import words
from services.board.pages.through_intake import Owner, moment, string
from services.board.pages.web import Site, Visit
from shared.web.errors import not_found

NOTIFIER, PATH = "notifier", "/da-gui"


@dataclass(frozen=True, slots=True)
class Sent:
    """One notice."""

    about: words.Pair
    href: str  # to the evidence of its obligation; empty where the reader does not see it
    person: str
    name: str
    title: str
    channel: str
    address: str  # the reader's own alone
    state: str
    stands: words.Pair
    planned_at: datetime | None
    wait_until: datetime | None
    settled_at: datetime | None
    answer: Mapping[str, Any] | None


class SentNotices:
    """The page, by notifier alone."""

    def __init__(self, site: Site) -> None:
        self._notifier = Owner(site, NOTIFIER)

    async def list(self, visit: Visit) -> Response:
        """The newest first, page by page."""
        agency = visit.request.query_params.get("co-quan", "")
        if agency and agency not in visit.view.agencies:
            raise not_found("cơ quan này", "such agency")
        found, following = list[Sent](), ""
        if self._notifier.acts and (agency or visit.view.agencies):
            listed, following = await self._notifier.listed(visit, "/v1/notices", {"agency": agency} if agency else {})
            found = [_sent(one, visit) for one in listed]
        return visit.show(
            "sent_notices.html.j2", found=found, agency=agency, following=following, acts=self._notifier.acts,
            first=not visit.request.query_params.get("after"),
        )  # fmt: skip


def _sent(row: Mapping[str, Any], visit: Visit) -> Sent:
    about, stands = string(row.get("about")), string(row.get("state_name"))
    key, answer = string(row.get("obligation")), row.get("answer")
    seen = visit.view.sees(string(row.get("agency")), string(row.get("regime")))
    evidence = row.get("kind") not in ("digest", "regime") and seen
    return Sent(
        (about, string(row.get("about_en")) or about), f"/nghia-vu/{key}" if evidence else "",
        string(row.get("person")), string(row.get("name")), string(row.get("title")), string(row.get("channel")),
        string(row.get("address")), string(row.get("state")), (stands, string(row.get("state_name_en")) or stands),
        moment(row.get("planned_at")), moment(row.get("wait_until")), moment(row.get("settled_at")),
        {**answer, "at": moment(answer.get("at")), "until": moment(answer.get("until"))}
        if isinstance(answer, Mapping) else None,
    )  # fmt: skip

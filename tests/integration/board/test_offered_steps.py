"""What a page offers somebody, intake takes from them: each form of each page is sent by everybody who is offered it.

Every step is taken and rolled back, so that the next one finds things as they were.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.board.pages import deciding
from services.intake.lifecycle import handlers
from services.intake.lifecycle.handlers import TakenNow
from services.intake.waivers.api import Desk
from shared.contract.events import Finding, ObligationChanged, ScoreLine
from shared.web.errors import conflict
from tests.fakes.compliance import obligation_changed
from tests.integration.board.rig import Browser
from tests.integration.board.two_agencies import HEADS, LAST, MONTH, NEXT, REGIME, Both, follow, two_agencies
from tests.integration.intake.rig import DEPARTMENT, NOW, load, regime, report
from tests.integration.intake.test_following import apply, verdict
from tests.integration.intake.test_principals import key_of, person

#: certified by the head and reviewed; a report of each month stands otherwise
SIGNED = "KY"
LATER, DAY = NOW + timedelta(days=25), timedelta(days=1)
TYPED: Mapping[str, str] = {
    "reason": "Mất điện toàn huyện", "remedy": "Chốt số liệu sớm",
    "regime": REGIME, "rule": "K01", "moment": f"{LATER:%Y-%m-%dT%H:%M}",
    "since": f"{NOW - DAY:%Y-%m-%dT%H:%M}", "day": f"{LATER:%Y-%m-%d}", "since day": f"{NOW + DAY:%Y-%m-%d}",
}  # fmt: skip
MORE_PEOPLE = [
    person(name, "deputy", DEPARTMENT, delegated_by=HEADS[DEPARTMENT], until=until, document="12/GUQ-SNN")
    for name, until in (("pho", "2026-12-31"), ("pho-cu", "2026-09-30"))
]
_FORM = re.compile(r'<form class="step".*?</form>', re.DOTALL)
#: steps that are offered in all of it, at the least
LEAST = 40
TO_EXPLAIN = Finding(
    code="N06", tier="narrative", severity="warning", path="/narratives/danh_gia", message="Ngắn.", message_en="Short.",
    fix="Viết thêm.", fix_en="Write more.", weight="confirm",
)  # fmt: skip
LINE = {
    "seq": 1, "line_id": UUID(int=1), "component": "timeliness", "points": "-10", "clause": "1.b",
    "policy_version": "vn-2026-1", "cause": "Chậm", "cause_en": "Late", "created_at": NOW, "in_force": True,
}  # fmt: skip


@dataclass
class Offers:
    """What intake took of what was sent; nothing of it stays."""

    both: Both
    taken: int = 0

    async def refused(self, who: str, browser: Browser, path: str) -> list[str]:
        """What the page offers and intake does not take, with why."""
        shown = await browser.get(path)
        found = []
        for form in _FORM.findall(shown.text):
            for fields in choices(form):
                before = self.taken
                answer = await browser.post(path, data=fields, headers=browser.own_headers)
                if self.taken == before:
                    reasons = re.findall(r'id="refusal">(.*?)</div>', answer.text, re.DOTALL)
                    said = re.sub(r"<[^>]*>|\s+", " ", " ".join(reasons)).strip()
                    found.append(f"{who}: {path}: {fields['step']} {fields.get('decision', '')}: {said}")
        return found


def choices(form: str) -> list[dict[str, str]]:
    """Fields of the form filled in, once for each choice that it gives."""
    hidden, typed, options = dict[str, str](), dict[str, str](), [""]
    for tag in re.findall(r"<(?:input|textarea)[^>]*>", form):
        name, kind, value = (re.search(rf'{part}="([^"]*)"', tag) for part in ("name", "type", "value"))
        assert name is not None
        match kind[1] if kind else "text area":
            case "hidden":
                hidden[name[1]] = value[1] if value else ""
            case "radio":
                options.append(value[1] if value else "")
            case "datetime-local":
                typed[name[1]] = TYPED["since" if name[1] == "since" else "moment"]
            case "date":
                typed[name[1]] = TYPED["since day" if name[1] == "since" else "day"]
            case _:
                typed[name[1]] = TYPED[name[1]]
    return [{**hidden, **typed, **({"decision": one} if one else {})} for one in options[1:] or options]


@pytest.fixture
async def offers(migrated_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Offers]:
    async with two_agencies(migrated_database) as both:
        made = Offers(both)
        take, note = handlers.take, Desk._note

        async def try_step(*given: Any, **more: Any) -> Any:
            outcome = await take(*given, **more)
            if isinstance(outcome, TakenNow):
                made.taken += 1
                raise conflict("Đã thử.", "Tried.")
            return outcome

        async def try_waiver(*given: Any) -> None:
            await note(*given)
            made.taken += 1
            raise conflict("Đã thử.", "Tried.")

        await more_reports(both)
        monkeypatch.setattr(handlers, "take", try_step)
        monkeypatch.setattr(Desk, "_note", try_waiver)
        yield made


async def more_reports(both: Both) -> None:
    """Reports of the department in every state: to be certified, reviewed, explained; returned, sent back, locked."""
    client, url = both.intake, both.intake.province.url
    asks = regime(SIGNED, certification="head", review="required")
    await load(url, [asks, *MORE_PEOPLE])
    await both.world.feed(asks, *MORE_PEOPLE)
    head, reviewer = [await key_of(url, "person", one) for one in (HEADS[DEPARTMENT], "duyet")]
    locked = state("2026-M05", locks_at=NOW - DAY)
    await apply(url, [locked])
    await both.world.feed(locked)
    for month, outcome, then in (
        ("2026-M06", "returned", ()),
        ("2026-M07", "accepted", ()),
        ("2026-M08", "accepted", ("certification",)),
        ("2026-M09", "to_explain", ("certification",)),
        ("2026-M10", "accepted", ("certification", "review")),
    ):
        answer = await client.post(report(regime=SIGNED, period=month))
        assert answer.status_code == 201, answer.text
        sent = answer.json()["submission_id"]
        said = verdict(
            sent, "returned" if outcome == "returned" else "accepted", regime=SIGNED, period=month,
            obligation=f"{DEPARTMENT}/{SIGNED}/{month}",
        )  # fmt: skip
        if outcome == "to_explain":
            said = said.model_copy(update={"warnings": 1, "findings": (TO_EXPLAIN,)})
        events = [state(month), said]
        await apply(url, events)
        await both.world.feed(*events)
        for step in then:
            body = {"reason": "x"} | ({"decision": "rework"} if step == "review" else {})
            by = {**client.headers(), "Authorization": f"Bearer {head if step == 'certification' else reviewer}"}
            taken = await client.client.post(f"/v1/submissions/{sent}/{step}", json=body, headers=by)
            assert taken.status_code == 201, taken.text
        both.sent[month] = sent
    await follow(both)


def state(month: str, **more: Any) -> ObligationChanged:
    at = NOW - 2 * DAY
    line = ScoreLine.model_validate(LINE)
    told = {"lines": (line,), "score": line.points, "standing": "returned", "overdue": True, **more}
    return obligation_changed(DEPARTMENT, SIGNED, month, version=1, deadline=at, at=at, **told)


async def test_what_a_page_offers_somebody_intake_takes_from_them(
    offers: Offers, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = offers.both
    for one in MORE_PEOPLE:
        both.browsers[one.person_id] = await both.world.signed_in(one.person_id)
    for who, browser in both.browsers.items():
        for path in addresses(both):
            assert await offers.refused(who, browser, path) == []
        waits = re.findall(r'<th scope="row"><a href="([^"]+)"', (await browser.get("/duyet")).text)
        for path in waits:
            assert _FORM.search((await browser.get(path)).text), f"{who}: {path} waits, and nothing can be done there"
    assert offers.taken > LEAST
    # negative control: pages that offer whatever somebody may do
    monkeypatch.setattr(deciding, "_roles", lambda *_: frozenset({"chair"}))
    has = both.owned[DEPARTMENT]
    appeal = f"/nghia-vu/{DEPARTMENT}/{REGIME}/{MONTH}/de-nghi/khieu-nai/{has.appeal}"
    found = await offers.refused("duyet", both.browsers["duyet"], appeal)
    assert [one.split(": ")[2] for one in found] == ["quyet-dinh relief", "quyet-dinh dismiss"]


def addresses(both: Both) -> list[str]:
    """The pages on which people take steps with what the department has."""
    has = both.owned[DEPARTMENT]
    kept = [(REGIME, month, sent) for month, sent in ((LAST, ""), (MONTH, has.submission), (NEXT, ""))]
    kept += [(SIGNED, month, both.sent.get(month, "")) for month in ("2026-M05", *both.sent)]
    pages = ["/mien-ap-dung", f"/mien-ap-dung/{has.waiver}"]
    for of, month, sent in kept:
        evidence = f"/nghia-vu/{DEPARTMENT}/{of}/{month}"
        pages += [f"{evidence}/de-nghi", *([f"{evidence}/phien-ban/{sent}"] if sent else [])]
        pages.append(f"/giai-trinh/{DEPARTMENT}/{of}/{month}")
    month, following = (f"/nghia-vu/{DEPARTMENT}/{REGIME}/{one}/de-nghi" for one in (MONTH, NEXT))
    return [
        *pages, f"{following}/gia-han/{has.extension}", f"{month}/giai-trinh/{has.explanation}",
        f"{month}/khieu-nai/{has.appeal}",
    ]  # fmt: skip

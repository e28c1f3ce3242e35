"""What the board asks of a service in a person's name, and what it makes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from services.board.acting import Actor, Done, Refused
from shared.access import BY_TOKENS
from shared.runtime.clock import ManualClock
from shared.web.errors import Problem
from shared.web.tokens import SignersKey, SigningKey, person_of

NOW = datetime(2026, 10, 22, 2, 0, tzinfo=UTC)
KEY = SigningKey.new()
FIRST, SECOND = "http://10.0.0.1:8804", "http://10.0.0.2:8804"
PATH = "/v1/escalations/1/answers"


async def ask(service: Callable[[httpx.Request], httpx.Response], key: SigningKey | None = KEY) -> Done | Refused:
    actor = Actor(lambda: key, {"notifier": [FIRST, SECOND]}, ManualClock(NOW), transport=httpx.MockTransport(service))
    return await actor.post("TT-H99", "notifier", PATH, {"kind": "acknowledged"}, language="en")


async def test_it_asks_once_in_the_name_of_the_person_in_their_language() -> None:
    seen: list[httpx.Request] = []

    def service(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"next_at": None}, headers={"Idempotent-Replayed": "true"})

    assert await ask(service) == Done({"next_at": None}, repeated=True)
    (request,) = seen
    assert (str(request.url), request.headers["accept-language"]) == (FIRST + PATH, "en")
    token = request.headers["authorization"].removeprefix("Bearer ")
    known = SignersKey("board", KEY.public, BY_TOKENS, None, None)
    assert person_of(token, known, "notifier", NOW) == "TT-H99"
    assert person_of(token, known, "intake", NOW) is None, "nobody else may use it"


async def test_the_key_by_which_a_repetition_is_known_goes_with_it() -> None:
    seen: list[str | None] = []

    def service(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("idempotency-key"))
        return httpx.Response(201, json={})

    actor = Actor(lambda: KEY, {"notifier": [FIRST]}, ManualClock(NOW), transport=httpx.MockTransport(service))
    await actor.post("TT-H99", "notifier", PATH, {}, language="en", idempotency_key="once-1")
    await actor.post("TT-H99", "notifier", PATH, {}, language="en")
    assert seen == ["once-1", None]


async def test_it_reads_what_the_person_may_read_and_says_where_nothing_can_be_read_now() -> None:
    seen: list[str] = []

    def service(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url}")
        if "open" in request.url.path:
            return httpx.Response(200, json={"items": []})
        if "none" in request.url.path:
            return httpx.Response(404, json={"title": "None"})
        raise httpx.ReadTimeout("no answer")

    actor = Actor(lambda: KEY, {"intake": [FIRST]}, ManualClock(NOW), transport=httpx.MockTransport(service))
    said = await actor.get("TT-H99", "intake", "/v1/reviews/open", language="en", query={"kind": "review"})
    assert said == Done({"items": []})
    assert seen == [f"GET {FIRST}/v1/reviews/open?kind=review"]
    assert await actor.get("TT-H99", "intake", "/none", language="en") == Refused(404, ["None"])
    with pytest.raises(Problem) as caught:
        await actor.get("TT-H99", "intake", "/slow", language="en")
    assert (caught.value.status, "not known" in caught.value.detail_en) == (503, False), "nothing was asked to be done"


async def test_an_instance_that_is_away_gives_way_to_the_next() -> None:
    def service(request: httpx.Request) -> httpx.Response:
        if str(request.url).startswith(FIRST):
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={})

    assert await ask(service) == Done({})


async def test_what_may_have_been_done_is_not_asked_of_another_instance() -> None:
    asked: list[str] = []

    def service(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        raise httpx.ReadTimeout("no answer")

    with pytest.raises(Problem) as caught:
        await ask(service)
    assert (asked, caught.value.status) == ([FIRST + PATH], 503)
    assert "not known" in caught.value.detail_en


async def test_a_service_that_never_ends_its_answer_is_waited_for_no_longer_than_the_deadline() -> None:
    async def service(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("it never comes")

    actor = Actor(
        lambda: KEY,
        {"notifier": [FIRST, SECOND]},
        ManualClock(NOW),
        deadline_seconds=0.05,
        transport=httpx.MockTransport(service),
    )
    with pytest.raises(Problem) as caught:
        await actor.post("TT-H99", "notifier", PATH, {}, language="en")
    assert "not known" in caught.value.detail_en


@pytest.mark.parametrize(
    ("document", "reasons"),
    [
        ({"errors": [{"message": "A", "fix": ""}, {"message": "B.", "fix": "Do C."}]}, ["A", "B. Do C."]),
        ({"detail": "It was answered.", "title": "Refused"}, ["It was answered."]),
        ({"title": "Refused"}, ["Refused"]),
        ({"errors": "none", "detail": 7}, ["7"]),
        ([], []),
    ],
)  # fmt: skip
async def test_a_refusal_says_every_reason(document: object, reasons: list[str]) -> None:
    assert await ask(lambda request: httpx.Response(422, json=document)) == Refused(422, reasons)


@pytest.mark.parametrize(("status", "type_"), [(401, "board-not-trusted"), (429, "unavailable"), (500, "unavailable")])
async def test_trouble_is_no_refusal_of_what_was_asked(status: int, type_: str) -> None:
    with pytest.raises(Problem) as caught:
        await ask(lambda request: httpx.Response(status, text="–"))
    assert caught.value.status == 503
    assert caught.value.slug == type_


async def test_without_a_key_or_an_address_it_asks_nobody() -> None:
    def service(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nobody is asked")

    with pytest.raises(Problem):
        await ask(service, key=None)
    actor = Actor(lambda: KEY, {"intake": [FIRST]}, ManualClock(NOW), transport=httpx.MockTransport(service))
    assert (actor.can("intake"), actor.can("notifier")) == (True, False)
    with pytest.raises(Problem):
        await actor.post("TT-H99", "notifier", PATH, {}, language="vi")


async def test_a_key_goes_with_what_is_to_be_done_once_and_the_problem_comes_back_whole() -> None:
    problem = {"title": "Refused", "errors": [{"pointer": "/officer", "message": "A"}]}

    def service(request: httpx.Request) -> httpx.Response:
        assert request.headers["idempotency-key"] == "board-1"
        return httpx.Response(422, json=problem)

    actor = Actor(lambda: KEY, {"intake": [FIRST]}, ManualClock(NOW), transport=httpx.MockTransport(service))
    refused = await actor.post("TT-H99", "intake", "/v1/submissions", {}, language="vi", idempotency_key="board-1")
    assert isinstance(refused, Refused)
    assert refused.document == problem

"""Acts for who is signed in: by the owning service's public API, under a token that names the person.

The board decides nothing and stores nothing of it: the service looks at the person's rights as it does at anybody's,
and what follows comes back on the topics. What is asked twice is done once by the services' own rules, so a person may
try again where no answer came.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.runtime.clock import Clock
from shared.telemetry.logging import get_logger
from shared.web.errors import Problem, describe, unavailable
from shared.web.tokens import SigningKey

log = get_logger()

ISSUER = "board"
#: for the answer, whatever the services do; where something is read alone; and for one instance to take the connection
DEADLINE_SECONDS, READ_SECONDS, CONNECT_SECONDS = 10.0, 3.0, 2.0
#: what is shown of a refusal
MAX_REASONS = 20

NOT_TRUSTED = describe(
    "board-not-trusted",
    503,
    "Bảng theo dõi chưa được phép thay mặt",
    "The board may not act for people yet",
    "Dịch vụ chưa nhận thẻ do bảng theo dõi ký, nên chưa có gì được ghi nhận. Báo người vận hành: "
    "`python -m services.intake keys trust board …` (docs/board.md).",
    "The service takes no tokens signed by the board yet, so nothing was recorded. Tell an operator: "
    "`python -m services.intake keys trust board …` (docs/board.md).",
)


@dataclass(frozen=True, slots=True)
class Done:
    """The service did what was asked. `repeated`: it had been done before."""

    document: Mapping[str, Any]
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The service refused, and why, in the language that was asked for."""

    status: int
    reasons: Sequence[str]
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)  # the problem as it came


class Actor:
    """Acts at the services at these addresses, by service. Without a key it cannot, and pages offer nothing.

    key: gives the key as it is now.
    """

    def __init__(
        self,
        key: Callable[[], SigningKey | None],
        addresses: Mapping[str, Sequence[str]],
        system: Clock,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        read_seconds: float = READ_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = key
        self._addresses = addresses
        self._clock = system
        self._deadline_seconds = deadline_seconds
        self._read_seconds = min(read_seconds, deadline_seconds)
        self._transport = transport
        self._tls = ssl.create_default_context()

    def can(self, service: str) -> bool:
        """Whether pages may offer what this service does."""
        return self._key() is not None and bool(self._addresses.get(service))

    async def post(
        self,
        person_id: str,
        service: str,
        path: str,
        body: Mapping[str, Any],
        *,
        language: str,
        idempotency_key: str | None = None,
    ) -> Done | Refused:
        """Ask the service for it in the person's name. Raises Problem where it cannot be told, or not now."""
        headers = self._headers(person_id, service, language)
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        try:
            async with asyncio.timeout(self._deadline_seconds):
                answer = await self._ask("POST", self._addresses[service], path, headers, json=body)
        except (httpx.HTTPError, TimeoutError) as error:
            _log_silence(service, error)
            raise _nothing_known() from None
        return _understood(answer, service)

    async def get(
        self, person_id: str, service: str, path: str, *, language: str, query: Mapping[str, str] | None = None
    ) -> Done | Refused:
        """Read what the service shows to the person. Raises Problem where it cannot be told, or not now."""
        headers = self._headers(person_id, service, language)
        try:
            async with asyncio.timeout(self._read_seconds):
                answer = await self._ask("GET", self._addresses[service], path, headers, params=query)
        except (httpx.HTTPError, TimeoutError) as error:
            _log_silence(service, error)
            raise unavailable(5) from None
        return _understood(answer, service)

    def _headers(self, person_id: str, service: str, language: str) -> dict[str, str]:
        key = self._key()
        if key is None or not self._addresses.get(service):
            raise Problem.of(NOT_TRUSTED)
        token = key.token(ISSUER, person_id, service, self._clock.now())
        return {"Authorization": f"Bearer {token}", "Accept-Language": language}

    async def _ask(
        self, method: str, instances: Sequence[str], path: str, headers: Mapping[str, str], **what: Any
    ) -> httpx.Response:
        """The answer of the first instance that takes the connection; the others were sent nothing."""
        timeout = httpx.Timeout(self._deadline_seconds, connect=CONNECT_SECONDS)
        async with httpx.AsyncClient(
            verify=self._tls, trust_env=False, timeout=timeout, transport=self._transport
        ) as client:
            for url in instances:
                try:
                    return await client.request(method, url + path, headers=headers, **what)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    continue
        raise unavailable(
            5,
            "Dịch vụ này tạm thời không hoạt động; chưa có gì được ghi nhận. Xin thử lại sau ít phút.",
            "The service is away for the moment; nothing was recorded. Try again in a few minutes.",
        )


def _log_silence(service: str, error: Exception) -> None:
    log.warning("No answer came.", action="acting.no_answer", service=service, error=repr(error))


def _understood(answer: httpx.Response, service: str) -> Done | Refused:
    document = _document(answer)
    if answer.is_success:
        return Done(document, answer.headers.get("idempotent-replayed") == "true")
    if answer.status_code == 401:
        log.error("A service takes no tokens of this board.", action="acting.not_trusted", service=service)
        raise Problem.of(NOT_TRUSTED)
    if answer.status_code == 429 or answer.status_code >= 500:
        log.warning("A service is busy.", action="acting.busy", service=service, status=answer.status_code)
        raise unavailable(5)
    return Refused(answer.status_code, _reasons(document), document)


def _document(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _reasons(document: Mapping[str, Any]) -> list[str]:
    """What a problem says, for a person: each error and its cure, else the problem itself."""
    errors = [one for one in document.get("errors") or () if isinstance(one, Mapping)]
    said = [" ".join(str(one[name]) for name in ("message", "fix") if one.get(name)) for one in errors[:MAX_REASONS]]
    whole = document.get("detail") or document.get("title") or ""
    return [text for text in said if text] or ([str(whole)] if whole else [])


def _nothing_known() -> Problem:
    return unavailable(
        5,
        "Chưa nhận được trả lời nên chưa biết đã ghi nhận hay chưa. Xin gửi lại: gửi hai lần cũng chỉ tính một.",
        "No answer came, so it is not known whether it was recorded. Send it again: twice counts once.",
    )

"""Webhooks in the fault runs (see controls.py): a pace of seconds, a resolver of one's own, removable protections."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from services.notifier.channels.webhook import dispatcher, post, signing, states
from services.notifier.channels.webhook.dispatcher import WebhookDispatcher
from services.notifier.channels.webhook.names import Names
from services.notifier.channels.webhook.post import Poster
from services.notifier.channels.webhook.states import Delivered, Result
from services.notifier.channels.webhook.store import Claimed, Work
from shared.service.service import Service

#: seconds: of a lease, before each further attempt, of a webhook's first and longest rest
LEASE_SECONDS = 15.0
DELAYS = (1, 1, 2, 2, 3, 3, 5, 5, 5, 5, 5, 5, 5, 5, 5)
REST_SECONDS, LONGEST_REST_SECONDS = 0.5, 2.0


def hurry(service: Service) -> None:
    """Lets retries take seconds instead of days; nothing here switches a protection off."""
    states.DELAYS = DELAYS  # type: ignore[assignment]
    states.REST_SECONDS, states.LONGEST_REST_SECONDS = REST_SECONDS, LONGEST_REST_SECONDS
    made = _dispatcher(service)
    made._pace = replace(made._pace, lease_seconds=LEASE_SECONDS, sweep_seconds=1.0, idle_poll_seconds=0.2)


def resolve_by(names: str) -> None:
    """Lets these names (JSON: name -> addresses) stand for what an attacker's server of names says."""
    told: Mapping[str, Sequence[str]] = json.loads(names or "{}")
    if not told:
        return
    original = Names().resolve

    async def resolve(host: str, port: int) -> Sequence[str]:
        return told[host] if host in told else await original(host, port)

    made = Poster.__init__

    def init(self: Poster, *arguments: Any, **options: Any) -> None:
        made(self, *arguments, **{**options, "resolver": resolve})

    Poster.__init__ = init  # type: ignore[method-assign]


def any_answer_is_delivered(service: Service) -> None:
    """Records a message as delivered once it was sent, whatever the receiver answers."""
    original = WebhookDispatcher._attempt

    async def attempt(self: WebhookDispatcher, work: Work, message: Claimed) -> Result:
        await original(self, work, message)
        return Delivered(200)

    WebhookDispatcher._attempt = attempt  # type: ignore[method-assign]


def new_id_each_attempt(service: Service) -> None:
    """Gives each attempt a `webhook-id` of its own, so a receiver cannot know a repetition."""
    signing.message_id = lambda delivery_id: f"msg_{uuid4().hex}"


def redirects_followed(service: Service) -> None:
    """Follows a receiver's redirect, wherever it leads."""

    class Client(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "follow_redirects": True})

    post.httpx = _With(httpx, AsyncClient=Client)  # type: ignore[attr-defined, assignment]


def addresses_unchecked(service: Service) -> None:
    """Connects to whatever address a name stands for."""
    post.is_reachable = lambda address, private=(): True  # type: ignore[attr-defined]


def one_webhook_at_a_time(service: Service) -> None:
    """Serves one webhook after the other."""
    made = _dispatcher(service)
    made._pace = replace(made._pace, webhooks=1)


def signed_once(service: Service) -> None:
    """Signs a message at its first attempt and sends the same signature ever after."""
    kept: dict[UUID, dict[str, str]] = {}
    original = signing.headers

    def headers(delivery_id: UUID, at: datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
        return kept.setdefault(delivery_id, original(delivery_id, at, body, secrets))

    dispatcher.signing = _With(signing, headers=headers)  # type: ignore[attr-defined, assignment]


class _With:
    """A module with some names replaced."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module, self._names = module, names

    def __getattr__(self, name: str) -> Any:
        return self._names[name] if name in self._names else getattr(self._module, name)


def _dispatcher(service: Service) -> WebhookDispatcher:
    return next(background for background in service.backgrounds if isinstance(background, WebhookDispatcher))


CARELESS: dict[str, Callable[[Service], None]] = {
    function.__name__: function
    for function in (
        any_answer_is_delivered,
        new_id_each_attempt,
        redirects_followed,
        addresses_unchecked,
        one_webhook_at_a_time,
        signed_once,
    )
}

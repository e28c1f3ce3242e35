"""A keyring in memory, as `shared.web.authentication.Keyring` asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from shared.access import Principal, Scope
from shared.web.authentication import NewKey, PresentedKey
from shared.web.tokens import SignersKey


class FakeKeyring:
    """Knows these keys, and nobody's tokens; counts how often the database would have been asked."""

    audience = "tests"

    def __init__(self, known: Mapping[NewKey, Principal] | None = None) -> None:
        self._known = {key.key_id: (key.sha256, principal) for key, principal in (known or {}).items()}
        self.asked = 0

    def at_once(self, presented: PresentedKey) -> Principal | None:
        sha256, principal = self._known.get(presented.key_id, (b"", None))
        return principal if presented.matches(sha256) else None

    def holds(self, presented: PresentedKey) -> bool:
        return presented.key_id in self._known

    async def be_fresh(self) -> None:
        return

    async def principal_of(self, presented: PresentedKey) -> Principal | None:
        self.asked += 1
        return self.at_once(presented)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def signers_key(self, key_id: str) -> SignersKey | None:
        return None

    async def person(self, person_id: str, scopes: frozenset[Scope]) -> Principal | None:
        return None

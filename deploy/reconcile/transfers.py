"""Compares what agencies handed on when they closed with the registry: each duty is owed once, by whom it says.

An obligation that was handed on names its heir, and the heir's names its origins. They lie apart in the order of keys,
so this remembers both, of the periods alone in which an agency closed, and compares them at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.reconcile.differences import Difference, Teller
from deploy.reconcile.dossiers import Dossier
from deploy.reconcile.reference import Reference
from services.scoring.obligations.domain import Obligation
from services.scoring.obligations.transfers import MOST_HEIRS, heir_of, reported_by
from services.scoring.registry import Closing
from shared.contract.events import obligation_key
from shared.contract.reporting_window import local_day

_BY = ("theo danh mục và nghĩa vụ kia", "by the registry and the other obligation")
_WHERE = "scoring.obligations"


def was_handed_on(obligation: Obligation, dossier: Dossier) -> bool:
    """Whether it has, or had, an heir or an origin: its agency may have had notice then, and a later deadline."""
    if obligation.terms.heir is not None or obligation.terms.origins:
        return True
    return any(
        b'"transferred_from":["' in event["body"] or b'"transferred_to":"' in event["body"] for event in dossier.changed
    )


@dataclass(frozen=True, slots=True)
class _Share:
    """One agency's part in a duty. `expected`: its heir by the registry."""

    owed: bool
    answered: bool
    origins: tuple[str, ...]
    heir: str | None
    expected: str | None
    withdrawn: bool  # its record says that what is open falls


class Duties:
    """Remembers what was handed on, obligation by obligation."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._shares: dict[str, _Share] = {}
        self._inherits: dict[str, list[Closing]] = {}
        for closing in reference.closings.values():
            if closing.heir is not None:
                self._inherits.setdefault(closing.heir, []).append(closing)

    def seen(self, obligation: Obligation) -> None:
        """Remember it if it may have been handed on by its agency or to it."""
        terms = obligation.terms
        opens_on, due_on = local_day(terms.opens_at), local_day(terms.deadline)
        inherits = any(opens_on <= closing.closed_on < due_on for closing in self._inherits.get(obligation.agency, ()))
        if terms.heir is None and not terms.origins and not inherits:
            return
        closing = self._reference.closings.get(obligation.agency)
        closes = closing is not None and closing.closed_on < due_on and not reported_by(obligation, closing)
        self._shares[obligation.key] = _Share(
            owed=terms.owed,
            answered=obligation.state.answer is not None,
            origins=terms.origins,
            heir=terms.heir,
            expected=heir_of(obligation, closing) if closing is not None and closes else None,
            withdrawn=closing is not None and closes and heir_of(obligation, closing) is None,
        )

    def compare(self) -> Iterator[Difference]:
        """Compare each duty that was handed on, from its first agency to its last, and each that was inherited."""
        for key, share in sorted(self._shares.items()):
            if share.heir is not None and not share.origins:
                yield from self._handed_on(key)
            if share.owed:
                yield from self._inherited(key, share)

    def _handed_on(self, key: str) -> Iterator[Difference]:
        chain = self._chain(key)
        told = Teller("owed", _WHERE, " ".join(chain), *_BY)
        last = self._shares.get(chain[-1])
        if last is None:
            yield told.missing()
            return
        kept = bool(last.origins) and last.answered  # who has answered it keeps it
        for link in chain[:-1]:
            share = self._shares[link]
            if share.owed:
                yield told.difference("terms.owed", True, False)
            if share.heir != share.expected and not kept:
                yield told.difference("terms.heir", share.heir, share.expected)
        if not last.owed and not last.withdrawn:
            yield told.difference("terms.owed", False, True)
        first = key.partition("/")[0]
        if last.origins and first not in last.origins:
            yield told.difference("terms.origins", list(last.origins), [*last.origins, first])

    def _inherited(self, key: str, share: _Share) -> Iterator[Difference]:
        for origin in share.origins:
            first = obligation_key(origin, *key.split("/")[1:])
            if key not in self._chain(first)[1:]:
                told = Teller("owed", _WHERE, f"{key} {first}", *_BY)
                left = [code for code in share.origins if code != origin]
                yield told.difference("terms.origins", list(share.origins), left)

    def _chain(self, key: str) -> list[str]:
        """The keys of a duty from this one to its last heir's."""
        chain = [key]
        share = self._shares.get(key)
        while share is not None and share.heir is not None and len(chain) <= MOST_HEIRS:
            chain.append(obligation_key(share.heir, *key.split("/")[1:]))
            share = self._shares.get(chain[-1])
        return chain

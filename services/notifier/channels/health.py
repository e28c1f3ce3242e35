"""Whether the mail server accepts mails, judged by its answers; ages in seconds of the monotonic clock.

A server that answers MAIL works; silence after it is the address's trouble (a gateway that waits for that mailbox),
until several addresses that were well before meet it one after the other.
"""

from __future__ import annotations

from services.notifier import metrics
from services.notifier.channels.seam import Watch
from services.notifier.delivery.states import MailAccepted, MailDeferred, MailRefused, MailUncertain, SendResult
from shared.runtime.clock import monotonic_seconds
from shared.telemetry.readiness import Check

#: addresses newly silent, with no mail accepted or refused between them, that make silence the server's trouble
SILENT_ADDRESSES = 3
#: addresses remembered as silent; beyond it the oldest is forgotten
MOST_KNOWN = 10_000


class MailHealth:
    """When the server last accepted or refused a mail, and since when it does neither. Consuming never waits for it."""

    def __init__(self, *, patience_seconds: float, watch: Watch = metrics.MAILS, needed: bool = True) -> None:
        self._patience_seconds = patience_seconds
        self._watch = watch
        self._needed = needed
        self._success_at: float | None = None
        self._server_since: float | None = None
        self._silent_since: dict[str, float] = {}  # addresses silent since the last success
        self._known: dict[str, None] = {}  # addresses silent before it: their silence proves nothing new
        self._failure = ""

    def ended(self, recipient: str, result: SendResult) -> None:
        """Take note of an attempt's result. A refusal or deferral of one mail shows that the server works."""
        match result:
            case MailAccepted() | MailRefused():
                self._succeeded(recipient)
            case MailDeferred(stage, code, _) if code is not None and stage in ("rcpt", "data", "body"):
                self._succeeded(recipient)
            case MailDeferred(stage="rcpt" | "data" | "body") | MailUncertain():
                self._silent(recipient, f"{result.label}: {result.answer}")
            case _:
                self.failed(f"{result.label}: {result.answer}")

    def failed(self, failure: str) -> None:
        """Take note that the server cannot be used, or answers before no address."""
        self._server_since = monotonic_seconds() if self._server_since is None else self._server_since
        self._failure = failure[:300]

    def nothing_due(self) -> None:
        """Forget failures once no mail is due: nobody is affected, whether the server works or not."""
        self._server_since = None
        self._silent_since.clear()

    def check(self) -> Check:
        """Not ready once no mail has been accepted for longer than the patience while some were due."""
        now = monotonic_seconds()
        last = "none sent yet" if self._success_at is None else f"the last was sent {now - self._success_at:.0f} s ago"
        since = self._failing_since
        if since is None:
            silent = len(self._silent_since)
            told = f"; WARNING {silent} of the addresses meet silence, {self._failure}" if silent else ""
            return Check(ok=True, detail=f"{last}{told}")
        failing_seconds = now - since
        return Check(
            ok=not self._needed or failing_seconds <= self._patience_seconds,
            detail=f"WARNING no mail has been accepted for {failing_seconds:.0f} s, {self._failure}; {last}",
        )

    def publish(self) -> None:
        """Set the gauges."""
        now, since = monotonic_seconds(), self._failing_since
        self._watch.health(
            0.0 if since is None else now - since, -1.0 if self._success_at is None else now - self._success_at
        )

    @property
    def _failing_since(self) -> float | None:
        if self._server_since is not None:
            return self._server_since
        return min(self._silent_since.values()) if len(self._silent_since) >= SILENT_ADDRESSES else None

    def _silent(self, recipient: str, failure: str) -> None:
        self._server_since = None  # it has answered up to the address
        self._failure = failure[:300]
        if recipient not in self._known and len(self._silent_since) < MOST_KNOWN:
            self._silent_since.setdefault(recipient, monotonic_seconds())

    def _succeeded(self, recipient: str) -> None:
        self._success_at = monotonic_seconds()
        self._server_since = None
        self._known |= dict.fromkeys(self._silent_since)
        self._silent_since.clear()
        self._known.pop(recipient, None)
        while len(self._known) > MOST_KNOWN:
            self._known.pop(next(iter(self._known)))

"""Whether mails get away, told by what the server did: ages in seconds of the monotonic clock."""

from __future__ import annotations

from services.notifier import metrics
from services.notifier.delivery.states import Accepted, Deferred, Refused, Result
from shared.runtime.clock import monotonic_seconds
from shared.telemetry.readiness import Check


class MailHealth:
    """The last mail that got away and since when none does. Consuming goes on whatever it says."""

    def __init__(self, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._success_at: float | None = None
        self._failing_since: float | None = None
        self._trouble = ""

    def ended(self, result: Result) -> None:
        """One attempt ended so. A refusal or deferral of one mail shows that the server works."""
        match result:
            case Accepted() | Refused():
                self._succeeded()
            case Deferred(stage, code, _) if code is not None and stage in ("rcpt", "data", "body"):
                self._succeeded()
            case _:
                self.failed(f"{type(result).__name__}: {result.answer}")

    def failed(self, trouble: str) -> None:
        """The server cannot be used, or took nothing."""
        self._failing_since = monotonic_seconds() if self._failing_since is None else self._failing_since
        self._trouble = trouble[:300]

    def nothing_waits(self) -> None:
        """No mail waits any more: whether the server works is not known, and hinders nobody."""
        self._failing_since = None

    def check(self) -> Check:
        """Not ready only when mails have waited in vain for longer than the patience."""
        now = monotonic_seconds()
        last = "none sent yet" if self._success_at is None else f"the last went {now - self._success_at:.0f} s ago"
        if self._failing_since is None:
            return Check(ok=True, detail=last)
        failing_seconds = now - self._failing_since
        return Check(
            ok=failing_seconds <= self._patience_seconds,
            detail=f"WARNING no mail has got away for {failing_seconds:.0f} s, {self._trouble}; {last}",
        )

    def publish(self) -> None:
        """Set the gauges."""
        now = monotonic_seconds()
        metrics.SMTP_FAILING_SECONDS.set(0 if self._failing_since is None else now - self._failing_since)
        metrics.SMTP_LAST_SUCCESS_AGE_SECONDS.set(-1 if self._success_at is None else now - self._success_at)

    def _succeeded(self) -> None:
        self._success_at = monotonic_seconds()
        self._failing_since = None

"""Whether the mail server accepts mails, judged by its answers; ages in seconds of the monotonic clock."""

from __future__ import annotations

from services.notifier import metrics
from services.notifier.delivery.states import MailAccepted, MailDeferred, MailRefused, SendResult
from shared.runtime.clock import monotonic_seconds
from shared.telemetry.readiness import Check


class MailHealth:
    """When the server last accepted or refused a mail, and since when it does neither. Consuming never waits for it."""

    def __init__(self, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._success_at: float | None = None
        self._failing_since: float | None = None
        self._failure = ""

    def ended(self, result: SendResult) -> None:
        """Take note of an attempt's result. A refusal or deferral of one mail shows that the server works."""
        match result:
            case MailAccepted() | MailRefused():
                self._succeeded()
            case MailDeferred(stage, code, _) if code is not None and stage in ("rcpt", "data", "body"):
                self._succeeded()
            case _:
                self.failed(f"{result.label}: {result.answer}")

    def failed(self, failure: str) -> None:
        """Take note that the server cannot be used, or did not answer."""
        self._failing_since = monotonic_seconds() if self._failing_since is None else self._failing_since
        self._failure = failure[:300]

    def nothing_due(self) -> None:
        """Forget failures once no mail is due: nobody is affected, whether the server works or not."""
        self._failing_since = None

    def check(self) -> Check:
        """Not ready once no mail has been accepted for longer than the patience while some were due."""
        now = monotonic_seconds()
        last = "none sent yet" if self._success_at is None else f"the last was sent {now - self._success_at:.0f} s ago"
        if self._failing_since is None:
            return Check(ok=True, detail=last)
        failing_seconds = now - self._failing_since
        return Check(
            ok=failing_seconds <= self._patience_seconds,
            detail=f"WARNING no mail has been accepted for {failing_seconds:.0f} s, {self._failure}; {last}",
        )

    def publish(self) -> None:
        """Set the gauges."""
        now = monotonic_seconds()
        metrics.SMTP_FAILING_SECONDS.set(0 if self._failing_since is None else now - self._failing_since)
        metrics.SMTP_LAST_SUCCESS_AGE_SECONDS.set(-1 if self._success_at is None else now - self._success_at)

    def _succeeded(self) -> None:
        self._success_at = monotonic_seconds()
        self._failing_since = None

"""A mail and the record of its outcome stand in the trace of what the mail tells of, though it goes out later."""

from __future__ import annotations

from opentelemetry.trace import format_trace_id

from shared.outbox import caused_by
from tests.fakes.smtp import FakeSmtp
from tests.fakes.spans import recorded_spans
from tests.integration.notifier.rig import World, overdue, registry

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def _mails(world: World, smtp: FakeSmtp) -> list[str | None]:
    """Send two mails about one event; the traceparents of their outcomes, and of the climb that it begins."""
    await world.feed("registry", *registry())
    event = overdue()
    with caused_by({event.key: f"00-{TRACE}-b7ad6b7169203331-01"}):
        await world.feed("compliance", event)
    await world.drain(world.dispatcher(smtp))
    assert len(smtp.accepted) == 2
    rows = await world.rows("SELECT traceparent FROM outbox WHERE topic = 'notifications'")
    return [row["traceparent"] for row in rows]


async def test_the_outcome_of_a_mail_carries_its_cause(world: World, smtp: FakeSmtp) -> None:
    assert await _mails(world, smtp) == [f"00-{TRACE}-b7ad6b7169203331-01"] * 3


async def test_a_mail_is_recorded_in_the_trace_of_its_cause(world: World, smtp: FakeSmtp) -> None:
    with recorded_spans() as spans:
        await _mails(world, smtp)
    mails = [span for span in spans.get_finished_spans() if span.name.startswith("mail ")]
    assert sorted(span.name for span in mails) == ["mail escalation", "mail overdue"]
    assert {format_trace_id(span.context.trace_id) for span in mails if span.context} == {TRACE}

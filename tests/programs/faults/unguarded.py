"""Removable protections of well-behaved agencies (see controls.py): rows 28 to 33."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import uvicorn
from aiokafka.errors import MessageSizeTooLargeError

from services.scoring.obligations.generation_sweep import Generator
from shared.consuming import dlq_limit
from shared.consuming.batch import Batch
from shared.consuming.dlq_limit import Absurd, DlqLimit, Tally
from shared.contract import reporting_window
from shared.outbox.relay import Relay
from shared.outbox.sending import Row, Sent
from shared.postgres.database import Transaction
from shared.reports import body_errors, report_parser
from shared.service import command
from shared.service.service import Service
from shared.web.allowance import Account, Allowances, Lane
from tests.programs.faults import people

HOSTILE = people.AGENCIES[0]


def refusals_cost_nothing(service: Service) -> None:
    """Lets no agency pay or wait for the cost of its requests, and lists every error of a body, however many."""

    async def enter(self: Allowances, payer: str, *, reads: bool = False) -> tuple[Account, Lane]:
        lane = Lane(1_000_000)
        return Account(1e12, 0.0, 1_000_000, 1_000_000), lane

    Allowances.enter = enter  # type: ignore[method-assign]
    report_parser.MAX_ERRORS = 10**9  # type: ignore[attr-defined]
    body_errors.MAX_ERRORS = 10**9  # type: ignore[attr-defined]


def stock_server(service: Service) -> None:
    """Uses uvicorn as it comes: no cap on a head, no deadline for the first byte."""
    original = command.server_config  # type: ignore[attr-defined]

    def server_config(*arguments: Any, **options: Any) -> uvicorn.Config:
        config = original(*arguments, **options)
        config.http = "httptools"
        return config

    command.server_config = server_config  # type: ignore[attr-defined]


def a_refused_row_holds_its_batch(service: Service) -> None:
    """Lets the relay repeat a whole batch that holds a record which Kafka refuses."""
    original = Relay.send

    async def send(self: Relay, rows: Sequence[Row]) -> Sent:
        sent = await original(self, rows)
        if sent.refused:
            await asyncio.sleep(0.2)
            raise MessageSizeTooLargeError("the batch is sent again")
        return sent

    Relay.send = send  # type: ignore[method-assign]


def halted_by_one_sender(service: Service) -> None:
    """Lets intake admit years that scoring refuses; scoring halts for that many bad records of any sender."""
    if service.name == "intake":
        reporting_window.FIRST_YEAR, reporting_window.BACK_DAYS = 1900, 400_000
    if service.name != "scoring":
        return

    def check(self: DlqLimit, tally: Tally) -> None:
        all_ = [*self._recent, tally]
        bad = [fault for batch in all_ for fault in batch.bad]
        if len(bad) >= 40:
            raise Absurd(len(bad), sum(batch.records for batch in all_), dlq_limit._causes(bad)[:10], tally.letters)

    DlqLimit.check = check  # type: ignore[method-assign]
    for subscription in service.consumers.subscriptions if service.consumers is not None else ():
        applier = subscription._applier
        handle = applier.inbound.handle

        async def refusing(batch: Batch[Any], tx: Transaction, handle: Any = handle) -> None:
            for event in batch:
                if event.key.startswith(f"{HOSTILE}/CU/"):
                    batch.reject(event, "months before it began")
            await handle(batch, tx)

        applier.inbound = replace(applier.inbound, handle=refusing)


def one_plan_fails_all(service: Service) -> None:
    """Lets a regime that cannot be planned end the whole round of generation."""
    original = Generator._plans

    async def plans(self: Generator, *arguments: Any) -> Any:
        found = await original(self, *arguments)
        if unplanned := arguments[-1]:
            raise ValueError(unplanned[0].why)
        return found

    Generator._plans = plans  # type: ignore[method-assign, assignment]


def never_released(service: Service) -> None:
    """Stops the search for what deferred events await."""

    async def none(tx: Transaction, names: Sequence[str]) -> set[str]:
        return set()

    for subscription in service.consumers.subscriptions if service.consumers is not None else ():
        subscription._applier.inbound = replace(subscription._applier.inbound, resolved=none)


UNGUARDED: dict[str, Callable[[Service], None]] = {
    function.__name__: function
    for function in (
        refusals_cost_nothing,
        stock_server,
        a_refused_row_holds_its_batch,
        halted_by_one_sender,
        one_plan_fails_all,
        never_released,
    )
}

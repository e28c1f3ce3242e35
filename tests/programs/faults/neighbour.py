"""A neighbour: a well-behaved agency that sends one report after the other and measures how long each takes.

It posts each report through the public API. A report is settled once the agency sees its verdict and scoring has
counted it; one that is never settled counts with the whole time waited.
"""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType
from typing import Self
from uuid import uuid4

import httpx

from deploy.local.calls import call
from tests.programs.faults import people
from tests.programs.faults.ground import Province
from tests.programs.faults.load import Ledger, Post, Receipt
from tests.programs.faults.sql import execute

NEIGHBOUR = people.AGENCIES[-1]
PAUSE_SECONDS = 0.4
#: seconds after which an unsettled report is given up: it is far too late
PATIENCE_SECONDS = 30.0
ANSWER_SECONDS = 10.0
_SCORED = """
    SELECT count(*) FROM obligations AS o, json_array_elements(o.document -> 'facts' -> 'versions') AS v
     WHERE o.obligation = $1 AND CAST(v ->> 'number' AS integer) = $2 AND v -> 'verdicts' IS NOT NULL
"""


class Neighbour:
    """Posts and watches from a thread of its own while the block runs; `ledger` holds what it was told."""

    def __init__(self, province: Province, keys: dict[str, str], seed: int, agency: str = NEIGHBOUR) -> None:
        self.ledger = Ledger()
        self._province, self._key, self._agency = province, keys[agency], agency
        self._dice = random.Random(seed)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="neighbour", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait_for(2)  # a slow first time is not the fault's doing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(PATIENCE_SECONDS + 3 * ANSWER_SECONDS)
        if error is None and self._error is not None:
            raise self._error

    def wait_for(self, more: int, seconds: float = 90) -> None:
        """Return when so many more reports are settled. Raises TimeoutError."""
        wanted = len(self.ledger.judged_seconds) + more
        deadline = time.monotonic() + seconds
        while len(self.ledger.judged_seconds) < wanted:
            if self._error is not None:
                raise self._error
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {len(self.ledger.judged_seconds)} of {wanted} of the neighbour's reports")
            time.sleep(0.05)

    def _run(self) -> None:
        try:
            with httpx.Client(
                base_url=self._province.stack.url("intake"),
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=ANSWER_SECONDS,
                trust_env=False,
            ) as http:
                serial = 0
                while not self._stopped.is_set():
                    serial += 1
                    self._report(http, serial)
                    self._stopped.wait(PAUSE_SECONDS)
        except BaseException as error:
            self._error = error

    def _report(self, http: httpx.Client, serial: int) -> None:
        period = people.PERIODS[serial % len(people.PERIODS)]
        body = people.make_body(self._dice, self._agency, period, 1_000_000 + serial)
        post = Post(self._agency, period, str(uuid4()), body)
        self.ledger.posted[(post.agency, post.key)] = post
        began = time.monotonic()
        name = f"{post.obligation} report {serial}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": post.key}
        told: dict[str, str] = {}
        version = 0
        while time.monotonic() - began < PATIENCE_SECONDS:
            try:
                if not told:
                    answer = http.post("/v1/submissions", content=body, headers=headers)
                    self.ledger.answers[str(answer.status_code)] += 1
                    if answer.is_success:
                        told = answer.json()
                        version = int(told["version"])
                        self.ledger.receipts.append(
                            Receipt(
                                post, answer.status_code, told["submission_id"], told["obligation"], version,
                                told["sha256"], told["received_at"],
                            )
                        )  # fmt: skip
                    elif answer.status_code not in (429, 503):
                        self.ledger.refused.append((post, answer.status_code, answer.text[:300]))
                        break
                elif self._settled(http, told["submission_id"], post.obligation, version):
                    self.ledger.judged_seconds[name] = time.monotonic() - began
                    return
            except httpx.TransportError as error:
                self.ledger.answers[type(error).__name__] += 1
            time.sleep(0.05)
        self.ledger.judged_seconds[name] = max(PATIENCE_SECONDS, time.monotonic() - began)

    def _settled(self, http: httpx.Client, submission_id: str, obligation: str, version: int) -> bool:
        shown = http.get(f"/v1/submissions/{submission_id}")
        if shown.status_code != 200 or shown.json()["status"] == "received":
            return False
        url = self._province.database_urls["scoring"]
        return bool(call(lambda: execute(url, _SCORED, obligation, version)))

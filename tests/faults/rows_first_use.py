"""The first-use race: many clients at once use what has just been published, on several intake processes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults import people
from tests.faults.ground import Province, operate
from tests.faults.load import Ledger, Load, Post, merged
from tests.faults.matrix import Field, row

INSTANCES = 3
ROUNDS = 3
CLIENTS = 40


def _publish(province: Province, folder: Path, number: int) -> tuple[str, str, str]:
    """A new agency with its officers, a new regime and a new version of the old one; returns agency, regime, key."""
    agency, regime = f"X99.{50 + number}", f"MOI-{number}"
    agencies = (*people.AGENCIES, *(f"X99.{50 + n}" for n in range(1, number + 1)))
    regimes = [people.regime_document()]
    regimes += [people.regime_document(f"MOI-{n}") for n in range(1, number + 1)]
    # from a week that nobody has reported yet on, another version governs
    regimes.append(people.regime_document(version=2, effective_from="2026-03-06"))
    people.write_registry(folder, agencies, regimes)
    url = province.database_urls["intake"]
    operate("intake", url, "load", str(folder))
    made = json.loads(operate("intake", url, "keys", "create", "--agency", agency, "--json"))
    return agency, regime, made["keys"][0]["key"]


def _first_posts(field: Field, agency: str, regime: str, number: int) -> list[list[Post]]:
    """Everybody is first: to use the key, the agency, the regime, the period, and the new version of the old regime."""
    chains = []
    for client in range(CLIENTS):
        period = people.PERIODS[client % 4 + 6]
        code = regime if client % 2 else people.REGIME
        serial = 100_000 + number * 1000 + client
        body = people.make_body(field.dice, agency, period, serial, code)
        chains.append([Post(agency, period, f"first-{number}-{client}", body, code)])
    return chains


@row("25", "first use: period, regime version, agency and key just published, three intakes", "I1", "I2", "I7")
def first_use(field: Field) -> None:
    wanted = {"intake": INSTANCES, "validator": 1, "scoring": 1, "notifier": 1}
    # nothing is looked for by itself: only the request that needs it makes an instance look
    lazy = {"INTAKE_REGISTRY_POLL_SECONDS": "30", "INTAKE_REGISTRY_MAX_AGE_SECONDS": "60"}
    with field.province(services=wanted, env=lazy) as province:
        folder = field.ground.directory / "first-use"
        ledgers: list[Ledger] = []
        keys = dict(field.ground.keys)
        with field.stream(province, clients=4) as running:
            running.wait_for(10)
            for number in range(1, ROUNDS + 1):
                agency, regime, key = _publish(province, folder, number)
                keys[agency] = key
                crowd = Load(
                    province.stack.urls("intake"), keys, _first_posts(field, agency, regime, number),
                    seed=field.seed + number, clients=CLIENTS, double_share=0.3,
                )  # fmt: skip
                with crowd:
                    ledgers.append(crowd.finish())
            ledgers.append(running.stop())
        ledger = merged(ledgers)
        field.happened("first uses", sum(len(each.receipts) for each in ledgers[:ROUNDS]))
        stores = field.judge(province, ledger)
        field.figure("regime versions used", len({row.obligation.split("/")[1] for row in stores.submissions}))

"""The first-use race: many clients at once use what has just been published, on several intake processes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.programs.faults import people
from tests.programs.faults.ground import Province, operate
from tests.programs.faults.load import Ledger, Load, Post, merged
from tests.programs.faults.matrix import Field, row
from tests.programs.faults.stores import Stores

INSTANCES = 3
ROUNDS = 3
CLIENTS = 40
#: Mondays from which each round's new version of the old regime governs, and the periods of those weeks
NEW_FROM = ("2026-02-16", "2026-02-23", "2026-03-02")
NEW_PERIODS = ("2026-W08", "2026-W09", "2026-W10")


def _publish(province: Province, folder: Path, number: int) -> tuple[str, str, str]:
    """Publish an agency with officers, a regime and a new version of the old one; return agency, regime, key."""
    agency, regime = f"X99.{50 + number}", f"MOI-{number}"
    agencies = (*people.AGENCIES, *(f"X99.{50 + n}" for n in range(1, number + 1)))
    regimes = [people.regime_document()]
    regimes += [people.regime_document(f"MOI-{n}") for n in range(1, number + 1)]
    # and only a new version of a regime that every instance knows
    regimes += [people.regime_document(version=2 + n, effective_from=NEW_FROM[n]) for n in range(number)]
    people.write_registry(folder, agencies, regimes)
    url = province.database_urls["intake"]
    operate("intake", url, "registry", "apply", str(folder), "--why", "a test")
    made = json.loads(operate("intake", url, "keys", "create", "--agency", agency, "--json"))
    return agency, regime, made["keys"][0]["key"]


def _first_posts(field: Field, agency: str, regime: str, number: int) -> list[list[Post]]:
    """Let many clients use key, agency, regime, period and the new version at once, all for the first time."""
    chains = []
    for client, known in enumerate(people.AGENCIES[:CLIENTS]):
        body = people.make_body(field.dice, known, NEW_PERIODS[number - 1], 200_000 + number * 1000 + client)
        chains.append([Post(known, NEW_PERIODS[number - 1], f"version-{number}-{client}", body)])
    for client in range(CLIENTS):
        period = people.PERIODS[client % 4 + 6]
        code = regime if client % 2 else people.REGIME
        serial = 100_000 + number * 1000 + client
        body = people.make_body(field.dice, agency, period, serial, code)
        chains.append([Post(agency, period, f"first-{number}-{client}", body, code)])
    field.dice.shuffle(chains)
    return chains


@row("25", "first use: period, regime version, agency and key just published, three intakes", "I1", "I2", "I7")
def first_use(field: Field) -> None:
    wanted = {"intake": INSTANCES, "validator": 1, "scoring": 1, "notifier": 1, "board": 1}
    # no instance looks by itself: only the request that needs a record makes it look
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
                # the crowd has made every instance look: from now on the new version governs
                late = Load(
                    province.stack.urls("intake"), keys, _late_posts(field, number), seed=field.seed, clients=CLIENTS
                )
                with late:
                    ledgers.append(late.finish())
            ledgers.append(running.stop())
        ledger = merged(ledgers)
        field.happened("first uses", sum(len(ledger.receipts) for ledger in ledgers[:-1]))
        stores = field.judge(province, ledger)
        field.figure("regimes used", len({row.obligation.split("/")[1] for row in stores.submissions}))
        used = Counter(
            row.regime_version for row in stores.submissions if row.obligation.split("/")[1] == people.REGIME
        )
        field.figure("submissions by version of the old regime", dict(sorted(used.items())))
        for number in range(1, ROUNDS + 1):
            known = _versions_of(stores, f"version-{number}-")
            field.happened(f"known agencies that met version {number + 1} first", known[number + 1])
            if strange := {version: n for version, n in known.items() if version not in (number, number + 1)}:
                field.result.wrongs["I1"].append(f"round {number}: stored under versions {strange}")
            if stale := [v for v in _versions_of(stores, f"late-{number}-") if v != number + 1]:
                field.result.wrongs["I1"].append(f"round {number}: versions {stale} are used after all have looked")


def _late_posts(field: Field, number: int) -> list[list[Post]]:
    """Post once more from the known agencies."""
    chains = []
    for client, known in enumerate(people.AGENCIES):
        body = people.make_body(field.dice, known, NEW_PERIODS[number - 1], 300_000 + number * 1000 + client)
        chains.append([Post(known, NEW_PERIODS[number - 1], f"late-{number}-{client}", body)])
    return chains


def _versions_of(stores: Stores, prefix: str) -> Counter[int]:
    """Return the regime versions under which posts with keys of this kind are stored."""
    return Counter(row.regime_version for row in stores.submissions if row.idempotency_key.startswith(prefix))

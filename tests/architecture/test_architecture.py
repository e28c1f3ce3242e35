# ruff: noqa: E501 - a snippet to a line reads as a table
"""The tree keeps every rule, and every rule turns red on a tree that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import backbone, boundaries, habits
from tests.architecture.tree import ROOT, Rule, Tree

RULES = {rule.__name__: rule for rule in (*boundaries.RULES, *backbone.RULES, *habits.RULES)}
TREE = Tree(ROOT)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    breaches = rule(TREE)
    assert not breaches, "\n" + "\n".join(breaches)


#: rule -> (file, bad text, part of the message): what the rule must find
BAD: list[tuple[str, str, str, str]] = [
    ("services_import_only_shared_and_themselves", "services/intake/submissions/api.py", "from services.scoring import store\n", ":1: imports"),
    ("services_import_only_shared_and_themselves", "services/intake/submissions/api.py", "def f():\n    import services.notifier.planning.domain\n", ":2: imports"),
    ("services_import_only_shared_and_themselves", "services/intake/submissions/api.py", "from ...validator import domain\n", "services.validator"),
    ("services_import_only_shared_and_themselves", "services/intake/submissions/api.py", "from tests.stack import x\n", "tests.stack"),
    ("rooms_know_only_those_beneath", "shared/postgres/database.py", "from shared.web import app\n", ":1: imports shared.web.app: postgres is beneath web"),
    ("rooms_know_only_those_beneath", "shared/contract/events/base.py", "def f():\n    import shared.outbox.relay\n", "contract is beneath outbox"),
    ("rooms_know_only_those_beneath", "shared/helpers.py", "", "helpers.py is no room"),
    ("services_load_no_module_by_name", "services/intake/submissions/api.py", "import importlib\nx = importlib.import_module('services.' + 'scoring.domain')\n", ":2: calls importlib.import_module"),
    ("services_load_no_module_by_name", "services/intake/submissions/api.py", "x = __import__('services.scoring.obligations.domain')\n", "__import__"),
    ("shared_imports_no_service", "shared/web/app.py", "from services.intake import domain\n", "beneath"),
    ("only_edges_end_transactions", "services/intake/submissions/store.py", "async def f(tx):\n    await tx.commit()\n", ":2: calls tx.commit()"),
    ("only_edges_end_transactions", "services/scoring/obligations/handlers.py", "async def f(tx):\n    async with tx.begin_nested(): ...\n", "begin_nested"),
    ("only_edges_end_transactions", "services/scoring/obligations/handlers.py", "async def f(db):\n    async with db.transaction() as tx: ...\n", "transaction"),
    ("only_edges_end_transactions", "services/intake/registry/store.py", "async def f(tx):\n    await tx.rollback()\n", "rollback"),
    ("only_edges_end_transactions", "services/scoring/obligations/generator.py", "async def f(tx):\n    await tx.commit()\n", ":2: calls tx.commit()"),
    ("only_edges_end_transactions", "services/scoring/registry.py", "async def f(tx):\n    await tx.commit()\n", ":2: calls"),
    ("only_edges_end_transactions", "services/intake/access/keys.py", "async def f(db):\n    async with db.transaction() as tx: ...\n", ":2: calls"),
    ("only_edges_end_transactions", "services/intake/submissions/queries.py", "async def f(tx):\n    await tx.rollback()\n", ":2: calls"),
    ("only_edges_end_transactions", "services/notifier/delivery/backlog.py", "async def f(tx):\n    await tx.rollback()\n", ":2: calls"),
    ("only_edges_end_transactions", "services/intake/registry/load.py", "async def f(tx):\n    await tx.commit()\n", ":2: calls"),
    ("only_edges_end_transactions", "services/intake/brand_new.py", "async def f(tx):\n    await tx.connection.commit()\n", ":2: calls"),
    ("only_edges_end_transactions", "services/intake/commands.py", "async def f(tx: Transaction | None):\n    await tx.commit()\n", ":2: calls"),
    ("only_edges_end_transactions", "services/intake/submissions/group_commit.py", "async def f(*, tx: 'ReadTransaction'):\n    await tx.commit()\n", ":2: calls"),
    ("only_edges_end_transactions", "services/intake/submissions/store.py", "async def f(tx):\n    await tx.execute(text('COMMIT'))\n", ":2: says COMMIT"),
    ("only_edges_end_transactions", "services/intake/submissions/store.py", "async def f(tx):\n    await tx.execute('rollback to savepoint a;')\n", ":2: says rollback"),
    ("openers_are_there", "services/intake/submissions/group_commit.py", "async def f(tx): ...\n", "opens none"),
    ("openers_are_there", "services/intake/submissions/api.py", "async def f(tx): ...\n", "group_commit.py: named as a place that opens transactions, but gone"),
    ("shared_publish_and_inbox_never_end_transactions", "shared/outbox/publish.py", "async def f(tx):\n    await tx.commit()\n", "caller's"),
    ("pure_rooms_do_no_io", "services/scoring/obligations/domain.py", "import asyncio\n", "asyncio"),
    ("pure_rooms_do_no_io", "services/scoring/obligations/domain.py", "from sqlalchemy import text\n", "sqlalchemy"),
    ("pure_rooms_do_no_io", "services/scoring/obligations/domain.py", "from services.scoring import store\n", "edges and stores"),
    ("pure_rooms_do_no_io", "services/scoring/obligations/domain.py", "from shared.postgres.database import Transaction\n", "shared.postgres.database"),
    ("pure_rooms_do_no_io", "services/scoring/obligations/domain.py", "from shared import outbox\n", "shared.outbox"),
    ("pure_rooms_do_no_io", "services/validator/rules/sums.py", "x = open('f')\n", "open()"),
    ("pure_rooms_do_no_io", "shared/contract/events/base.py", "import random\n", "random"),
    *[("pure_rooms_do_no_io", f"services/{room}.py", "import asyncio\n", ":1: imports asyncio") for room in (
        "intake/submissions/admission", "intake/registry/checks", "notifier/delivery/states", "scoring/scores/policy/assess",
        "scoring/obligations/resolve", "intake/obligations/standing")],
    ("pure_rooms_do_no_io", "services/intake/registry/checks.py", "from services.intake.registry.store import f\n", "edges and stores"),
    ("every_service_is_known", "services/billing/domain.py", "", "billing"),
    ("services_are_listed_once", "deploy/local/options.py", "ALL = ['board', 'intake', 'notifier', 'scoring', 'validator']\n", ":1: lists all services"),
    ("subscriptions_are_declared_once", "services/intake/consumer.py", "f = Inbound('follow', (), (), f)\n", ":1: Inbound()"),
    ("subscriptions_are_declared_once", "services/intake/consumer.py", "f = Inbound.of('intake.follow', f)\n", "nothing handles intake.notices"),
    ("subscriptions_are_declared_once", "services/intake/consumer.py", "f = Inbound.of('intake.elsewhere', f)\n", ":1: intake.elsewhere"),
    ("subscriptions_are_declared_once", "services/intake/consumer.py", "f = Inbound.of('scoring.follow', f)\n", ":1: scoring.follow"),
    ("only_the_outbox_produces", "services/intake/submissions/api.py", "from aiokafka import AIOKafkaProducer\n", "outbox"),
    ("only_the_outbox_produces", "shared/consuming/subscription.py", "async def f(broker):\n    await broker.publish(b'')\n", ":2: calls broker.publish"),
    ("services_touch_no_kafka_client", "services/intake/consumer.py", "from faststream.kafka import KafkaBroker\n", "faststream"),
    ("aiokafkas_insides_are_known_in_one_place", "shared/consuming/aiokafka_internals.py", "def f(reader):\n    return reader._coordinator\n", "touches ._coordinator"),
    ("aiokafkas_insides_are_known_in_one_place", "shared/kafka/clients.py", "def f(reader):\n    return reader._client.cluster\n", ":2: touches ._client"),
    ("subscribers_acknowledge_after_the_work_and_read_from_the_start", "shared/consuming/subscription.py", "from faststream import AckPolicy\nx = AckPolicy.ACK_FIRST\n", ":2: AckPolicy.ACK_FIRST"),
    ("subscribers_acknowledge_after_the_work_and_read_from_the_start", "shared/consuming/subscription.py", "broker.subscriber('t', batch=True, auto_offset_reset='earliest')\n", "without ack_policy"),
    ("subscribers_acknowledge_after_the_work_and_read_from_the_start", "shared/consuming/subscription.py", "broker.subscriber('t', batch=True, ack_policy=p)\n", "auto_offset_reset"),
    ("subscribers_acknowledge_after_the_work_and_read_from_the_start", "shared/consuming/subscription.py", "broker.subscriber('t', batch=True, ack_policy=p, auto_offset_reset='latest')\n", "auto_offset_reset"),
    ("subscribers_acknowledge_after_the_work_and_read_from_the_start", "shared/consuming/subscription.py", "broker.subscriber('t', ack_policy=p, auto_offset_reset='earliest')\n", "batch=True"),
    ("the_wall_clock_is_read_only_in_clock", "services/scoring/obligations/handlers.py", "from datetime import datetime, UTC\nx = datetime.now(UTC)\n", ":2: calls datetime.now()"),
    ("the_wall_clock_is_read_only_in_clock", "services/scoring/obligations/handlers.py", "import datetime as dt\nimport datetime\nx = datetime.datetime.utcnow()\n", "utcnow"),
    ("the_wall_clock_is_read_only_in_clock", "shared/service/ticker.py", "import time\nx = time.time()\n", "time.time()"),
    ("the_wall_clock_is_read_only_in_clock", "shared/service/ticker.py", "from time import time\n", "imports time.time"),
    ("pauses_grow_in_one_place", "services/scoring/main.py", "x = 1\npause_seconds = min(pause_seconds * 2, LONGEST)\n", ":2: min(pause_seconds * 2, LONGEST)"),
    ("no_run_of_lines_stands_twice", "services/intake/store.py", "".join(f"x{n} = {n}\n" for n in range(15)) + "\ndef f():\n" + "".join(f"    x{n} = {n}\n\n" for n in range(15)), ":18: 15 lines or more that stand at services/intake/store.py:1"),
    ("every_log_line_has_its_action", "shared/service/ticker.py", "log.info('A sentence.', rows=1)\n", "without action"),
    ("every_log_line_has_its_action", "shared/service/ticker.py", "self._log.error('A sentence.')\n", "without action"),
    ("every_log_line_has_its_action", "shared/service/ticker.py", "log.info('A sentence.', action='Stored It')\n", "noun.verb"),
    ("every_log_line_has_its_action", "services/intake/submissions/api.py", "import logging\n", "shared.telemetry.logging"),
    ("metrics_are_declared_once_and_documented", "services/intake/metrics.py", "A = declare_gauge('thongsuot_intake_x_rows', 'X.', unit='rows')\n", "not in docs/metrics.md"),
    ("metrics_are_declared_once_and_documented", "services/intake/metrics.py", "A = declare_gauge('thongsuot_a', 'X.', unit='rows')\nB = declare_gauge('thongsuot_a', 'X.', unit='rows')\n", ":2: thongsuot_a is declared already"),
    ("metrics_are_declared_once_and_documented", "services/intake/metrics.py", "A = declare_gauge('thongsuot_queue', 'X.', unit='rows')\n", "begins with thongsuot_intake_"),
    ("metrics_are_declared_once_and_documented", "services/intake/submissions/api.py", "A = metrics.declare_gauge('thongsuot_intake_b', 'X.', unit='rows')\n", "outside metrics.py"),
    ("metrics_are_declared_once_and_documented", "services/intake/metrics.py", "from prometheus_client import Gauge\nA = Gauge('a', 'b')\n", "through shared.telemetry.metrics"),
    ("metrics_are_declared_once_and_documented", "docs/metrics.md", "`thongsuot_gone_rows`\n", "declared nowhere"),
    ("every_problem_has_its_page", "services/intake/submissions/api.py", "raise Problem(409, 'no-such-page', 'a', 'b')\n", "/problems/no-such-page"),
    ("every_problem_has_its_page", "services/intake/submissions/api.py", "raise Problem(status=409, slug='no-such-page')\n", "/problems/no-such-page"),
    ("modules_state_their_invariant", "services/intake/submissions/api.py", "x = 1\n", "no module docstring"),
    ("tests_never_sleep_and_hope", "tests/unit/test_a.py", "import time\ntime.sleep(1)\n", ":2: time.sleep"),
    ("tests_never_sleep_and_hope", "tests/unit/test_a.py", "from time import sleep\n", "time.sleep"),
    ("tests_never_sleep_and_hope", "tests/unit/test_a.py", "async def test_a():\n    await asyncio.sleep(0.3)\n    assert x\n", ":2: asyncio.sleep outside a loop"),
    ("tests_never_sleep_and_hope", "tests/unit/test_a.py", "async def test_a():\n    while x:\n        async def f():\n            await asyncio.sleep(0.3)\n", ":4: asyncio.sleep outside"),
    ("tests_never_sleep_and_hope", "tests/unit/test_a.py", "from asyncio import sleep\n", "asyncio.sleep"),
    ("tests_never_sleep_and_hope", "tests/unit/rig.py", "def settle(seconds):\n    time.sleep(seconds)\n", ":2: time.sleep outside a loop"),
    ("nothing_of_one_machine_is_committed", "docs/a.md", "one\nsee /wo" + "rk/main\n", "docs/a.md:2: a path of one machine"),
    ("nothing_of_one_machine_is_committed", "scripts/a.sh", "pip install --index" + "-url x y\n", "registry"),
    ("outside_text_is_normalised_in_one_place", "services/intake/submissions/domain.py", "import unicodedata\nx = unicodedata.normalize('NFC', y)\n", ":2: unicodedata.normalize"),
    ("outside_text_is_normalised_in_one_place", "services/intake/submissions/domain.py", "from unicodedata import is_normalized\n", ":1: unicodedata.is_normalized"),
    ("yaml_is_read_in_one_place", "services/scoring/calendar/data.py", "import yaml\nx = yaml.safe_load(y)\n", ":2: yaml.safe_load"),
    ("yaml_is_read_in_one_place", "shared/web/app.py", "import yaml as y\nx = y.parse(z)\n", ":2: yaml.parse"),
    ("yaml_is_read_in_one_place", "deploy/sample/a.py", "from yaml import safe_dump, safe_load\n", ":1: yaml.safe_load"),
    ("yaml_is_read_in_one_place", "deploy/sample/a.py", "import yaml\nx = getattr(yaml, 'CSafeLoader', 0)\n", ":2: yaml.CSafeLoader"),
    ("yaml_is_read_in_one_place", "services/intake/registry/a.py", "from ruamel.yaml import YAML\n", ":1: ruamel.yaml.YAML"),
    *[("vietnamese_is_spelt_one_way", "docs/a.md", f"dòng\nMột {word}, hai.\n", f"docs/a.md:2: “{word}”") for word in (
        "kho" + "á", "Ho" + "à", "xo" + "ạ", "thu" + "ỷ", "kho" + "ẻ", "HO" + "Á")],
    ("vietnamese_is_spelt_one_way", "docs/a.md", "uy\u0309 ban\n", "docs/a.md:1: “u" + "ỷ”"),
    ("loop_variables_are_nouns", "services/intake/store.py", "x = 1\ny = [f(each) for each in x]\n", ":2: a loop over `each`"),
    ("loop_variables_are_nouns", "deploy/local/a.py", "for place, each in x:\n    f(each)\n", ":1: a loop over `each`"),
    ("code_of_pages_fits_a_terminal", "docs/a.md", "```sh\ncurl " + "x" * 76 + "\n```\n", "docs/a.md:2: 81 columns"),
    ("code_of_pages_fits_a_terminal", "docs/a.md", "```diff\n+1\n```\n- a step\n  ```\n  ls " + "x" * 76 + "\n  ```\n", "docs/a.md:6: 81 columns"),
    ("code_of_pages_fits_a_terminal", "docs/a.md", "Type:\n\n    ls " + "x" * 74 + "\n", "docs/a.md:3: 81 columns"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "file", "text", "message"), BAD)
def test_the_rule_turns_red_on_a_tree_that_breaks_it(
    tmp_path: Path, rule: str, file: str, text: str, message: str
) -> None:
    (tmp_path / "services").mkdir()
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    breaches = RULES[rule](Tree(tmp_path))
    assert any(message in breach for breach in breaches), breaches


#: what must stay allowed, or the rules would be in the way
GOOD: list[tuple[str, str, str]] = [
    ("vietnamese_is_spelt_one_way", "docs/a.md", "khóa, Hòa, ủy, thủy, quý, Quỹ, quỷ, hoàn, khoản, khuỷu, thoát, hoạt, ngoái, khỏe, toàn, huỳnh\n"),
    ("loop_variables_are_nouns", "services/intake/store.py", "x = [f(row) for row in each]\n"),
    ("code_of_pages_fits_a_terminal", "docs/a.md", "a b" * 40 + "\n```sh\nls " + "ó" * 77 + "\n  " + "x" * 90 + "\n```\n" + "a b" * 40 + "\n```diff\n" + "+ x" * 40 + "\n```\n"),
    ("services_import_only_shared_and_themselves", "services/intake/submissions/api.py", "from services.intake import store\nfrom . import domain\nimport shared.postgres.database\n"),
    ("no_run_of_lines_stands_twice", "services/intake/store.py", 2 * "".join(f"x{n} = {n}\n" for n in range(14))),
    ("services_are_listed_once", "deploy/local/options.py", "PORTS = {'intake': 1, 'validator': 2, 'scoring': 3, 'notifier': 4}\nMOST = ('intake', 'scoring', 'validator')\n"),
    ("subscriptions_are_declared_once", "services/intake/consumer.py", "f = Inbound.of('intake.follow', f)\ng = Inbound.of('intake.notices', g)\n"),
    ("only_edges_end_transactions", "services/intake/consumer.py", "async def f(db):\n    async with db.transaction() as tx: ...\n"),
    ("only_edges_end_transactions", "services/intake/submissions/group_commit.py", "async def f(self):\n    async with self._database.transaction() as tx: ...\n"),
    ("only_edges_end_transactions", "services/intake/submissions/store.py", "x = text('BEGINNING of a text')\ny = text('SELECT 1')\n"),
    ("pure_rooms_do_no_io", "services/intake/submissions/domain.py", "from datetime import date\nfrom shared.contract.events import Model\nfrom shared.reports.limits import MAX\n"),
    ("only_the_outbox_produces", "services/intake/submissions/handlers.py", "async def f(tx):\n    await outbox.publish(tx, [])\n"),
    ("only_the_outbox_produces", "shared/outbox/relay.py", "from aiokafka import AIOKafkaProducer\n"),
    ("the_wall_clock_is_read_only_in_clock", "shared/runtime/clock.py", "x = datetime.now(UTC)\n"),
    ("the_wall_clock_is_read_only_in_clock", "shared/web/app.py", "x = clock.now()\ny = time.monotonic()\n"),
    ("every_log_line_has_its_action", "shared/web/app.py", "log.info('A sentence.', action='http.answered')\nresult.error('x')\n"),
    ("every_problem_has_its_page", "services/intake/submissions/api.py", "K = describe('a-page', 409, '', '', '', '')\nraise Problem(409, 'a-page', 'a', 'b')\n"),
    ("modules_state_their_invariant", "services/__init__.py", ""),
    ("outside_text_is_normalised_in_one_place", "shared/contract/text.py", "import unicodedata\nx = unicodedata.normalize('NFC', y)\n"),
    ("outside_text_is_normalised_in_one_place", "services/intake/submissions/domain.py", "import unicodedata\nx = unicodedata.combining(y)\n"),
    ("tests_never_sleep_and_hope", "tests/unit/test_a.py", "async def f():\n    while not await g():\n        assert now() < end\n        await asyncio.sleep(0.01)\n"),
    ("tests_never_sleep_and_hope", "tests/unit/test_a.py", "async def hang():\n    await asyncio.sleep(3600)\n    await asyncio.sleep(0)\n"),
    ("tests_never_sleep_and_hope", "tests/programs/faults/load.py", "async def f():\n    await asyncio.sleep(0.3)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "file", "text"), GOOD)
def test_the_rule_leaves_good_code_alone(tmp_path: Path, rule: str, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    assert RULES[rule](Tree(tmp_path)) == []


def test_every_rule_has_a_negative_control() -> None:
    assert {rule for rule, *_ in BAD} == set(RULES)

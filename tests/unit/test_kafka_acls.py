"""The rights in Kafka follow from what the services declare: one writer per topic, readers only where they follow."""

from __future__ import annotations

import shlex

import pytest

from deploy.kafka import provision
from deploy.kafka.acls import commands, grants, main, table
from shared.contract.events import OWNERS
from shared.contract.subscriptions import FOLLOWS
from tests.architecture.tree import ROOT


def test_each_topic_has_one_writer_and_it_is_the_owner() -> None:
    writers: dict[str, set[str]] = {}
    for grant in grants():
        if "Write" in grant.operations:
            writers.setdefault(grant.name, set()).add(grant.service)
    assert writers == {**{t: {o} for t, o in OWNERS.items()}, **{f"{service}.dlq": {service} for service in FOLLOWS}}
    assert set(writers) == {topic.name for topic in provision.load()}


def test_each_service_reads_what_it_follows_and_nothing_else() -> None:
    readers = {(g.service, g.name) for g in grants() if g.kind == "topic" and "Read" in g.operations}
    assert readers == {(service, model.TOPIC) for service, models in FOLLOWS.items() for model in models}


def test_no_service_may_use_anothers_groups_or_change_topics() -> None:
    for grant in grants():
        assert set(grant.operations) <= {"Read", "Write", "Describe", "DescribeConfigs"}
        if grant.kind == "group":
            assert grant.name == f"{grant.service}."  # with the dot: no prefix of another's name


def test_the_page_has_the_table_of_the_code() -> None:
    assert table() in (ROOT / "docs" / "kafka-acls.md").read_text(encoding="utf-8")


def test_the_commands_carry_prefix_principal_and_config_and_are_safe_to_paste() -> None:
    lines = commands("kafka:9093", "a b.", "User:ts-{service}", "admin.properties")
    assert len(lines) == len(grants())
    first = shlex.split(lines[0])
    assert first[:5] == ["kafka-acls.sh", "--bootstrap-server", "kafka:9093", "--command-config", "admin.properties"]
    assert "User:ts-intake" in first
    assert first[-1] == "a b.registry"
    prefixed = [shlex.split(line) for line in lines if "prefixed" in line]
    assert ["--group", "a b.intake.", "--resource-pattern-type", "prefixed"] in [words[-4:] for words in prefixed]


def test_one_principal_for_all_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--principal", "User:all"])
    assert "a principal per service" in capsys.readouterr().err

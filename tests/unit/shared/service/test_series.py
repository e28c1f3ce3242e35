"""Every labelled counter of every service is exposed from the start, with all that its labels can be."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from deploy import contracts
from shared.consuming.consumers import REMADE_REASONS
from shared.contract.services import SERVICES
from shared.service import series
from shared.service.service import Service
from shared.telemetry import metrics
from shared.telemetry.metrics import CATALOGUE, COLLECTORS, DYNAMIC, Metric
from shared.web.routes import operations
from tests.architecture.tree import ROOT, Tree

contracts.metrics_text()  # all modules that declare are imported


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Service]:
    for name in SERVICES:
        monkeypatch.setenv(f"{name.upper()}_DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")

    def make(name: str) -> Service:
        built: Service = import_module(f"services.{name}.main").build()
        return built

    return make


def exposed(name: str) -> set[tuple[str, ...]]:
    """Label values of a metric's series."""
    collector: Any = COLLECTORS[name]
    return set(collector._metrics)


@pytest.mark.parametrize("name", SERVICES)
async def test_every_declared_label_set_is_exposed_from_the_start(name: str, build: Callable[[str], Service]) -> None:
    service = build(name)
    series.touch(service)
    counted = series.counted(name)
    assert len(counted) > 10
    for metric in counted:
        wanted = set(series.label_sets(metric, service))
        # only some services have tickers
        assert wanted or "ticker" in metric.labels, f"{metric.name}: no label set is known"
        assert wanted <= exposed(metric.name), metric.name
    await service.database.close()


@pytest.mark.parametrize("name", SERVICES)
async def test_the_routes_that_are_counted_are_those_of_the_document(
    name: str, build: Callable[[str], Service]
) -> None:
    service = build(name)
    paths = service.app.openapi()["paths"]
    assert operations(service.app) == {(method.upper(), path) for path in paths for method in paths[path]}
    await service.database.close()


async def test_without_the_touch_they_are_born_with_their_first_event(
    build: Callable[[str], Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control. The series of this process come back afterwards: other tests count with them."""
    service = build("scoring")
    for metric in series.counted("scoring"):
        monkeypatch.setattr(COLLECTORS[metric.name], "_metrics", {})
    missing = [m for m in series.counted("scoring") if not set(series.label_sets(m, service)) <= exposed(m.name)]
    assert len(missing) > 10
    await service.database.close()


def test_a_counter_that_does_not_say_what_its_labels_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="say what its labels can be"):
        metrics.declare_counter("thongsuot_test_unsaid_total", "Never.", unit="1", labels=["why"])


def _literals(tree: Tree) -> Iterator[tuple[str, str, int, str]]:
    """(where, metric's variable, which label, its literal value) of every `X.labels(…)` in the code."""
    for module in tree.modules("services", "shared"):
        for node in ast.walk(ast.parse(module.text)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "labels"):
                continue
            owner = node.func.value
            variable = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            for place, argument in enumerate(node.args):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield f"{module.path}:{node.lineno}", variable, place, argument.value


def test_no_label_is_written_that_is_not_declared() -> None:
    variables: dict[str, Metric] = {}
    for module in {metric.module for metric in CATALOGUE.values()}:
        imported = import_module(module)
        for name, collector in COLLECTORS.items():
            variables |= {v: CATALOGUE[name] for v, value in vars(imported).items() if value is collector}
    found = list(_literals(Tree(ROOT)))
    assert len(found) > 20
    for where, variable, place, value in found:
        metric = variables.get(variable)
        if metric is not None and metric.kind != "gauge" and metric.labels[place] not in DYNAMIC:
            assert value in metric.values[metric.labels[place]], f"{where}: {value} is not declared for {metric.name}"


def test_the_reasons_for_another_client_are_those_declared() -> None:
    assert CATALOGUE["thongsuot_consumer_remade_total"].values["reason"] == REMADE_REASONS

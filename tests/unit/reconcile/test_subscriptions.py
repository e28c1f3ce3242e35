"""Reconcile looks for each event where the services say they apply it."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import services.intake.consumer as intake
import services.notifier.consumer as notifier
import services.scoring.consumer as scoring
import services.validator.consumer as validator
from deploy.reconcile import comparison
from shared.consuming.applying import Inbound
from shared.contract.events import MODELS


def test_all_subscribed_types_exist_and_every_type_has_a_reader() -> None:
    read = {f"vn.thongsuot.{short}.v1" for types in comparison.SUBSCRIPTIONS.values() for short in types}
    assert read == set(MODELS)


def test_the_table_of_subscriptions_is_what_the_services_subscribe_to() -> None:
    """The doors only close over what they are given, so nothing real is needed to read their signatures."""
    nothing: Any = SimpleNamespace(prepare=None)
    doors: dict[str, Iterable[Inbound]] = {
        "intake": [intake.FOLLOW, intake.NOTICES],
        "validator": validator.inbounds(nothing, nothing),
        "scoring": scoring.inbounds(nothing),
        "notifier": notifier.inbounds(nothing),
    }
    subscribed = {
        f"{service}.{inbound.name}": {model.TYPE for model in inbound.models}
        for service, inbounds in doors.items()
        for inbound in inbounds
    }
    table = {name: {f"vn.thongsuot.{short}.v1" for short in types} for name, types in comparison.SUBSCRIPTIONS.items()}
    assert table == subscribed

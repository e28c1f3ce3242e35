"""A submission of a regime whose form was refused is judged as soon as a mended record comes, by whatever way."""

from __future__ import annotations

import argparse

import pytest

from services.validator import form_cache, handlers
from services.validator.rules.forms import compile_form
from shared.consuming.applying import Applier
from shared.consuming.dead_letters_tool import dead_letters
from shared.consuming.releasing import Releaser
from shared.contract.events import Form, RegimePublished, SumRule
from tests.integration.validator.rig import Rig, event_of, regime, submission


def unjudgeable(version: int) -> RegimePublished:
    """No report can be judged by a sum without terms."""
    good = regime()
    form = Form(figures=good.form.figures, sums=(SumRule(code="S", total=good.form.figures[0].code, terms=()),))
    return good.model_copy(update={"form": form, "version": version})


@pytest.fixture
async def stuck(rig: Rig) -> Rig:
    """The registry's event is a dead letter, and the submission waits."""
    await rig.consume("registry", [event_of(unjudgeable(1))])
    await rig.consume("submissions", [event_of(submission())])
    assert len(await rig.rows("SELECT 1 FROM dead_letter")) == 1
    assert len(await rig.rows("SELECT 1 FROM deferred_events")) == 1
    assert await rig.release() == 0
    return rig


async def test_a_newer_record_of_the_same_version_releases_it(stuck: Rig) -> None:
    await stuck.consume("registry", [event_of(regime().model_copy(update={"version": 2}))])
    assert await stuck.release() == 1
    assert len(await stuck.published()) == 1
    assert await stuck.rows("SELECT 1 FROM deferred_events") == []


async def test_a_record_that_is_no_better_does_not(stuck: Rig) -> None:
    """Negative control."""
    await stuck.consume("registry", [event_of(unjudgeable(2))])
    assert await stuck.release() == 0
    assert len(await stuck.rows("SELECT 1 FROM deferred_events")) == 1
    assert await stuck.published() == []


async def test_the_record_that_was_refused_releases_it_when_replayed_after_a_fix(
    stuck: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = compile_form(regime().form)
    for module in (handlers, form_cache):  # the fix: such a form can be compiled now
        monkeypatch.setattr(module, "compile_form", lambda form: good)
    url = stuck.database.url
    assert await dead_letters("validator", url, argparse.Namespace(what="replay", ids=[], all=True)) == 0
    registry = stuck.inbound("registry")
    assert await Releaser(Applier("validator", registry), stuck.database, stuck.clock).release_resolved() == 1
    assert await stuck.release() == 1
    assert len(await stuck.published()) == 1

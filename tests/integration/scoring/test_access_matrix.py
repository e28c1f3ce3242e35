"""Who is shown what scoring keeps of an agency: obligations, scores, setbacks, exports, and reliefs that cover it."""

from __future__ import annotations

import pytest

from services.scoring.obligations import setbacks
from services.scoring.reliefs import api as reliefs
from services.scoring.tables import metadata
from shared.runtime.settings import KafkaSettings
from tests.integration.callers import callers
from tests.integration.matrix import Thing, asking, trespasses, unlimited
from tests.integration.scoring.rig import Rig, agency, key_of, regime
from tests.integration.scoring.test_reliefs import AFTER, granted
from tests.integration.scoring.test_scoring_service import service_on
from tests.unit.scoring.samples import verdict

PROVINCE, OWN, OTHER, PERIOD = "H99", "H99.31", "H99.32", "2026-M10"
READS = frozenset({"read", "operate"})


async def things_of(rig: Rig) -> list[Thing]:
    """An obligation with its score, one that a sweep could not handle, and a relief of each of the two agencies."""
    await rig.registry(
        regime(), agency(PROVINCE, kind="province"), *(agency(code, parent=PROVINCE) for code in (OWN, OTHER))
    )
    await rig.generate()
    await rig.follow(verdict())
    await rig.at(AFTER)
    keys = {code: key_of(code, PERIOD) for code in (OWN, OTHER)}
    async with rig.database.transaction() as tx:
        await setbacks.record(tx, "deadline", dict.fromkeys(keys.values(), "a defect"))
    things = []
    for code, key in keys.items():
        _, regime_code, period = key.split("/")
        parts = (("agency", code), ("regime", regime_code), ("period", period))
        things += [
            Thing("/v1/obligations/{agency}/{regime}/{period}", code, key, more=parts),
            Thing("/v1/reliefs/{relief_id}", code, await granted(rig, agencies=(code,)), READS),
        ]
    return things


async def test_what_an_agency_has_is_found_by_those_alone_who_reach_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_on(rig.database.url, KafkaSettings(bootstrap_servers="127.0.0.1:1"), rig.clock)
    async with unlimited(service.app) as client:
        who = await callers(rig.database, metadata, OWN, OTHER, PROVINCE)
        things = await things_of(rig)
        assert await trespasses(service.app, who, things, asking(client), {}) == []
        # negative control: reliefs that everybody reads
        monkeypatch.setattr(reliefs, "may", lambda *_: True)
        other = [caller for caller in who if caller.name == "other agency"]
        found = await trespasses(service.app, other, things[1:2], asking(client), {})
    await service.database.close()
    assert f"other agency: get /v1/reliefs/{things[1].id} of {OWN}: 200, not reached" in found

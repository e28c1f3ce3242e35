"""Who is shown what validator keeps of an agency: the verdicts on its reports, for operators alone."""

from __future__ import annotations

import pytest

from services.validator.tables import metadata
from shared.runtime.settings import KafkaSettings
from shared.web import authentication
from tests.integration.callers import callers
from tests.integration.matrix import Thing, asking, trespasses, unlimited
from tests.integration.validator.rig import GOOD, Rig, regime, submission
from tests.integration.validator.test_validator_service import service_on

PROVINCE, OWN, OTHER = "H99", "H99.02", "H99.03"


async def things_of(rig: Rig) -> list[Thing]:
    """A verdict with a finding on a report of each of the two agencies."""
    await rig.keep(regime())
    reports = [submission(code, figures=GOOD | {"A": "1,5"}) for code in (OWN, OTHER)]
    await rig.judge(*reports)
    return [
        Thing(
            "/v1/verdicts/{submission_id}", one.agency, str(one.submission_id), query=(("obligation", one.obligation),)
        )
        for one in reports
    ]


async def test_what_an_agency_has_is_found_by_those_alone_who_reach_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_on(rig.database.url, KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    async with unlimited(service.app) as client:
        who = await callers(rig.database, metadata, OWN, OTHER, PROVINCE)
        things = await things_of(rig)
        assert await trespasses(service.app, who, things, asking(client), {}) == []
        # negative control: everybody operates
        monkeypatch.setattr(authentication, "may", lambda *_: True)
        other = [caller for caller in who if caller.name == "other agency"]
        found = await trespasses(service.app, other, things[:1], asking(client), {})
    await service.database.close()
    assert f"other agency: get /v1/verdicts/{things[0].id} of {OWN}: 200, not reached" in found
    assert any(one.startswith("other agency: get /v1/exports/verdicts") and " shows " in one for one in found)

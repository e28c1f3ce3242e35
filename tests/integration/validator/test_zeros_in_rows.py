"""At the upgrade: whether an earlier report said more than 0 is known only where its figures say so."""

from __future__ import annotations

import json
from importlib.resources import files

from sqlalchemy import text

from tests.integration.validator.rig import Rig

UPGRADE = (files("services.validator.migrations") / "versions" / "0020_zeros_in_rows.sql").read_text()
ROW = text("""
    INSERT INTO verdict (verdict_id, submission_id, obligation, agency, regime, regime_version, period, version,
                         officer_id, received_at, decided_at, nil, outcome, errors, warnings, required_items,
                         present_items, findings_truncated, any_nonzero, figures)
    VALUES (gen_random_uuid(), gen_random_uuid(), :name, 'H99.31', 'R', 1, '2026-M09', 1, 'o', now(), now(), false,
            'accepted', 0, 0, 1, 1, false, CAST(:known AS boolean), CAST(:figures AS jsonb))
""")
BEFORE = {
    "zeros and rows": (True, {"CT01": "0", "CT02": "0.00"}),
    "rows alone": (True, {}),
    "figures": (True, {"CT01": "0", "CT02": "0.5"}),
    "not kept": (True, None),
    "zeros": (False, {"CT01": "0"}),
}


async def test_an_earlier_report_of_zeros_is_not_taken_for_one_that_said_more(rig: Rig) -> None:
    async with rig.database.transaction() as tx:
        for name, (known, figures) in BEFORE.items():
            said = None if figures is None else json.dumps(figures)
            await tx.execute(ROW, {"name": name, "known": known, "figures": said})
        await tx.execute(text(UPGRADE.replace(":", "\\:")))
        rows = await tx.execute(text("SELECT obligation, any_nonzero FROM verdict"))
        after = {row[0]: row[1] for row in rows}
    assert after == {"zeros and rows": None, "rows alone": None, "figures": True, "not kept": True, "zeros": False}

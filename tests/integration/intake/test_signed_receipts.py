"""GET /v1/submissions/{id}/receipt and /v1/receipt-keys: the agency's own, under the key in the file as it is now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from services.intake.receipts import store
from services.intake.receipts.signing import PublicKey, SigningKey, key_of, verify
from shared.postgres.database import Database
from shared.reports.report_parser import Report, read_report
from shared.runtime.clock import SystemClock
from tests.integration.intake.rig import COMMUNE, Intake, Province, intake, report


async def keys(client: Intake) -> dict[str, PublicKey]:
    answer = await client.client.get("/v1/receipt-keys", headers=client.headers())
    assert answer.status_code == 200, answer.text
    listed = [key_of(key) for key in answer.json()["keys"]]
    return {key.key_id: key for key in listed}


async def fetch(client: Intake, submission_id: str) -> Any:
    answer = await client.client.get(f"/v1/submissions/{submission_id}/receipt", headers=client.headers())
    assert answer.status_code == 200, answer.text
    return answer.json()


def new_key(path: Path) -> SigningKey:
    key = SigningKey.generate()
    fresh = path.with_suffix(".new")
    fresh.write_bytes(key.pem())
    fresh.replace(path)
    return key


async def test_a_receipt_states_what_was_sent_and_anyone_can_check_it(province: Province, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key.pem")
    body = json.dumps(report(), indent=2)
    async with intake(province, receipt_key_file=tmp_path / "key.pem") as client:
        given = (await client.post(body)).json()
        signed = await fetch(client, given["submission_id"])
        stated = signed["receipt"]
        assert {name: stated[name] for name in ("submission_id", "obligation", "version", "received_at", "sha256")} == {
            name: given[name] for name in ("submission_id", "obligation", "version", "received_at", "sha256")
        }
        said = read_report(body.encode())
        assert isinstance(said, Report)
        assert stated["sha256"] == hashlib.sha256(body.encode()).hexdigest()
        assert stated["content_sha256"] == said.content_sha256().hex()
        assert signed["key_id"] == key.public.key_id
        assert verify(signed, await keys(client)) is None
        assert await fetch(client, given["submission_id"]) == signed


async def test_a_new_file_is_a_new_key_and_old_receipts_still_hold(province: Province, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    new_key(path)
    async with intake(province, receipt_key_file=path) as client:
        given = (await client.post(json.dumps(report()))).json()
        first = await fetch(client, given["submission_id"])
        newer = new_key(path)
        second = await fetch(client, given["submission_id"])
        assert second["key_id"] == newer.public.key_id != first["key_id"]
        assert first["receipt"] == second["receipt"]
        known = await keys(client)
        assert (verify(first, known), verify(second, known)) == (None, None)
        path.write_bytes(b"half a file")  # the key that was read stays good
        assert (await fetch(client, given["submission_id"]))["key_id"] == newer.public.key_id
        await withdraw(province, first["key_id"])
        known = await keys(client)
        assert (verify(first, known), verify(second, known)) == ("withdrawn_key", None)


async def withdraw(province: Province, key_id: str) -> None:
    database = Database(province.url, pool_size=1)
    try:
        async with database.transaction() as tx:
            now = SystemClock().now()
            assert await store.withdraw(tx, key_id, "lộ khóa", now)
            assert not await store.withdraw(tx, key_id, "lộ khóa", now)
    finally:
        await database.close()


async def test_a_foreign_submission_has_no_receipt(province: Province, tmp_path: Path) -> None:
    new_key(tmp_path / "key.pem")
    async with intake(province, receipt_key_file=tmp_path / "key.pem") as client:
        given = (await client.post(json.dumps(report()))).json()
        paths = (given["submission_id"], "01a21ccf-a243-706a-be01-195a99769dfb", "x")
        for submission_id in paths:
            answer = await client.client.get(
                f"/v1/submissions/{submission_id}/receipt",
                headers={"Authorization": f"Bearer {province.keys[COMMUNE]}"},
            )
            assert answer.status_code == 404, answer.text
        assert (await client.client.get(f"/v1/submissions/{paths[0]}/receipt")).status_code == 401


async def test_without_a_key_reports_are_taken_and_no_receipt_is_made_up(province: Province, tmp_path: Path) -> None:
    for path in (None, tmp_path / "missing.pem"):
        async with intake(province, receipt_key_file=path) as client:
            given = await client.post(json.dumps(report(len(str(path)))))
            assert given.status_code == 201, given.text
            answer = await client.client.get(
                f"/v1/submissions/{given.json()['submission_id']}/receipt", headers=client.headers()
            )
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
            assert "INTAKE_RECEIPT_KEY_FILE" in answer.text

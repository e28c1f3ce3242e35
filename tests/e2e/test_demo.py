"""The demo plays a quarter on the real stack, counts what became of it, and turns red when anything is missing."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from rich.console import Console

from deploy.demo.__main__ import faults
from deploy.demo.counting import Counting
from deploy.demo.play import END, Demo, Wishes
from deploy.demo.screen import Screen
from deploy.demo.topics import Unlike
from deploy.local.options import ROOT
from shared.contract.services import SERVICES
from tests.e2e import plain_exports
from tests.second_scorer import agreement

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]


async def _execute(url: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


@pytest.mark.whole
def test_a_quarter_is_played_without_loss_and_a_sabotaged_store_is_found(tmp_path: Path) -> None:
    text = io.StringIO()
    demo = Demo(Wishes(tmp_path / "demo", seconds=30, fixed_ports=False), Screen(Console(file=text, width=100)))

    async def run() -> None:
        async with Counting(demo.stack, demo.start) as counting:
            await demo.play(counting)
            backlog = await demo.settle(counting)
            reconciled, differences = await demo.reconcile()
            count = await demo.count(counting)
            summary = demo.summary(count, backlog, len(differences), 0.0)
            assert (differences, reconciled) == ([], 0)
            assert faults(summary, count, reconciled) == []
            assert summary["accepted"] > 300
            assert summary["returned"] > 20
            assert summary["submissions"] == summary["accepted"] + summary["returned"] == len(demo.ledger.receipts)
            least, most = summary["on_time_by_seed"]
            assert 0 < least <= summary["on_time"] <= most  # whatever else this machine has to do
            assert summary["late"] > 0
            assert summary["overdue_nothing_sent"] > 0
            assert (
                summary["inherited"] == summary["inherited_fulfilled"] == 1
            )  # the hail of March, of the merged commune
            # of some reports nobody above hears before they come, so whether one is resolved depends on the machine
            assert set(summary["matters_by_kind"]) - {"resolved", "request"} == {
                "reminder", "overdue", "returned", "escalation", "named", "certification", "decision", "digest",
            }  # fmt: skip
            assert set(summary["mails_by_kind"]) <= {*summary["matters_by_kind"], "several"}
            assert summary["mails"] < summary["matters_told"]
            chair = summary["most_told"][0]  # who would have a mail for each matter without the mailing rules
            assert chair["title"] == "Chủ tịch Ủy ban nhân dân tỉnh"
            assert chair["mails"] < chair["matters"]
            assert (summary["extensions_granted"], summary["extensions_refused"]) == (1, 1)
            assert summary["lateness_noted"] == 1
            assert summary["information_asked"] == 5
            assert summary["information_answered_late"] >= 1
            assert summary["information_answered_in_time"] >= 1
            assert summary["certified"] > 10
            assert summary["approved"] > 10
            assert summary["nil_accepted"] > 10
            assert summary["events_by_topic"]["submissions"] == summary["submissions"] + sum(count.steps.values())
            # some are judged again once what their rules look at has come
            assert summary["events_by_topic"]["verdicts"] >= summary["submissions"]
            unpublished = summary["matters_by_kind"]["named"] + summary["matters_by_kind"]["digest"]
            # and the turns of escalations, of which each report that became overdue has one at least
            told = summary["matters_told"] - unpublished
            assert summary["events_by_topic"]["notifications"] >= told + summary["overdue"]
            assert not any(kind == "district" for kind in count.by_kind)
            demo.screen.results(count, len(differences), demo.province.regimes)
            await _second_scorer()
            await _board(summary["overdue"])
            await _sabotage(counting)

    async def _board(overdue: int) -> None:
        """Everybody of the printed logins gets in; the chair reads off the figure that the stores count."""
        made = await demo.logins()
        assert {login.role_en for login in made} == {
            "chair", "provincial office", "administrator", "head", "officer",
        }  # fmt: skip
        url, seen = demo.stack.url("board"), {}
        async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"Origin": url}) as http:
            for login in made:
                fields = {"person_id": login.person_id, "password": login.password}
                answer = await http.post("/dang-nhap", data=fields)
                cookie = answer.headers["set-cookie"].partition(";")[0]
                http.cookies.clear()
                page = await http.get("/", headers={"Cookie": cookie})
                assert page.status_code == 200
                services = await http.get("/van-hanh", headers={"Cookie": cookie})
                assert services.status_code == (200 if login.role_en == "administrator" else 404)
                # whether each answers in time, the load of the machine decides
                assert services.status_code == 404 or all(f">{name}<" in services.text for name in SERVICES)
                if login.role_en == "chair":
                    await _answer(http, {"Cookie": cookie})
                seen[login.role_en] = int(re.findall(r"<dd>([\d.]+)</dd>", page.text)[0].replace(".", ""))
        assert seen["chair"] == seen["provincial office"] == seen["administrator"] == overdue
        assert overdue > seen["head"] == seen["officer"]

    async def _answer(http: httpx.AsyncClient, chair: dict[str, str]) -> None:
        """The chair answers an escalation on the board: notifier takes it by the board's token."""
        listed = await http.get("/leo-thang", headers=chair)
        path = re.findall(r'href="(/leo-thang/[0-9a-f-]{36})"', listed.text)[0]
        token = re.findall(r'name="csrf" value="([^"]+)"', (await http.get(path, headers=chair)).text)[0]
        until = (END + timedelta(days=2)).date().isoformat()
        form = {"csrf": token, "kind": "acknowledged", "until": until, "reason": "Đã giao Văn phòng đôn đốc"}
        answered = await http.post(f"{path}/tra-loi", data=form, headers=chair)
        assert (answered.status_code, "Đã ghi nhận." in answered.text) == (200, True), answered.text
        stored = await asyncpg.connect(demo.stack.database_url("notifier"))
        try:
            kept = await stored.fetchval("SELECT count(*) FROM escalations WHERE document::text LIKE '%Văn phòng đôn%'")
        finally:
            await stored.close()
        assert kept == 1

    async def _second_scorer() -> None:
        """Another scorer, which shares no code, says the same of the whole province, and notices one receipt moved."""
        folder = tmp_path / "plain"
        folder.mkdir()
        await plain_exports.write(demo.stack, folder)
        assert list(agreement.differences(folder, END)) == []
        path = folder / "submissions.jsonl"
        first, _, rest = path.read_text("utf-8").partition("\n")
        late = json.loads(first) | {"received_at": (END - timedelta(days=1)).isoformat()}
        path.write_text(json.dumps(late) + "\n" + rest, encoding="utf-8")
        assert any("on_time" in said for said in agreement.differences(folder, END))

    async def _sabotage(counting: Counting) -> None:
        """What the checks are for: each loss is found, and only in its own words."""
        lost = sorted(demo.ledger.receipts)[7]
        await _execute(demo.stack.database_url("validator"), "DELETE FROM finding")
        await _execute(demo.stack.database_url("validator"), "DELETE FROM verdict WHERE submission_id = $1::uuid", lost)
        await _execute(
            demo.stack.database_url("scoring"),
            "DELETE FROM inbox WHERE event_id ="
            " (SELECT event_id FROM inbox WHERE consumer = 'scoring.follow' ORDER BY event_id DESC LIMIT 1)",
        )
        code, differences = await demo.reconcile()
        assert code == 1
        found = {(difference["kind"], difference["where"]) for difference in differences}
        assert {("verdict", "validator.verdict"), ("verdict", "validator.finding"), ("event", "scoring.inbox")} <= found
        await _execute(
            demo.stack.database_url("intake"), "DELETE FROM submissions WHERE submission_id = $1::uuid", lost
        )
        count = await demo.count(counting)
        assert count.lost_receipts == (lost,)
        assert (count.lost_mails, count.unsettled_mails, count.unlike_archive) == (0, {}, {})
        await _sabotage_mails_and_topics()
        count = await demo.count(counting)
        assert (count.lost_mails, count.mails["?"], count.unsettled_mails) == (1, 1, {"failed": 1})
        assert count.unlike_archive == {"notifications": Unlike(unknown=1), "registry": Unlike(missing=1, unknown=1)}
        backlog = await counting.backlog(END)
        said = " ".join(en for _, en in faults(demo.summary(count, backlog, 0, 0.0), count, 0))
        for words in ("not in the sink", "left failed or unknown", "differ from the archives", "receipts that"):
            assert words in said

    async def _sabotage_mails_and_topics() -> None:
        notifier = demo.stack.database_url("notifier")
        alone = "state = 'sent' AND mail_id IS NULL"  # each the mail of one matter
        of_sent = f"id = (SELECT min(id::text)::uuid FROM notifications WHERE {alone})"
        await _execute(notifier, f"UPDATE notifications SET message_id = 'gone' WHERE {of_sent}")
        of_sent = of_sent.replace("min", "max")
        await _execute(notifier, f"UPDATE notifications SET state = 'failed', reason = 'x' WHERE {of_sent}")
        of_last = "id = (SELECT max(id) FROM outbox_archive)"
        await _execute(notifier, f"DELETE FROM outbox_archive WHERE {of_last}")
        await _execute(
            demo.stack.database_url("intake"),
            "UPDATE outbox_archive SET event_id = gen_random_uuid(), key = 'agency/H99.gone'"
            " WHERE id = (SELECT max(id) FROM outbox_archive WHERE topic = 'registry')",
        )

    try:
        demo.prepare()
        asyncio.run(run())
    finally:
        demo.close()
    shown = text.getvalue()
    assert re.search(r"reconcile differences +│ +0 │", shown)
    assert re.search(r"\d\d/\d\d/2026 +\d+% \| nhận/received \d+", shown)


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("đang khởi động", id="while starting"),
        pytest.param("nhận/received", id="while playing", marks=pytest.mark.whole),  # it must have started first
    ],
)
def test_ctrl_c_ends_everything_at_any_time(tmp_path: Path, moment: str) -> None:
    command = [sys.executable, "-m", "deploy.demo", "--free-ports", "--directory", str(tmp_path / "demo")]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        # a shell without job control starts what is in its background deaf to Ctrl-C, and so are these tests then
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if moment in line:
                break
        assert moment in said
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        # a terminal sends it to the whole group
        os.killpg(process.pid, signal.SIGINT)
        rest = process.communicate(timeout=90)[0]
        assert process.returncode == 130, rest
        assert "Đã dừng tất cả" in rest
        assert "Traceback" not in rest
        _, left = psutil.wait_procs(children, timeout=10)
        assert left == []
    finally:
        process.kill()
        process.wait()


def test_a_second_demo_in_the_same_place_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    from fcntl import LOCK_EX, LOCK_NB, flock

    directory = tmp_path / "demo"
    directory.mkdir()
    with (directory / "lock").open("w") as held:
        held.write("1234\n")
        held.flush()
        flock(held, LOCK_EX | LOCK_NB)
        done = subprocess.run(
            [sys.executable, "-m", "deploy.demo", "--free-ports", "--directory", str(directory)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 7
    assert "1234" in done.stdout
    assert (directory / "lock").exists()


@pytest.mark.whole
def test_the_summary_holds_what_is_promised(tmp_path: Path) -> None:
    env = {**os.environ, "DEMO_EXIT": "1"}
    directory = tmp_path / "demo"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--free-ports", "--seconds", "10", "--directory", str(directory)],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert time.monotonic() - began > 10
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    assert {"accepted", "returned", "on_time", "overdue", "mails", "events", "dead_letters", "outbox",
            "reconcile_differences"} <= set(summary)  # fmt: skip
    assert summary["accepted"] > 0
    assert (summary["dead_letters"], summary["outbox"], summary["reconcile_differences"]) == (0, 0, 0)

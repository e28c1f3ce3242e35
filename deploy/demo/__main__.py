"""`make demo`: plays a quarter of the sample province and reports the result as counted in the stores.

    python -m deploy.demo [--seconds N] [--exit] [--free-ports] [--directory D] [--seed N]

DEMO_EXIT=1 is `--exit`. Exit codes: 0 all is well; 1 something was lost, dead-lettered or differs; 130 stopped by
Ctrl-C while playing; otherwise those of the local stack (3 a program is missing, 4 port in use, 5 a child failed …).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.demo.counting import Count, Counting
from deploy.demo.logins import Login
from deploy.demo.play import USUAL_SECONDS, Demo, Wishes
from deploy.demo.screen import Screen
from deploy.local import StackError, StackInUse
from deploy.local.__main__ import clean, supervisor_pid
from deploy.local.control import Control, Watch
from deploy.local.options import LOCAL
from shared.runtime.arguments import CommandParser
from shared.runtime.clock import monotonic_seconds

DIRECTORY = LOCAL / "demo"
#: a shorter wait of business time is not reported
WORTH_SAYING_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = CommandParser(prog="python -m deploy.demo", description="Chạy thử một quý / play a quarter.")
    parser.add_argument("--seconds", type=float, help="một quý dài bao nhiêu giây / seconds of the quarter (90)")
    parser.add_argument("--seed", type=int, default=20260101, help="hạt giống ngẫu nhiên / random seed")
    parser.add_argument("--exit", action="store_true", help="dừng khi xong / end when done (DEMO_EXIT=1)")
    parser.add_argument("--free-ports", action="store_true", help="dùng cổng trống / any free ports")
    parser.add_argument("--directory", type=lambda text: Path(text).absolute(), default=DIRECTORY)
    options = parser.parse_args(argv)
    if options.seconds is not None and not 5 <= options.seconds <= 86_400:
        parser.error("--seconds: 5–86400")
    stays = not (options.exit or os.environ.get("DEMO_EXIT", "") not in ("", "0"))
    wishes = Wishes(options.directory, options.seconds, options.seed, fixed_ports=not options.free_ports)
    screen = Screen()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    demo: Demo | None = None
    control: Control | None = None
    try:
        _fresh(wishes.directory)
        demo = Demo(wishes, screen)
        seconds = wishes.seconds or USUAL_SECONDS
        screen.say(
            f"Thông Suốt: một quý của tỉnh mẫu H99 (15/12/2025 – 23/3/2026) trong {seconds:.0f} giây",
            "a quarter of the sample province H99, from its first cut-off to its last deadline",
        )
        demo.prepare()
        control = Control(demo.stack)
        control.start()
        code = asyncio.run(_run(demo))
        if stays:
            _links(demo, screen)
            _logins(asyncio.run(demo.logins()), demo, screen)
            _stay(demo)
        return code
    except StackError as error:
        screen.still()
        screen.say(f"✗ {error.message()}")
        return error.exit_code
    except KeyboardInterrupt:
        screen.still()
        screen.say("Đang dừng …", "stopping")
        return 130
    finally:
        if demo is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # so that a second Ctrl-C does not leave half a stack behind
            if control is not None:
                control.stop()
            demo.close()
            screen.say("Đã dừng tất cả.", "everything is stopped")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fresh(directory: Path) -> None:
    """Remove the data of an earlier run, so that the demo counts from zero; refuse while another demo runs."""
    if (pid := supervisor_pid(directory)) is not None:
        raise StackInUse(f"Bản chạy thử khác đang chạy (pid {pid}).", f"another demo runs (pid {pid})")
    if directory.exists():
        with contextlib.redirect_stdout(io.StringIO()):
            clean(argparse.Namespace(directory=directory, all=False))


async def _run(demo: Demo) -> int:
    began = monotonic_seconds()
    screen = demo.screen
    async with Counting(demo.stack, demo.start) as counting:
        await demo.play(counting)
        screen.say("Hết quý; chờ mọi việc còn dở …", "The quarter is over; waiting for what is still on its way")
        backlog = await demo.settle(counting)
        screen.say("Đối chiếu năm kho …", "Comparing the five stores")
        reconciled, differences = await demo.reconcile()
        count = await demo.count(counting)
    summary = demo.summary(count, backlog, len(differences), monotonic_seconds() - began)
    path = demo.wishes.directory / "summary.json"
    path.write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if differences:
        listed = json.dumps(differences, ensure_ascii=False, indent=1)
        path.with_name("differences.json").write_text(listed + "\n", encoding="utf-8")
    screen.results(count, len(differences), demo.province.regimes)
    screen.punctuality(
        count.total.on_time,
        count.total.owed,
        demo.on_time_by_seed,
        {
            "bị từ chối / refused": sum(demo.ledger.refusals.values()),
            "không được trả lời / not answered": len(demo.ledger.gave_up),
            "gửi lại / tried again": demo.ledger.retries,
            "sự kiện hỏng / dead letters": count.dead_letters,
        },
    )
    if demo.waited_seconds >= WORTH_SAYING_SECONDS:
        screen.say(
            f"Thời gian nghiệp vụ đã chờ {demo.waited_seconds:.0f} giây để ai cũng kịp làm việc của mình.",
            "business time waited so long for everybody to do what was due: the machine is slower than the quarter",
        )
    bad = faults(summary, count, reconciled)
    for kind, alike in _by_kind(differences).items():
        first = alike[0]
        screen.say(
            f"✗ {kind} × {len(alike)}: {first.get('key', '')} {first['message']}", str(first.get("message_en", ""))
        )
    for vi, en in bad:
        screen.say(f"✗ {vi}", en)
    if not bad:
        screen.say("✓ Không mất gì, không sai lệch.", "nothing lost, nothing differs")
    screen.say(f"Số liệu: {path}", "the same figures as JSON")
    return 1 if bad else 0


def _by_kind(differences: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Print one example of each kind of difference; differences.json holds them all."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for difference in differences:
        found.setdefault(difference["kind"], []).append(difference)
    return found


def faults(summary: dict[str, Any], count: Count, reconciled: int) -> list[tuple[str, str]]:
    """The faults of the run, in both languages; empty if there are none."""
    unlike = summary["events_unlike_archive"]
    unsettled = summary["mails_unsettled"]
    checks = (
        (summary["lost_receipts"], "biên nhận không có trong kho", "receipts that the store does not have"),
        (summary["dead_letters"], "sự kiện hỏng", "dead letters"),
        (summary["outbox"], "sự kiện còn trong hộp thư đi", "events left in outboxes"),
        (sum(summary["backlog"].values()), f"còn dở dang: {summary['backlog']}", "something was still on its way"),
        (summary["reconcile_differences"] or reconciled, "sai lệch khi đối chiếu", "reconcile differences"),
        (count.mails["?"], "thư không có trong sổ", "mails that the ledger does not know"),
        (summary["mails_lost"], "sổ ghi đã gửi nhưng hộp thư không có", "sent, says the ledger, but not in the sink"),
        (summary["mails_doubled"], "thư đến nhiều lần", "mails that came more often than they may"),
        (sum(unsettled.values()), f"thư không gửi được hoặc không rõ: {unsettled}", "mails left failed or unknown"),
        (sum(topic["missing"] + topic["unknown"] for topic in unlike.values()),
         f"topic khác kho lưu: {unlike}", "events of topics that differ from the archives"),
        (summary["clients"]["gave_up"], "cơ quan không nhận được trả lời", "agencies were not answered"),
        (not summary["accepted"], "không bản nộp nào đạt", "nothing was accepted"),
    )  # fmt: skip
    return [(f"{vi} ({int(amount)})", en) for amount, vi, en in checks if amount]


def _links(demo: Demo, screen: Screen) -> None:
    for vi, en, address in (
        ("Thư đã gửi", "mails", demo.stack.mail_url),
        ("Giao diện tiếp nhận", "intake API", f"{demo.stack.url('intake')}/docs"),
        ("Chấm điểm", "scoring API", f"{demo.stack.url('scoring')}/docs"),
        ("Số đo", "metrics", f"{demo.stack.url('intake')}/metrics"),
    ):
        screen.say(f"{vi} / {en}: {address}")


def _logins(made: Sequence[Login], demo: Demo, screen: Screen) -> None:
    screen.say(f"Bảng theo dõi / board: {demo.stack.url('board')}")
    for login in made:
        screen.say(f"  {login.person_id} · {login.password} · {login.role}", login.role_en)
    screen.say("Mọi thứ vẫn chạy; nhấn Ctrl-C để dừng.", "everything stays up; Ctrl-C ends it")


def _stay(demo: Demo) -> None:
    """Wait until Ctrl-C; report a component that ends by itself while the others go on."""
    watched = Watch(demo.stack, demo.screen.step)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            watched.look()
            signal.sigtimedwait([signal.SIGCHLD], 1.0)


if __name__ == "__main__":
    sys.exit(main())

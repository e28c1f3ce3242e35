"""The demo's output, Vietnamese first with English beside it: live figures on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deploy.demo.counting import Count, Glance, Reader, Row
from shared.runtime.clock import LOCAL_ZONE

KINDS = {
    "province": "UBND tỉnh",
    "office": "Văn phòng",
    "department": "Sở, ngành",
    "commune": "Xã",
    "ward": "Phường",
    "special_zone": "Đặc khu",
    "district": "Huyện (đã giải thể)",
}
KINDS_EN = {
    "province": "province",
    "office": "office",
    "department": "departments",
    "commune": "communes",
    "ward": "wards",
    "special_zone": "special zone",
    "district": "districts (closed)",
}
MAIL_KINDS = {
    "reminder": "nhắc hạn / reminder",
    "overdue": "quá hạn / overdue",
    "returned": "trả lại / returned",
    "escalation": "chuyển cấp / escalation",
    "certification": "chờ ký / to certify",
    "decision": "quyết định / decision",
    "withdrawal": "rút báo cáo / withdrawal",
    "resolved": "hết quá hạn / resolved",
    "request": "yêu cầu báo cáo / request",
    "not_judged": "chưa kiểm tra được / not judged",
    "named": "ghi tên / named in a report",
    "digest": "tổng hợp / digest",
    "regime": "chế độ báo cáo mới / new regime version",
    "several": "nhiều việc trong một thư / several matters in one",
}
#: width of six columns of figures with all borders, characters
NUMBERS_WIDTH = 64
MIN_NAME_WIDTH = 14
#: seconds between two plain lines off a terminal
PLAIN_SECONDS = 5.0


class Screen:
    """Prints; holds no figures of its own."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._live: Live | None = None
        self._last_plain = -PLAIN_SECONDS

    def say(self, vi: str, en: str = "") -> None:
        """Print a line per language, without empty ones."""
        self.console.print(escape(vi), soft_wrap=False)
        if en:
            self.console.print(Text(f"  {en}", style="dim"))

    def step(self, text: str) -> None:
        """Progress of the local stack; called from any thread."""
        self.console.print(Text(f"· {text}", style="dim"))

    def watch(self, moment: datetime, share: float, glance: Glance, elapsed_seconds: float) -> None:
        """Show the progress of the quarter."""
        day = moment.astimezone(LOCAL_ZONE)
        if not self.console.is_terminal:
            if elapsed_seconds - self._last_plain >= PLAIN_SECONDS:
                self._last_plain = elapsed_seconds
                self.console.print(
                    f"{day:%d/%m/%Y} {share:4.0%} | nhận/received {glance.received} | đạt/accepted {glance.accepted}"
                    f" | trả lại/returned {glance.returned} | đúng hạn/on time {glance.on_time}"
                    f" | quá hạn/overdue {glance.overdue} | thư/mails {glance.mails}",
                    soft_wrap=True,
                )
            return
        if self._live is None:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        self._live.update(_panel(day, share, glance, elapsed_seconds))

    def still(self) -> None:
        """End the live figures."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def results(self, count: Count, reconcile_differences: int, regimes: Mapping[str, str]) -> None:
        """Print the final table."""
        self._titled("Kết quả", "results", _outcome(count, reconcile_differences))
        named = [(KINDS[kind], KINDS_EN[kind], row) for kind, row in sorted(count.by_kind.items())]
        self._titled("Theo loại cơ quan", "by kind of agency", _rates(named, count.total, self.console.width))
        coded = [(code, regimes.get(code, ""), row) for code, row in sorted(count.by_regime.items())]
        self._titled("Theo chế độ báo cáo", "by regime", _rates(coded, count.total, self.console.width))
        mails = [(MAIL_KINDS.get(kind, kind), number) for kind, number in sorted(count.mails.items())]
        self._titled("Thư đã gửi theo loại", "mails by kind", _pairs(mails))
        self._titled("Ai được báo nhiều nhất", "who was told of most", _readers(count.readers))
        events = [(topic, number) for topic, number in count.events.items()]
        self._titled("Sự kiện qua Kafka theo topic", "events through Kafka by topic", _pairs(events))

    def punctuality(self, on_time: int, owed: int, by_seed: tuple[int, int], trouble: Mapping[str, int]) -> None:
        """Print how many reports were on time and how many the seed implies; if they differ, the likely reason.

        by_seed: without and with all corrections in time. trouble: failed requests by kind.
        """
        least, most = (number / owed if owed else 0.0 for number in by_seed)
        share = on_time / owed if owed else 0.0
        self.say(
            f"Đúng hạn {share:.1%} ({on_time}/{owed}); theo hạt giống: {least:.1%} đến {most:.1%}.",
            f"on time; by the seed alone between {least:.1%} and {most:.1%}, on any machine",
        )
        if by_seed[0] <= on_time <= by_seed[1]:
            return
        self.say(
            f"! Nằm ngoài khoảng đó: có cơ quan không làm được điều đã định ({_listed(trouble, 0)}).",
            f"outside that span: some agencies could not do what they meant to ({_listed(trouble, 1)})",
        )

    def _titled(self, vi: str, en: str, table: Table) -> None:
        self.console.print()
        self.console.print(f"[bold]{vi}[/] [dim]/ {en}")
        self.console.print(table)


def _listed(trouble: Mapping[str, int], language: int) -> str:
    """`trouble` in Vietnamese (0) or English (1); its keys are `vi / en`."""
    return ", ".join(f"{name.split(' / ')[language]}: {number}" for name, number in trouble.items())


def _panel(day: datetime, share: float, glance: Glance, elapsed_seconds: float) -> Group:
    figures = Table.grid(padding=(0, 2))
    for _ in range(4):
        figures.add_column(justify="right")
    figures.add_row("nhận / received", f"[bold]{glance.received}", "đúng hạn / on time", f"[green]{glance.on_time}")
    figures.add_row("đạt / accepted", f"[green]{glance.accepted}", "quá hạn / overdue", f"[red]{glance.overdue}")
    figures.add_row("trả lại / returned", f"[yellow]{glance.returned}", "thư / mails", f"[cyan]{glance.mails}")
    head = Table.grid(padding=(0, 2))
    head.add_row(
        f"[bold]{day:%d/%m/%Y}",
        ProgressBar(total=1.0, completed=share, width=30),
        f"{share:4.0%}",
        f"[dim]{elapsed_seconds:.0f} s",
    )
    return Group(head, figures)


def _outcome(count: Count, reconcile_differences: int) -> Table:
    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right", style="bold")
    total = count.total
    for label, number in (
        ("Bản nộp đã nhận / submissions stored", count.submissions),
        ("  đạt / accepted", count.accepted),
        ("  trả lại / returned", count.returned),
        ("Nghĩa vụ đã đến hạn / obligations due", total.owed),
        ("  đúng hạn / on time", total.on_time),
        ("  nộp trễ / late", total.late),
        ("  quá hạn, chưa nộp / overdue, nothing sent", total.nothing_sent),
        ("  quá hạn, bị trả lại / overdue, returned", total.returned + total.awaiting),
        ("Nhận từ xã sáp nhập / inherited by merger", count.inherited),
        ("  đã nộp, đạt / of these fulfilled", count.inherited_fulfilled),
        ("Được hỏi thông tin / asked for information", count.asked),
        ("  trả lời trong hạn / answered in time", count.asked_in_time),
        ("  trả lời muộn / answered late", count.asked_late),
        ("Không phát sinh, có lý do / NIL with a reason", count.nil_accepted),
        ("Thủ trưởng ký xác nhận / certified by heads", count.steps["certified"]),
        ("Người duyệt đã duyệt / approved by the reviewer", count.steps["approved"]),
        ("Gia hạn chấp thuận / extensions granted", count.steps["extension_granted"]),
        ("  không chấp thuận / refused", count.steps["extension_refused"]),
        ("Giải trình chậm được ghi nhận / lateness noted", count.steps["lateness_noted"]),
        ("Việc đã báo / matters told", sum(count.matters.values())),
        ("  trong số thư / in mails", sum(count.mails.values())),
        ("  chờ khung giờ sau / waiting for the next window", count.matters_waiting),
        ("Sự kiện qua Kafka / events", sum(count.events.values())),
    ):
        table.add_row(label, str(number))
    for label, number in (
        ("Biên nhận bị mất / receipts lost", len(count.lost_receipts)),
        ("Sự kiện hỏng / dead letters", count.dead_letters),
        ("Còn trong hộp thư đi / left in outboxes", count.outbox),
        ("Sai lệch khi đối chiếu / reconcile differences", reconcile_differences),
    ):
        table.add_row(label, Text(str(number), style="bold green" if number == 0 else "bold red"))
    return table


def _rates(rows: Iterable[tuple[str, str, Row]], total: Row, width: int) -> Table:
    """A short name above a longer one in each row; in a narrow terminal the longer one wraps."""
    shown = list(rows)
    room = max(MIN_NAME_WIDTH, width - NUMBERS_WIDTH, *(len(name) for name, _, _ in shown))
    table = Table(show_footer=True)
    table.add_column("", footer="Cộng / total", overflow="fold", min_width=room, max_width=room)
    for vi, en, number in (
        ("Phải nộp", "owed", total.owed),
        ("Đúng hạn", "on time", total.on_time),
        ("Trễ", "late", total.late),
        ("Chưa nộp", "none", total.nothing_sent),
        ("Trả lại", "returned", total.returned + total.awaiting),
    ):
        table.add_column(f"{vi}\n[dim]{en}", footer=str(number), justify="right", no_wrap=True)
    table.add_column("Tỷ lệ\n[dim]rate", footer=_rate(total), justify="right", no_wrap=True)
    for name, longer, row in shown:
        numbers = (row.owed, row.on_time, row.late, row.nothing_sent, row.returned + row.awaiting)
        table.add_row(f"{name}\n[dim]{longer}", *(str(number) for number in numbers), _rate(row))
    return table


def _rate(row: Row) -> str:
    return f"{100 * row.on_time / row.owed:.0f} %" if row.owed else "–"


def _readers(readers: Iterable[Reader]) -> Table:
    """Without the mailing rules each matter was a mail of its own."""
    table = Table()
    table.add_column("", overflow="fold")
    for vi, en in (("Việc", "matters"), ("Thư", "mails")):
        table.add_column(f"{vi}\n[dim]{en}", justify="right", no_wrap=True)
    for reader in readers:
        table.add_row(escape(f"{reader.title}, {reader.agency}"), str(reader.matters), str(reader.mails))
    return table


def _pairs(rows: Iterable[tuple[str, int]]) -> Table:
    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(justify="right")
    for label, number in rows:
        table.add_row(label, str(number))
    return table

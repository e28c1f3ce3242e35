"""One run of the demo: a fresh stack, the sample province, a quarter played over HTTP, and a count of the stores.

The results come from elsewhere: figures from counting.py, differences from reconcile.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx

from deploy.demo import logins
from deploy.demo.client import Concurrency, Ledger, Portal
from deploy.demo.counting import Backlog, Count, Counting
from deploy.demo.desk import Desk
from deploy.demo.logins import Login
from deploy.demo.pace import Hold, Pace
from deploy.demo.people import temperaments
from deploy.demo.post import ENVIRONMENT, Post
from deploy.demo.screen import Screen
from deploy.demo.season import Agency, Staff
from deploy.demo.topics import Offsets, ends
from deploy.kafka import provision
from deploy.local import Options, Stack, StackError
from deploy.local.calls import call
from deploy.local.options import ROOT
from deploy.local.trust import trust_board
from shared.contract.events import Form, RegimePublished
from shared.contract.services import SERVICES
from shared.runtime.clock import LOCAL_ZONE, monotonic_seconds
from shared.runtime.settings import KafkaSettings
from shared.runtime.strict_yaml import value_of

SAMPLE = ROOT / "deploy" / "sample"
#: a commune that merges into another: the record, and when it is decided
MERGER, MERGER_AT = ROOT / "deploy" / "sample_merger", datetime(2026, 2, 20, 8, 0, tzinfo=LOCAL_ZONE)
#: the first quarter of 2026 with its cut-offs (15/12–14/3) and deadlines (18/3), Tết inside; it ends in the morning
#: after its last day, when the letters of that day have gone out
START = datetime(2025, 12, 15, 6, 0, tzinfo=LOCAL_ZONE)
END = datetime(2026, 3, 24, 10, 0, tzinfo=LOCAL_ZONE)
#: the reviewer of the sample's people.yaml
REVIEWER = "CV-H99.01"
CHAIR, OFFICE, ADMINISTRATOR = "TT-H99", "TT-H99.01", "QT-H99.01"
#: default length of the quarter, real seconds; on a slow machine business time waits for the agencies
USUAL_SECONDS = 90.0
#: the first obligations are complete once their number has not changed in this many checks, a second apart, and no work
#: is unfinished; after this time the demo goes on in any case
OPENED_LOOKS, OPENED_SECONDS = 3, 180.0
DRAIN_SECONDS = 120.0
#: checks in a row without unfinished work before the system counts as at rest
QUIET_LOOKS = 2
#: for the heir to owe what was handed on, real seconds
MERGER_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """The user's choices."""

    directory: Path
    seconds: float | None = None  # None: USUAL_SECONDS
    seed: int = 20260101
    fixed_ports: bool = True


@dataclass(frozen=True, slots=True)
class Province:
    """What agencies know offline: their codes, officers and forms."""

    kinds: Mapping[str, str]  # by agency code, closed ones too
    open: tuple[str, ...]
    staff: Mapping[str, Staff]
    forms: Mapping[str, Form]
    regimes: Mapping[str, str]  # short Vietnamese name by code
    issued: Mapping[str, datetime]  # of ad hoc requests, by id
    heads: Mapping[str, str]  # ids by agency code
    certified: frozenset[str]  # regimes whose reports the head signs
    submitters: frozenset[str]  # kinds of agencies that submit such reports

    @classmethod
    def read(cls, folder: Path) -> Province:
        """From the sample's files."""
        agencies = _read(folder / "agencies.yaml")["agencies"]
        officers = _read(folder / "officers.yaml")["officers"]
        published = [RegimePublished(version=1, **_read(path)) for path in sorted(folder.glob("regimes/*.yaml"))]
        requests = _read(folder / "requests.yaml")["requests"]
        general: dict[str, str] = {}
        special: dict[str, dict[str, str]] = {}
        for officer in officers:
            if officer["role"] == "reporting_officer" and officer.get("active", True):
                for regime in officer.get("regimes", ()):
                    special.setdefault(officer["agency"], {})[regime] = officer["officer_id"]
                if not officer.get("regimes"):
                    general[officer["agency"]] = officer["officer_id"]
        return cls(
            kinds={agency["code"]: agency["kind"] for agency in agencies},
            open=tuple(agency["code"] for agency in agencies if "closed_on" not in agency),
            staff={code: Staff(officer, special.get(code, {})) for code, officer in general.items()},
            forms={regime.code: regime.form for regime in published},
            regimes={regime.code: regime.name.removeprefix("Báo cáo ") for regime in published},
            heads={officer["agency"]: officer["officer_id"] for officer in officers if officer["role"] == "head"},
            certified=frozenset(regime.code for regime in published if regime.certification == "head"),
            submitters=frozenset(
                kind for regime in published if regime.certification == "head" for kind in regime.submitter_kinds
            ),
            issued={request["request_id"]: datetime.fromisoformat(request["issued_at"]) for request in requests},
        )


def _read(path: Path) -> Any:
    return value_of(path.read_bytes(), path.name)


class Demo:
    """`prepare` the stack, `play` the quarter, `settle` and count; `close` in any case."""

    def __init__(self, wishes: Wishes, screen: Screen) -> None:
        self.wishes = wishes
        self.screen = screen
        self.province = Province.read(SAMPLE)
        self._env: dict[str, str] = dict(ENVIRONMENT)
        self.stack = Stack(
            Options(
                directory=wishes.directory,
                fixed_ports=wishes.fixed_ports,
                services={},  # started once the registry is loaded and the clock set
                env=self._env,
                progress=screen.step,
            )
        )
        self.ledger = Ledger()
        self._keys: dict[str, str] = {}
        #: keys of the reviewer and the heads who sign, by person
        self._people: dict[str, str] = {}
        province = self.province
        #: the heads who sign reports, by agency
        self.signing = {
            code: province.heads[code]
            for code in province.open
            if code in province.heads and province.kinds[code] in province.submitters
        }
        #: the ends of the topics before the demo's first event
        self.start: Offsets = {}
        #: real seconds for which business time had to wait
        self.waited_seconds = 0.0
        self._pace: Pace | None = None
        self._closings: dict[str, datetime] = {}

    def prepare(self) -> None:
        """Start the stack and load the province; business time does not run yet. Raises StackError."""
        self.stack.start()
        kafka = KafkaSettings(bootstrap_servers=self.stack.kafka_bootstrap)
        self.start = call(lambda: ends(kafka, [topic.name for topic in provision.load()]))
        self._intake("migrate")
        self._intake(
            "registry", "apply", str(SAMPLE), "--past-requests", "--why", "tỉnh mẫu"
        )  # the played quarter lies in the past
        trust_board(self.stack)
        made = json.loads(self._intake("keys", "create", "--all", "--json"))
        self._keys = {key["agency"]: key["key"] for key in made["keys"]}
        people = [REVIEWER, *self.signing.values()]
        named = [part for person in people for part in ("--person", person)]
        made = json.loads(self._intake("keys", "create", *named, "--json"))
        self._people = {key["person"]: key["key"] for key in made["keys"]}
        rate = (END - START).total_seconds() / (self.wishes.seconds or USUAL_SECONDS)
        self._pace = Pace(self.wishes.directory / "business-clock", START, END, rate)
        self._env["BUSINESS_CLOCK"] = self._pace.specification
        self._env["KAFKA_COMMIT_EVERY_SECONDS"] = "0"  # a second is a day here; deadlines wait for committed offsets
        self._env["LOG_LEVEL"] = "INFO"
        self.stack.add_services(dict.fromkeys(SERVICES, 1))

    @property
    def pace(self) -> Pace:
        """The pace of business time; it stands at START until the quarter begins."""
        if self._pace is None:
            raise RuntimeError("prepare() makes the clock")
        return self._pace

    def _intake(self, *arguments: str) -> str:
        """Run an operator command of intake; returns its output. Raises StackError with its error."""
        env = {"INTAKE_PORT": "0", **self.stack.service_env("intake")}
        done = subprocess.run(
            [sys.executable, "-m", "services.intake", *arguments],
            env=env, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            said = (done.stderr or done.stdout)[-2000:]
            raise StackError(f"`intake {arguments[0]}` thất bại:\n{said}", f"`intake {arguments[0]}` failed")
        return done.stdout

    async def play(self, counting: Counting) -> None:
        """Play the quarter; returns once all requests of the agencies are answered."""
        await self._opened(counting)
        concurrency = Concurrency()
        limits = httpx.Limits(max_connections=concurrency.most, max_keepalive_connections=concurrency.most)
        url = self.stack.url("intake")
        async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits, trust_env=False) as http:
            known = temperaments(self.province.open, self.wishes.seed)

            def portal(key: str) -> Portal:
                return Portal(http, key, concurrency, self.ledger)

            heads = {code: portal(self._people[person]) for code, person in self.signing.items()}
            agencies = [
                Agency(
                    code=code,
                    temperament=temperament,
                    staff=self.province.staff[code],
                    portal=portal(self._keys[code]),
                    forms=self.province.forms,
                    issued=self.province.issued,
                    pace=self.pace,
                    ledger=self.ledger,
                    seed=self.wishes.seed,
                    closings=self._closings,
                    head=heads.get(code),
                    certified=self.province.certified,
                )
                for code, temperament in known.items()
            ]
            # punctual ones, so that what they are granted changes nothing of what the seed says is on time
            first, second = sorted(
                code for code, kind in known.items() if kind == "punctual" and self.province.kinds[code] == "commune"
            )[:2]
            asking = portal(self._keys[first]), portal(self._keys[second])
            silent = min(c for c, kind in known.items() if kind == "silent" and self.province.kinds[c] == "commune")
            desk = Desk(portal(self._people[REVIEWER]), asking, portal(self._keys[silent]), self.pace, self.ledger)
            post = Post(self.pace, counting)
            looks = [agency.first_look() for agency in agencies]  # hold all before business time begins
            living: asyncio.Future[Any] = asyncio.gather(
                self._merge(counting, self.pace.hold(MERGER_AT, "merger")),
                desk.work(*desk.hold()),
                post.work(post.hold()),
                *(agency.live(look) for agency, look in zip(agencies, looks, strict=True)),
            )
            self.pace.begin()
            showing: asyncio.Future[Any] = asyncio.create_task(self._show(counting))
            try:
                # the display ends only with an error, such as a lost service: then stop playing
                done, _ = await asyncio.wait({living, showing}, return_when=asyncio.FIRST_COMPLETED)
                for ended in done:
                    ended.result()
            finally:
                for task in (living, showing):
                    task.cancel()
                await asyncio.gather(living, showing, return_exceptions=True)
                self.screen.still()
        self.waited_seconds = self.pace.waited_seconds
        self.pace.finish()

    async def _merge(self, counting: Counting, decided: Hold) -> None:
        """Load the merger when it is decided; business time waits until the heir owes what was open."""
        if not await self.pace.reach(decided):
            return
        self.screen.say("Sáp nhập xã Thạch Giám vào xã Đông Giang từ 4/3.", "one commune merges into another")
        for agency in _read(MERGER / "agencies.yaml")["agencies"]:
            after = date.fromisoformat(agency["closed_on"]) + timedelta(days=1)
            self._closings[agency["code"]] = datetime.combine(after, time(), LOCAL_ZONE)
        await asyncio.to_thread(self._intake, "registry", "apply", str(MERGER), "--why", "sáp nhập xã")
        give_up_at = monotonic_seconds() + MERGER_SECONDS
        while monotonic_seconds() < give_up_at:
            if await counting.handed_on():
                break
            await asyncio.sleep(0.2)
        self.pace.release(decided)

    async def _opened(self, counting: Counting) -> None:
        """Wait for the first obligations at the public API before business time begins."""
        give_up_at = monotonic_seconds() + OPENED_SECONDS
        still, before = 0, -1
        while still < OPENED_LOOKS and monotonic_seconds() < give_up_at:
            if crashed := self.stack.crashed():
                raise crashed[0].failure()
            owed = await counting.opened()
            still = still + 1 if owed and owed == before else 0
            before = owed
            await asyncio.sleep(1.0)

    async def _show(self, counting: Counting) -> None:
        began = monotonic_seconds()
        while True:
            for held in self.pace.give_up():
                when = f"{held.moment.astimezone(LOCAL_ZONE):%H:%M %d/%m}"
                self.screen.say(
                    f"✗ Việc lúc {when} không xong, không chờ nữa: {held.what}",
                    "business time does not wait any longer for this action",
                )
                self.ledger.gave_up.append(held.what)
            glance = await counting.glance()
            self.screen.watch(self.pace.clock.now(), self.pace.share, glance, monotonic_seconds() - began)
            if crashed := self.stack.crashed():
                raise crashed[0].failure()
            await asyncio.sleep(1.0)

    async def settle(self, counting: Counting) -> Backlog:
        """Wait until no work is unfinished, or too long; returns what was left at the last check."""
        give_up_at = monotonic_seconds() + DRAIN_SECONDS
        quiet = 0
        while True:
            backlog = await counting.backlog(END)
            quiet = quiet + 1 if backlog.total == 0 else 0
            if quiet >= QUIET_LOOKS or monotonic_seconds() > give_up_at:
                return backlog
            await asyncio.sleep(0.5)

    async def reconcile(self) -> tuple[int, list[Mapping[str, Any]]]:
        """Run reconcile as an operator would; returns its exit code and differences."""
        env = dict(self.stack.service_env("scoring"))
        options = [part for service in SERVICES for part in (f"--{service}", self.stack.database_url(service))]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.reconcile", *options, "--json", env=env, cwd=ROOT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        code = process.returncode if process.returncode is not None else 2
        try:
            report = json.loads(out)
        except ValueError:
            return code or 2, [{"kind": "could_not_compare", "message": err.decode(errors="replace")[-500:]}]
        if not report["compared"]:
            return code, [{"kind": "could_not_compare", "message": report["error"]}]
        return code, report["differences"]

    async def logins(self) -> list[Login]:
        """A login at the board for each role. Raises StackError."""
        code = min(self.signing)
        roles = {
            ("Chủ tịch UBND tỉnh", "chair"): CHAIR,
            ("Văn phòng UBND tỉnh", "provincial office"): OFFICE,
            ("Quản trị hệ thống", "administrator"): ADMINISTRATOR,
            (f"Thủ trưởng {code}", "head"): self.signing[code],
            (f"Cán bộ đầu mối {code}", "officer"): self.province.staff[code].general,
        }
        return await logins.make(self.stack, roles)

    async def count(self, counting: Counting) -> Count:
        """The final count, over all deadlines of the season."""
        return await counting.count(set(self.ledger.receipts), self.province.kinds, END)

    @property
    def on_time_by_seed(self) -> tuple[int, int]:
        """The range of "on time" if every agency follows its plan: without and with corrections."""
        found = Counter(self.ledger.prospects.values())
        return found["in_time"], found["in_time"] + found["open"]

    def summary(self, count: Count, backlog: Backlog, differences: int, seconds: float) -> dict[str, Any]:
        """The content of summary.json: figures of stores, topics and sink; `clients`: the answers to the agencies."""
        total = count.total
        return {
            "accepted": count.accepted,
            "returned": count.returned,
            "submissions": count.submissions,
            "on_time": total.on_time,
            "on_time_by_seed": list(self.on_time_by_seed),
            "late": total.late,
            "overdue": total.overdue,
            "overdue_nothing_sent": total.nothing_sent,
            "overdue_returned": total.returned + total.awaiting,
            "obligations_due": total.owed,
            "certified": count.steps["certified"],
            "approved": count.steps["approved"],
            "extensions_granted": count.steps["extension_granted"],
            "extensions_refused": count.steps["extension_refused"],
            "lateness_noted": count.steps["lateness_noted"],
            "nil_accepted": count.nil_accepted,
            "inherited": count.inherited,
            "inherited_fulfilled": count.inherited_fulfilled,
            "information_asked": count.asked,
            "information_answered_in_time": count.asked_in_time,
            "information_answered_late": count.asked_late,
            "mails": sum(count.mails.values()),
            "mails_by_kind": dict(count.mails),
            "matters_told": sum(count.matters.values()),
            "matters_by_kind": dict(count.matters),
            "matters_waiting": count.matters_waiting,
            "most_told": [asdict(reader) for reader in count.readers],
            "mails_lost": count.lost_mails,
            "mails_doubled": count.doubled_mails,
            "mails_unsettled": count.unsettled_mails,
            "events": sum(count.events.values()),
            "events_by_topic": count.events,
            "events_unlike_archive": {topic: asdict(found) for topic, found in count.unlike_archive.items()},
            "dead_letters": count.dead_letters,
            "outbox": count.outbox,
            "reconcile_differences": differences,
            "lost_receipts": len(count.lost_receipts),
            "backlog": asdict(backlog),
            "clients": {
                "receipts": len(self.ledger.receipts),
                "refusals": dict(self.ledger.refusals),
                "gave_up": len(self.ledger.gave_up),
                "requests": self.ledger.requests,
                "retries": self.ledger.retries,
            },
            "broker": self.stack.broker,
            "seconds": round(seconds, 1),
            "clock_waited_seconds": round(self.waited_seconds, 1),
            "seed": self.wishes.seed,
        }

    def close(self) -> None:
        """End everything."""
        self.screen.still()
        self.stack.stop()

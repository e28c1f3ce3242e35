"""The command line of every service: serve, migrate, replay, dead-letters, and its own commands."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import FrameType

import asyncpg
import uvicorn
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from shared.consuming.consumers_tool import add_consumer_arguments, consumers
from shared.consuming.dead_letters_tool import add_dead_letter_arguments, dead_letters
from shared.consuming.deferred_tool import add_deferred_arguments, deferred
from shared.outbox.relay import Relay
from shared.outbox.replay import Selection, count_selected, replay_selected
from shared.outbox.sending import Refusal
from shared.outbox.tool import add_outbox_arguments, outbox
from shared.postgres.connecting import connect
from shared.postgres.database import UrlError, causes, is_infrastructure, plain_url, sqlstate
from shared.runtime.arguments import CommandParser, moment
from shared.runtime.clock import SystemClock
from shared.runtime.collector import spare_the_collector
from shared.runtime.operator import entry
from shared.runtime.settings import CommonSettings, KafkaSettings
from shared.service.service import REQUESTS_GRACE_SECONDS, Service
from shared.telemetry import logging as logs
from shared.telemetry import tracing
from shared.web.app import Application
from shared.web.limits import HttpSettings, raise_descriptors
from shared.web.server import server_config

log = logs.get_logger()

#: an operator's command: gets its arguments, returns the exit code
Command = Callable[[Sequence[str]], int]


def run(service: str, build: Callable[[], Service], commands: Mapping[str, tuple[str, Command]] | None = None) -> None:
    """Dispatch `python -m services.<service> …` and exit with the command's code.

    commands: name -> (one-line help, function of the remaining arguments).
    """
    own = dict(commands or {})
    parser = CommandParser(prog=f"python -m services.{service}")
    actions = parser.add_subparsers(dest="action", required=True, title="lệnh / commands")
    actions.add_parser("serve", help="chạy dịch vụ / run the service")
    actions.add_parser("migrate", help="cập nhật lược đồ cơ sở dữ liệu / bring the database to the newest schema")
    _replay_arguments(actions.add_parser("replay", help="gửi lại sự kiện từ kho lưu / send archived events again"))
    add_dead_letter_arguments(
        actions.add_parser("dead-letters", help="xem và đưa lại sự kiện hỏng / list, show, replay dead letters")
    )
    add_deferred_arguments(
        actions.add_parser("deferred", help="sự kiện đang chờ / events that wait for something not yet known")
    )
    add_outbox_arguments(
        actions.add_parser("outbox", help="sự kiện Kafka không nhận / events that Kafka does not take")
    )
    add_consumer_arguments(
        actions.add_parser("consumers", help="bên nhận: độ trễ, dừng, đi tiếp / consumers: lag, halts, resuming")
    )
    for name, (help_text, _) in own.items():
        actions.add_parser(name, help=help_text, add_help=False)
    arguments, rest = parser.parse_known_args()
    if arguments.action != "serve":
        # a command says in sentences what it did; only trouble is told beside, and never among its output
        logs.configure(service, level="WARNING", stream=sys.stderr)
    if arguments.action in own:
        raise SystemExit(guarded(service, lambda: own[arguments.action][1](rest)))
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.action == "serve":
        common = CommonSettings()
        logs.configure(service, common.instance, common.log_level)
        if common.otel_exporter_otlp_endpoint:
            _switch_tracing_on(service, common.instance)
        try:
            code = serve(build)
        finally:
            tracing.switch_off()
        raise SystemExit(code)
    raise SystemExit(guarded(service, lambda: _own_action(service, build, arguments)))


def _switch_tracing_on(service: str, instance: str) -> None:
    try:
        tracing.switch_on(service, instance)
    except tracing.PackagesMissing as missing:  # reports are taken all the same
        log.error(
            "Tracing is asked for, but its packages are not installed: pip install --require-hashes"
            " -r requirements-tracing.txt. The service runs without it.",
            action="tracing.not_installed",
            error=str(missing),
        )
    else:
        log.info("Spans are recorded and exported.", action="tracing.on")


def guarded(service: str, command: Callable[[], int]) -> int:
    """Run an operator's command; report what is unavailable or misconfigured in a sentence, not a traceback.

    Returns the command's exit code; 3 where the database or Kafka cannot be used, 2 where a setting is wrong.
    """
    try:
        return command()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `… list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        print(f"Thiết lập sai hoặc thiếu / a setting is wrong or missing: {faults}", file=sys.stderr)
        return 2
    except Exception as error:
        code = sqlstate(error)
        if isinstance(error, asyncpg.ClientConfigurationError | UrlError):
            print(f"Địa chỉ cơ sở dữ liệu không đúng / the database URL is wrong: {error}", file=sys.stderr)
            return 2
        if isinstance(error, OSError) and error.filename is not None:
            reason = f"{_path(error.filename)}: {error.strerror}"
            print(f"Không dùng được tệp / the file cannot be used: {reason}", file=sys.stderr)
            return 1
        if not is_infrastructure(error):
            raise
        if code is not None and code.startswith("42"):
            run_first = f"python -m services.{service} migrate"
            what = f"Lược đồ chưa cập nhật, hãy chạy / the schema is not up to date, run {run_first}"
        elif isinstance(error, KafkaError):
            what = "Kafka không trả lời / Kafka does not answer"
        else:
            what = "Không dùng được cơ sở dữ liệu / the database cannot be used"
        print(f"{what}: {_first_line(error)}", file=sys.stderr)
        return 3


def _path(name: object) -> str:
    return (
        os.fsdecode(name).encode("utf-8", "backslashreplace").decode() if isinstance(name, str | bytes) else str(name)
    )


def _first_line(error: Exception) -> str:
    innermost = list(causes(error))[-1]
    return f"{type(innermost).__name__}: {innermost}".splitlines()[0][:300]


def _own_action(service: str, build: Callable[[], Service], arguments: argparse.Namespace) -> int:
    url = database_url(service)
    match arguments.action:
        case "migrate":
            from shared.postgres.migrations import (
                migrate,  # Alembic costs a service that runs nothing: 9 MB and half a second
            )

            migrate(service, url, os.environ.get(f"{service.upper()}_OWNER_DATABASE_URL") or None)
            return 0
        case "replay":
            return asyncio.run(_replay(service, url, arguments))
        case "consumers":
            topics = _followed(build())
            return asyncio.run(_with_connection(url, lambda connection: consumers(connection, arguments, topics)))
        case "deferred":
            return asyncio.run(deferred(service, url, arguments))
        case "outbox":
            return asyncio.run(_with_connection(url, lambda connection: outbox(connection, arguments)))
        case _:
            return asyncio.run(dead_letters(service, url, arguments))


def database_url(service: str) -> str:
    """The service's database from its environment; a clear message and exit code 2 where it is missing."""
    name = f"{service.upper()}_DATABASE_URL"
    url = os.environ.get(name)
    if not url:
        # not sys.exit(text): its code 1 says "nothing found" to who runs `dead-letters list` at night
        missing = f"Thiếu biến môi trường {name} / the environment variable {name} is missing (postgresql://…)"
        print(missing, file=sys.stderr)
        raise SystemExit(2)
    return url


def serve(build: Callable[[], Service]) -> int:
    """Run until SIGTERM or SIGINT; then finish what is in hand within the grace."""
    service = build()
    if isinstance(service.app, Application):
        service.app.described  # noqa: B018 - now, and not while the first request with a query waits for it
    raise_descriptors()
    config = server_config(
        service.app,
        host=service.host,
        port=service.port,
        settings=HttpSettings(),
        clock=service.clock,
        graceful_seconds=int(REQUESTS_GRACE_SECONDS),
    )
    server = _Server(config, service)
    spare_the_collector()

    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # after its orderly stop uvicorn raises the signal again, for these handlers: an orderly stop is exit code 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run()
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Tells the service when it was asked to stop: the whole stop has one deadline."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.asked_to_stop()
        super().handle_exit(sig, frame)


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=moment, help="ISO 8601, tính cả / inclusive")
    parser.add_argument("--until", type=moment, help="ISO 8601, không tính / exclusive")
    parser.add_argument("--type", help="loại sự kiện / CloudEvents type")
    parser.add_argument("--key", help="khóa / partition key")
    parser.add_argument("--rate", type=_rate, help="sự kiện mỗi giây, lớn hơn 0 / events per second, above 0")
    parser.add_argument("--dry-run", action="store_true", help="chỉ đếm / count only")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r}: tốc độ phải là số lớn hơn 0; bỏ --rate để gửi nhanh nhất có thể / "
            "the rate is a number above 0; leave --rate out to send as fast as possible"
        )
    return rate


def _refusal(refusal: Refusal) -> str:
    row = refusal.row
    head = f"Kafka không nhận / Kafka does not take {row['event_id']}"
    return entry(head, row["type"], row["key"], str(refusal.error))


def _followed(service: Service) -> dict[str, Sequence[str]]:
    """The service's consumers with the topics they follow."""
    subscriptions = service.consumers.subscriptions if service.consumers else ()
    return {subscription.name: subscription.inbound.topics for subscription in subscriptions}


async def _with_connection(url: str, work: Callable[[asyncpg.Connection], Awaitable[int]]) -> int:
    connection = await connect(plain_url(url), timeout=10)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def _replay(service: str, url: str, arguments: argparse.Namespace) -> int:
    selection = Selection(arguments.since, arguments.until, arguments.type, arguments.key)
    connection = await connect(plain_url(url), timeout=10)
    try:
        counts = await count_selected(connection, selection)
        for kind, events in counts.items():
            print(f"{events:>12,}  {kind}")
        print(f"{sum(counts.values()):>12,}  tổng số / in all")
        if arguments.dry_run:
            return 0
        relay = Relay(service, url, KafkaSettings(), SystemClock())
        refused: list[str] = []
        sent = await replay_selected(
            connection,
            selection,
            relay.send,
            rate_per_second=arguments.rate,
            progress=lambda n: print(f"đã gửi / sent {n:,}", file=sys.stderr),
            refused=lambda outcome: refused.extend(map(_refusal, outcome.refused)),
        )
        await relay.stop()
        print(
            entry(
                f"Đã gửi lại {sent:,} sự kiện / events sent again",
                "hộp thư đến bỏ qua những gì đã có / inboxes drop what they have",
            )
        )
        for line in refused:
            print(line, file=sys.stderr)
        return 1 if refused else 0
    finally:
        await connection.close()

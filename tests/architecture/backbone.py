"""Rules that keep the backbone lossless and honest: producers, acknowledgement, clocks, metrics, logs, problems."""

from __future__ import annotations

import ast
import re

from tests.architecture.tree import Module, Tree, dotted, keyword

MAY_PRODUCE = re.compile(r"shared/(kafka/clients\.py|outbox/.*)")
WALL_CLOCKS = re.compile(
    r"(.*\.)?(datetime\.(now|utcnow|today)|date\.today)|time\.(time|time_ns|localtime|gmtime|ctime)"
)
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "fatal", "msg"})
ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
DECLARE = frozenset({"declare_counter", "declare_gauge", "declare_histogram"})


def only_the_outbox_produces(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services", "shared"):
        if MAY_PRODUCE.fullmatch(module.path.as_posix()):
            continue
        for node, name in module.imports():
            if name.startswith("aiokafka") and "Producer" in name:
                found.append(module.at(node, f"imports {name}: publishing is an INSERT into the outbox"))
        for call in module.calls():
            name = dotted(call.func)
            last = name.rpartition(".")[2]
            if last in ("AIOKafkaProducer", "send_and_wait", "publisher", "publish_batch") or (
                last == "publish" and "broker" in name.lower()
            ):
                found.append(module.at(call, f"calls {name}(): publishing is an INSERT into the outbox"))
    return found


def services_touch_no_kafka_client(tree: Tree) -> list[str]:
    return [
        module.at(node, f"imports {name}: the batch runtime and the relay speak to Kafka, services do not")
        for module in tree.modules("services")
        for node, name in module.imports()
        if name.partition(".")[0] in ("aiokafka", "faststream")
    ]


#: where aiokafka keeps what its public interface does not show
_AIOKAFKA_PRIVATE = {"_client", "_conns", "_coordinator", "_fetcher", "_sender", "_subscription", "_sync_task"}


def aiokafkas_insides_are_known_in_one_place(tree: Tree) -> list[str]:
    return [
        module.at(node, f"touches .{node.attr}: only shared/kafka/aiokafka_internals.py knows aiokafka's private parts")
        for module in tree.modules("shared")
        if module.path.as_posix() != "shared/kafka/aiokafka_internals.py"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in _AIOKAFKA_PRIVATE
    ]


def subscribers_acknowledge_after_the_work_and_read_from_the_start(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services", "shared"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and dotted(node.value).rpartition(".")[2] == "AckPolicy":
                if node.attr != "NACK_ON_ERROR":
                    found.append(module.at(node, f"AckPolicy.{node.attr} loses messages: only NACK_ON_ERROR"))
            elif isinstance(node, ast.Call) and dotted(node.func).endswith(".subscriber"):
                if keyword(node, "ack_policy") is None:
                    found.append(
                        module.at(node, "subscriber without ack_policy: the default, ACK_FIRST, loses messages")
                    )
                reset = keyword(node, "auto_offset_reset")
                if not (isinstance(reset, ast.Constant) and reset.value == "earliest"):
                    found.append(module.at(node, 'subscriber without auto_offset_reset="earliest": the default skips'))
                batch = keyword(node, "batch")
                if not (isinstance(batch, ast.Constant) and batch.value is True):
                    found.append(module.at(node, "subscriber without batch=True: one transaction per batch"))
    return found


def the_wall_clock_is_read_only_in_clock(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services", "shared"):
        if module.path.as_posix() == "shared/runtime/clock.py":
            continue
        for call in module.calls():
            if WALL_CLOCKS.fullmatch(dotted(call.func)):
                found.append(module.at(call, f"calls {dotted(call.func)}(): ask the injected shared.runtime.clock"))
        for node, name in module.imports():
            if name in ("time.time", "time.time_ns"):
                found.append(module.at(node, f"imports {name}: ask the injected shared.runtime.clock"))
    return found


def every_log_line_has_its_action(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services", "shared"):
        for call in module.calls():
            function = call.func
            if not (isinstance(function, ast.Attribute) and function.attr in LEVELS):
                continue
            if dotted(function.value).rpartition(".")[2].strip("_") not in ("log", "logger", "bind"):
                continue
            action = keyword(call, "action")
            if action is None:
                found.append(module.at(call, 'log line without action="noun.verb": texts may change, actions may not'))
            elif isinstance(action, ast.Constant) and not ACTION.fullmatch(str(action.value)):
                found.append(module.at(call, f"action {action.value!r} is not of the form noun.verb"))
        for node, name in module.imports():
            if name.partition(".")[0] == "logging" and module.path.as_posix() not in (
                "shared/telemetry/logging.py",
                "shared/kafka/clients.py",  # sets levels of its library
            ):
                found.append(module.at(node, "imports the standard logging: use shared.telemetry.logging"))
    return found


def _declared(module: Module) -> list[tuple[ast.Call, str]]:
    found = []
    for call in module.calls():
        if dotted(call.func).rpartition(".")[2] in DECLARE:
            first = call.args[0] if call.args else keyword(call, "name")
            found.append((call, str(first.value) if isinstance(first, ast.Constant) else "?"))
    return found


def metrics_are_declared_once_and_documented(tree: Tree) -> list[str]:
    page = tree.root / "docs" / "metrics.md"
    documented = (
        set(re.findall(r"`(thongsuot_[a-z0-9_]+)`", page.read_text(encoding="utf-8"))) if page.exists() else set()
    )
    found: list[str] = []
    seen: dict[str, str] = {}
    for module in tree.modules("shared", "services"):
        path = module.path.as_posix()
        is_metrics = (
            path == "shared/telemetry/metrics.py" or re.fullmatch(r"services/[a-z]+/metrics\.py", path) is not None
        )
        for call, name in _declared(module):
            if not is_metrics:
                found.append(module.at(call, "a metric is declared outside metrics.py"))
            if name in seen:
                found.append(module.at(call, f"{name} is declared already at {seen[name]}"))
            seen[name] = f"{path}:{call.lineno}"
            if module.service and not name.startswith(f"thongsuot_{module.service}_"):
                found.append(module.at(call, f"{name}: a service's metric begins with thongsuot_{module.service}_"))
            if name not in documented:
                found.append(module.at(call, f"{name} is not in docs/metrics.md: python -m deploy.contracts write"))
        if path != "shared/telemetry/metrics.py":
            constructors = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
            imported = {name for _, name in module.imports() if name.startswith("prometheus_client.")}
            for call in module.calls():
                name = dotted(call.func)
                if (name in constructors and f"prometheus_client.{name}" in imported) or (
                    name.startswith("prometheus_client.") and name.rpartition(".")[2] in constructors
                ):
                    found.append(module.at(call, f"{name}(…): declare it through shared.telemetry.metrics"))
    return found + [f"docs/metrics.md: {name} is declared nowhere" for name in sorted(documented - set(seen))]


def every_problem_has_its_page(tree: Tree) -> list[str]:
    described: set[object] = set()
    raised: list[tuple[Module, ast.Call, str]] = []
    for module in tree.modules("shared", "services"):
        for call in module.calls():
            name = dotted(call.func).rpartition(".")[2]
            if name == "describe" and call.args and isinstance(call.args[0], ast.Constant):
                described.add(call.args[0].value)
            elif name == "Problem" and len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
                raised.append((module, call, str(call.args[1].value)))
            elif name == "Problem" and isinstance(slug := keyword(call, "slug"), ast.Constant):
                raised.append((module, call, str(slug.value)))
    return [
        module.at(call, f"/problems/{slug} would have no page: describe() it (shared.web.errors)")
        for module, call, slug in raised
        if slug not in described
    ]


def pauses_grow_in_one_place(tree: Tree) -> list[str]:
    """`min(pause_seconds * 2, …)` by hand: each had its own bound, and a mistake in one is found in no other."""
    return [
        module.at(call, f"{ast.unparse(call)}: shared.runtime.retry.Backoff tells the next pause")
        for module in tree.modules("services", "shared", "deploy")
        for call in module.calls()
        if module.path.as_posix() != "shared/runtime/retry.py"
        and dotted(call.func) == "min"
        and any(
            isinstance(part, ast.BinOp)
            and isinstance(part.op, ast.Mult)
            and dotted(part.left).endswith("_seconds")
            and isinstance(part.right, ast.Constant)
            and isinstance(part.right.value, int | float)
            and part.right.value >= 1.5  # less is the pace of looking while idle
            for part in call.args
        )
    ]


RULES = (
    only_the_outbox_produces,
    services_touch_no_kafka_client,
    aiokafkas_insides_are_known_in_one_place,
    subscribers_acknowledge_after_the_work_and_read_from_the_start,
    the_wall_clock_is_read_only_in_clock,
    pauses_grow_in_one_place,
    every_log_line_has_its_action,
    metrics_are_declared_once_and_documented,
    every_problem_has_its_page,
)

"""Rules about who may know whom: services, shared, pure rooms, transactions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from shared.contract.services import SERVICES
from shared.contract.subscriptions import SUBSCRIPTIONS
from tests.architecture.tree import Tree, dotted

#: modules of a service's own code that decide and compute: no I/O, no clock, no chance
PURE = (
    re.compile(r"services/[a-z]+/([a-z]+/)?domain(\.py|/.*)"),
    re.compile(r"services/validator/(rules|formula)/.*"),
    re.compile(r"services/intake/(filters|obligations/standing|registry/(example|regimes))\.py"),
    re.compile(r"services/intake/submissions/admission\.py"),
    re.compile(r"shared/reports/.*"),
    re.compile(r"services/intake/receipts/signing\.py"),
    re.compile(
        r"services/intake/registry/(agency_codes|checks|forms|gate|narrowing|people|planning|records|source|sums)\.py"
    ),
    re.compile(r"services/scoring/obligations/(deadlines|resolve)\.py"),
    re.compile(r"services/scoring/scores/policy/assess\.py"),
    re.compile(r"services/notifier/(delivery/states|ladders/timelines|planning/directory|templates/words)\.py"),
    re.compile(r"shared/(contract/(addressing|period|reporting_window|working_days)|web/(paging|validation))\.py"),
    re.compile(r"shared/contract/events/(?!schemas\.py).*"),
    re.compile(r"shared/access/.*"),
    re.compile(r"shared/runtime/(file_errors|hidden_characters|strict_yaml)\.py"),
)
_IO = """aiokafka aiosmtplib alembic asyncio asyncpg fastapi faststream http httpx io logging obstore os pathlib
random secrets shutil smtplib socket sqlalchemy starlette structlog subprocess tempfile threading time urllib.request
uvicorn"""
IO_MODULES = frozenset(_IO.split())
#: these two translate requests, so they may speak HTTP's words
PURE_MAY = {
    "shared/web/paging.py": {"fastapi"},
    "shared/web/validation.py": {"fastapi"},
    "services/validator/formula/generating.py": {"exec"},  # of a source without anything to call but arithmetic
}
#: rooms, and modules, of shared/ that do I/O, read a clock or draw lots
SHARED_IO = frozenset(
    f"shared.{name}"
    for name in [
        "postgres",
        "outbox",
        "kafka",
        "consuming",
        "telemetry",
        "service",
        "web.app",
        "web.server",
        "web.exports",
        "runtime.clock",
        "runtime.settings",
        "contract.ids",
    ]
)
EDGES_AND_STORES = frozenset(
    {"store", "api", "consumer", "handlers", "main", "commands", "endpoint", "load", "loading"}
)
CONSTANTS = frozenset({"shared.runtime.clock.LOCAL_ZONE"})  # a zone is no clock

ENDS_TRANSACTIONS = frozenset({"commit", "rollback", "begin", "begin_nested", "transaction"})
#: modules of this name are edges
EDGES = frozenset({"api.py", "commands.py", "consumer.py", "main.py"})
#: the other places where a transaction begins and is committed, and what each is the edge of
OPENERS = {
    "services/intake/command_line.py": "operator commands",
    "services/intake/receipts/signer.py": "a signing key's public part, kept before anything is signed with it",
    "services/intake/submissions/group_commit.py": "requests that share one commit",
    "services/notifier/channels/outcome_writer.py": "states of a mail, each committed before the next command of SMTP",
    "services/notifier/channels/dispatcher.py": "the sender's rounds",
    "services/notifier/channels/webhook/dispatcher.py": "the rounds of webhooks",
    "services/validator/rejudging.py": "an operator's order to judge reports again, one after the other",
    "services/board/accounts/signing_in.py": "sign-ins, whose failures are kept whatever the page does",
    "services/board/periods/freezing.py": "figures that are kept for good, whatever the page after it meets",
    "services/scoring/loading.py": "calendars and policies of the files, loaded at start and by command",
}
#: a function that is given one of these works inside its caller's transaction
GIVEN = re.compile(r"'?([\w.]+\.)?(Transaction|ReadTransaction)( \| None)?'?")
SQL_ENDS = re.compile(r"\s*(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b(?!-)[\s;\w]*", re.I)


def services_import_only_shared_and_themselves(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services"):
        for node, name in module.imports():
            first, _, rest = name.partition(".")
            if first == "services" and rest.partition(".")[0] not in ("", module.service):
                found.append(module.at(node, f"imports {name}: services talk through Kafka, never by import"))
            if first in ("deploy", "tests"):
                found.append(module.at(node, f"imports {name}: a service knows neither its deployment nor its tests"))
    return found


def shared_imports_no_service(tree: Tree) -> list[str]:
    return [
        module.at(node, f"imports {name}: shared is beneath the services")
        for module in tree.modules("shared")
        for node, name in module.imports()
        if name.partition(".")[0] in ("services", "deploy", "tests")
    ]


#: the rooms of shared/, the lowest first: each may know those before it
ROOMS = (
    "runtime", "contract", "access", "telemetry", "postgres", "kafka", "outbox", "consuming", "web", "reports",
    "projection", "service",
)  # fmt: skip


def rooms_know_only_those_beneath(tree: Tree) -> list[str]:
    """No circles between rooms, and none of them is by accident: a new one takes its place in ROOMS."""
    found = []
    for module in tree.modules("shared"):
        room = module.path.parts[1]
        if room == "__init__.py":
            continue
        if room not in ROOMS:
            found.append(f"{module.path}:1: {room} is no room of shared/")
            continue
        for node, name in module.imports():
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top == "shared" and other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
                found.append(module.at(node, f"imports {name}: {room} is beneath {other}"))
    return found


def services_load_no_module_by_name(tree: Tree) -> list[str]:
    """An import that no other rule can see."""
    return [
        module.at(call, f"calls {dotted(call.func)}(): import what is needed, where the rules see it")
        for module in tree.modules("services")
        for call in module.calls()
        if dotted(call.func).rpartition(".")[2] in ("import_module", "__import__", "find_spec", "resolve_name")
    ]


def only_edges_end_transactions(tree: Tree) -> list[str]:
    """Code that is no edge works in the transaction it is given; so do an edge's helpers that are given one."""
    found = []
    for module in tree.modules("services"):
        edge = module.path.name in EDGES or module.path.as_posix() in OPENERS
        for part in _given_a_transaction(module.tree) if edge else (module.tree,):
            for node in ast.walk(part):
                if (how := _ends_a_transaction(node)) is not None:
                    found.append(module.at(node, f"{how}: only edges open and commit transactions"))
    return found


def _given_a_transaction(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            if any(
                argument.annotation is not None and GIVEN.fullmatch(ast.unparse(argument.annotation))
                for argument in arguments
            ):
                yield node


def _ends_a_transaction(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) if name in ENDS_TRANSACTIONS:
            return f"calls {dotted(node.func)}()"
        case ast.Call(func=function, args=[ast.Constant(value=str(sql)), *_]) if dotted(function).rpartition(".")[
            2
        ] in ("text", "execute", "exec_driver_sql") and SQL_ENDS.fullmatch(sql):
            return f"says {sql.strip()} to the database"
        case _:
            return None


def openers_are_there(tree: Tree) -> list[str]:
    """An exception that nothing needs any more would hide the next breach."""
    by_path = {module.path.as_posix(): module for module in tree.modules("services")}
    return [
        f"{path}: named as a place that opens transactions, but {'opens none' if path in by_path else 'gone'}"
        for path in OPENERS
        if path not in by_path or not any(_ends_a_transaction(node) for node in ast.walk(by_path[path].tree))
    ]


def shared_publish_and_inbox_never_end_transactions(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("shared"):
        if str(module.path) in (
            "shared/consuming/inbox.py",
            "shared/consuming/deferred_events.py",
            "shared/outbox/publish.py",
        ):
            for call in module.calls():
                if dotted(call.func).rpartition(".")[2] in ENDS_TRANSACTIONS:
                    found.append(module.at(call, f"calls {dotted(call.func)}(): it works on the caller's transaction"))
    return found


def pure_rooms_do_no_io(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services", "shared"):
        path = module.path.as_posix()
        if not any(pattern.fullmatch(path) for pattern in PURE):
            continue
        allowed = PURE_MAY.get(path, set())
        for node, name in module.imports():
            top = name.partition(".")[0]
            if (top in IO_MODULES or name in IO_MODULES) and top not in allowed:
                found.append(module.at(node, f"imports {name}: this room is pure"))
            parts = name.split(".")
            if {".".join(parts[:2]), ".".join(parts[:3])} & SHARED_IO and name not in CONSTANTS:
                found.append(module.at(node, f"imports {name}: this room is pure"))
            room = name.split(".")
            if room[0] == "services" and len(room) > 2 and EDGES_AND_STORES & {*room[2:4]}:
                found.append(module.at(node, f"imports {name}: the domain knows nothing of edges and stores"))
        for call in module.calls():
            name = dotted(call.func)
            if name in ("open", "input", "print", "exec", "eval") and name not in allowed:
                found.append(module.at(call, f"calls {dotted(call.func)}(): this room is pure"))
    return found


def every_service_is_known(tree: Tree) -> list[str]:
    return [
        f"services/{path.name}: not one of {', '.join(SERVICES)}; shared/contract/services.py says what it needs"
        for path in sorted((tree.root / "services").iterdir())
        if path.is_dir() and not path.name.startswith("_") and path.name not in SERVICES
    ]


def services_are_listed_once(tree: Tree) -> list[str]:
    return [
        module.at(node, "lists all services: read shared.contract.services.SERVICES")
        for module in tree.modules("services", "shared", "deploy")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Tuple | ast.List | ast.Set)
        and {item.value for item in node.elts if isinstance(item, ast.Constant)} >= set(SERVICES)
    ]


def subscriptions_are_declared_once(tree: Tree) -> list[str]:
    """A service attaches its handlers to the declared subscriptions, to each of them, and to nothing else."""
    found, attached, consuming = [], set(), set()
    for module in tree.modules("services"):
        if module.path.name == "consumer.py":
            consuming.add(module.service)
        for call in module.calls():
            match dotted(call.func).rpartition("Inbound"), call.args:
                case (_, "Inbound", ""), _:
                    found.append(module.at(call, "Inbound(): declare it in shared/contract/subscriptions.py"))
                case (_, "Inbound", ".of"), [ast.Constant(value=str(consumer)), *_]:
                    attached.add(consumer)
                    if consumer not in SUBSCRIPTIONS or consumer.partition(".")[0] != module.service:
                        found.append(module.at(call, f"{consumer}: no subscription of this service"))
    return found + [
        f"shared/contract/subscriptions.py:1: nothing handles {consumer}"
        for consumer in SUBSCRIPTIONS
        if consumer.partition(".")[0] in consuming and consumer not in attached
    ]


RULES = (
    services_import_only_shared_and_themselves,
    shared_imports_no_service,
    rooms_know_only_those_beneath,
    services_load_no_module_by_name,
    only_edges_end_transactions,
    openers_are_there,
    shared_publish_and_inbox_never_end_transactions,
    pure_rooms_do_no_io,
    every_service_is_known,
    services_are_listed_once,
    subscriptions_are_declared_once,
)

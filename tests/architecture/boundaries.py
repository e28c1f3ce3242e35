"""Rules about who may know whom: services, shared, pure rooms, transactions."""

from __future__ import annotations

import re

from tests.architecture.tree import SERVICES, Tree, dotted

#: modules of a service's own code that decide and compute: no I/O, no clock, no chance
PURE = (
    re.compile(r"services/[a-z]+/domain(\.py|/.*)"),
    re.compile(r"services/validator/(rules|formula)/.*"),
    re.compile(r"services/scoring/deadlines\.py"),
    re.compile(r"services/notifier/ladder\.py"),
    re.compile(r"shared/(period|paging|validation)\.py"),
    re.compile(r"shared/events/(?!schemas\.py).*"),
)
_IO = """aiokafka aiosmtplib alembic asyncio asyncpg fastapi faststream http httpx io logging obstore os pathlib
random secrets shutil smtplib socket sqlalchemy starlette structlog subprocess tempfile threading time urllib.request
uvicorn"""
IO_MODULES = frozenset(_IO.split())
#: these two translate requests, so they may speak HTTP's words
PURE_MAY = {"shared/paging.py": {"fastapi"}, "shared/validation.py": {"fastapi"}}
_BACKBONE = "db outbox inbox kafka consumer http logging metrics service command ticker exports clock ids"
SHARED_IO = frozenset(f"shared.{name}" for name in _BACKBONE.split())
CONSTANTS = frozenset({"shared.clock.LOCAL_ZONE"})  # a zone is no clock

ENDS_TRANSACTIONS = frozenset({"commit", "rollback", "begin", "begin_nested", "transaction"})
INSIDE_TRANSACTIONS = frozenset({"store.py", "handlers.py", "domain.py", "tables.py", "ledger.py", "reading.py"})


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


def stores_and_handlers_never_end_transactions(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("services"):
        if module.path.name in INSIDE_TRANSACTIONS or "store" in module.path.parts:
            for call in module.calls():
                name = dotted(call.func).rpartition(".")[2]
                if name in ENDS_TRANSACTIONS and "." in dotted(call.func):
                    found.append(
                        module.at(call, f"calls {dotted(call.func)}(): only doors open and commit transactions")
                    )
    return found


def shared_publish_and_inbox_never_end_transactions(tree: Tree) -> list[str]:
    found = []
    for module in tree.modules("shared"):
        if str(module.path) in ("shared/inbox.py", "shared/waiting.py", "shared/outbox/publish.py"):
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
            if ".".join(name.split(".")[:2]) in SHARED_IO and name not in CONSTANTS:
                found.append(module.at(node, f"imports {name}: this room is pure"))
            room = name.split(".")
            if room[0] == "services" and len(room) > 2 and room[2] in ("store", "api", "consumer", "handlers", "main"):
                found.append(module.at(node, f"imports {name}: the domain knows nothing of doors and stores"))
        for call in module.calls():
            if dotted(call.func) in ("open", "input", "print", "exec", "eval"):
                found.append(module.at(call, f"calls {dotted(call.func)}(): this room is pure"))
    return found


def every_service_is_known(tree: Tree) -> list[str]:
    return [
        f"services/{path.name}: not one of {', '.join(SERVICES)}; give it a topic, a database and a line in these rules"
        for path in sorted((tree.root / "services").iterdir())
        if path.is_dir() and not path.name.startswith("_") and path.name not in SERVICES
    ]


RULES = (
    services_import_only_shared_and_themselves,
    shared_imports_no_service,
    stores_and_handlers_never_end_transactions,
    shared_publish_and_inbox_never_end_transactions,
    pure_rooms_do_no_io,
    every_service_is_known,
)

"""Append-only binds the service too: its ledgers belong to a role that it is not, and it may only read and append.

A ledger is a table whose `info` holds `LEDGER`. The owner migrates; everything else is the service's own, for it makes
and drops partitions while it runs. Who owns a schema may drop its tables, so the owner's is the database as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, MetaData, text

from shared.postgres.database import ReadTransaction
from shared.telemetry.readiness import Check

LEDGER = {"ledger": True}

_TABLES = text("""
    SELECT c.relname, pg_get_userbyid(c.relowner) AS owner FROM pg_class AS c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY c.relispartition, 1
""")
_FUNCTIONS = text("""
    SELECT CAST(p.oid::regprocedure AS text) FROM pg_proc AS p
     WHERE p.pronamespace = 'public'::regnamespace AND pg_get_userbyid(p.proowner) <> current_user
""")
_ALTERABLE = text("""
    SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relname = ANY(CAST(:ledgers AS text[]))
       AND (pg_has_role(c.relowner, 'MEMBER') OR pg_has_role(n.nspowner, 'MEMBER')
            OR has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
            OR has_any_column_privilege(c.oid, 'UPDATE'))
     ORDER BY 1
""")


def ledgers(metadata: MetaData) -> list[str]:
    """The tables that are only ever appended to."""
    return sorted(table.name for table in metadata.tables.values() if table.info.get("ledger"))


def role_of(database_url: str) -> str:
    """Who logs in by a URL. Raises ValueError where it does not say."""
    role = unquote(urlsplit(database_url).username or "")
    if not role:
        raise ValueError("the database URL names no role")
    return role


def settle_owners(connection: Connection, names: Sequence[str], role: str) -> None:
    """As the owner, after its migrations: the ledgers are its own, the rest is `role`'s. Idempotent; does not commit.

    The owner must be a member of `role` and own the database.
    """
    me = str(connection.scalar(text("SELECT current_user")))
    if me == role:
        raise ValueError(f"the owner of the ledgers must be another role than the service's, {role}")
    quote = connection.dialect.identifier_preparer.quote
    statements = [f"GRANT USAGE, CREATE ON SCHEMA public TO {quote(role)}"]
    for table, owner in connection.execute(_TABLES):
        wanted = me if table in names else role
        if owner != wanted:
            statements.append(f"ALTER TABLE public.{quote(table)} OWNER TO {quote(wanted)}")
    # also the triggers' functions: whoever owns one may write another body
    statements += [f"ALTER FUNCTION {name} OWNER TO {quote(me)}" for (name,) in connection.execute(_FUNCTIONS)]
    for name in names:
        statements += [
            f"REVOKE ALL ON public.{quote(name)} FROM PUBLIC, {quote(role)}",
            f"GRANT SELECT, INSERT ON public.{quote(name)} TO {quote(role)}",
        ]
    for statement in statements:
        connection.exec_driver_sql(statement)


async def alterable(tx: ReadTransaction, names: Sequence[str]) -> list[str]:
    """Of these ledgers those that the role of this connection could change, empty or drop."""
    return list((await tx.execute(_ALTERABLE, {"ledgers": list(names)})).scalars())


async def check(tx: ReadTransaction, names: Sequence[str], command: str) -> Check:
    """A warning for readiness where append-only does not bind this service. `command`: what mends it."""
    found = await alterable(tx, names)
    if not found:
        return Check(ok=True, detail=f"{len(names)} tables can only be appended to")
    return Check(
        ok=True, detail=f"WARNING this service's role could alter {', '.join(found)}: run {command} (docs/operating.md)"
    )

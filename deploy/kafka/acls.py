"""Derives the services' Kafka rights from their declarations; prints commands that grant them, or the page's table.

    python -m deploy.kafka.acls [--bootstrap HOST:PORT,...] [--prefix P] [--config FILE] [--principal 'User:{service}']
    python -m deploy.kafka.acls --table

The cluster's administrator runs the commands once (`… | sh`); they use Kafka's own `kafka-acls.sh`, and running them
twice changes nothing. The broker needs an authorizer and `allow.everyone.if.no.acl.found=false`; it then refuses
everything that is not granted here.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from shared.contract.subscriptions import FOLLOWS
from shared.outbox.relay import published_topics
from shared.runtime.arguments import CommandParser

#: placeholder in `--principal`
SERVICE = "{service}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A right of one service: operations on a topic, or on every consumer group with this prefix."""

    service: str
    kind: str  # topic, group
    name: str
    operations: tuple[str, ...]
    why: str


def grants() -> list[Grant]:
    """Every right the services need. Names are without the topic prefix."""
    found = []
    for service, models in FOLLOWS.items():
        for topic in published_topics(service):
            found.append(Grant(service, "topic", topic, ("Write", "Describe", "DescribeConfigs"), "relay"))
        for topic in sorted({model.TOPIC for model in models}):
            found.append(Grant(service, "topic", topic, ("Read", "Describe"), "consumers"))
        found.append(Grant(service, "group", f"{service}.", ("Read", "Describe"), "its consumers"))
    return found


def commands(bootstrap: str, prefix: str, principal: str, config: str) -> list[str]:
    """One `kafka-acls.sh` command per grant."""
    lines = []
    for grant in grants():
        words = ["kafka-acls.sh", "--bootstrap-server", bootstrap]
        words += ["--command-config", config] if config else []
        words += ["--add", "--force", "--allow-principal", principal.replace(SERVICE, grant.service)]
        for operation in grant.operations:
            words += ["--operation", operation]
        words += [f"--{grant.kind}", prefix + grant.name]
        if grant.kind == "group":
            words += ["--resource-pattern-type", "prefixed"]
        lines.append(shlex.join(words))
    return lines


def table() -> str:
    """The rows of docs/kafka-acls.md."""
    rows = ["| principal | resource | may | for |", "|---|---|---|---|"]
    for grant in grants():
        name = f"{grant.kind} `{grant.name}{'*' if grant.kind == 'group' else ''}`"
        rows.append(f"| {grant.service} | {name} | {', '.join(grant.operations)} | {grant.why} |")
    return "\n".join(rows) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="python -m deploy.kafka.acls", description=__doc__)
    parser.add_argument("--bootstrap", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"))
    parser.add_argument("--prefix", default=os.environ.get("KAFKA_TOPIC_PREFIX", ""), help="before every name")
    parser.add_argument("--principal", default=f"User:{SERVICE}", help=f"default: User:{SERVICE}")
    parser.add_argument("--config", default="", help="--command-config của / of kafka-acls.sh")
    parser.add_argument("--table", action="store_true", help="bảng của trang / the page's table")
    options = parser.parse_args(argv)
    if SERVICE not in options.principal:
        parser.error(f"--principal cần chứa / must contain {SERVICE}: mỗi dịch vụ một tên / a principal per service")
    if options.table:
        print(table(), end="")
        return 0
    for line in commands(options.bootstrap, options.prefix, options.principal, options.config):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())

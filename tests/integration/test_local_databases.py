"""Databases of several services are made at once, as a stack does when it starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.stack import Infra, unique


def test_databases_are_made_at_the_same_time(infra: Infra) -> None:
    names = [unique("t_many_") for _ in range(12)]
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            urls = list(pool.map(infra.create_database, names))
        assert [urlsplit(url).path for url in urls] == [f"/{name}" for name in names]
    finally:
        for name in names:
            infra.drop_database(name)

"""The operator's key of a stack: made by intake's command, as an operator does it, and awaited in every service."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial

from deploy.local.errors import StackError
from deploy.local.options import ROOT
from deploy.local.process import poll_until

#: its name among the secrets of a stack's directory
KEPT_AS = "operator_key"
#: for the command; and for the key's way through outbox and Kafka into each service, on a busy machine
MAKE_SECONDS, KNOWN_SECONDS = 120.0, 120.0
_COMMAND = (sys.executable, "-m", "services.intake", "keys", "create", "--operator", "local", "--json")
#: opens to an operator alone, in every service
_ROUTE = "/v1/exports/outbox?limit=1"


def make_key(environment: Mapping[str, str]) -> str:
    """A new key of the operator `local`. Raises StackError with what the command says."""
    done = subprocess.run(
        _COMMAND, env=dict(environment), cwd=ROOT, capture_output=True, text=True, timeout=MAKE_SECONDS, check=False
    )
    if done.returncode != 0:
        raise StackError("Không tạo được khóa vận hành.", f"no operator's key was made: {done.stderr.strip()}")
    return str(json.loads(done.stdout)["keys"][0]["key"])


def wait_until_known(key: str, urls: Mapping[str, str]) -> None:
    """Return once each service (name -> URL) lets the key in. Raises StackError if one does not in time."""
    for service, url in urls.items():
        if not poll_until(partial(_lets_in, key, f"{url}{_ROUTE}"), KNOWN_SECONDS):
            raise StackError(
                f"{service} chưa nhận khóa vận hành sau {KNOWN_SECONDS:.0f} giây.",
                f"{service} does not know the operator's key after {KNOWN_SECONDS:.0f} s",
            )


def _lets_in(key: str, url: str) -> bool:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):  # not yet known, or not yet there
        return False

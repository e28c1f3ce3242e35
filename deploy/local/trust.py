"""Lets the local board act for people: its public key is registered with intake, as an operator would do it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.errors import StackError
from deploy.local.options import ROOT
from shared.web.tokens import SigningKey

if TYPE_CHECKING:
    from deploy.local.stack import Stack

WAIT_SECONDS = 60


def trust_board(stack: Stack) -> None:
    """Register the key, unless it is registered already. Intake's database is migrated. Raises StackError."""
    key = SigningKey.from_pem(Path(stack.service_env("board")["BOARD_SIGNING_KEY_FILE"]).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "services.intake", "keys", "trust", "board", key.public.hex()],
        env={"INTAKE_PORT": "0", **stack.service_env("intake")}, cwd=ROOT, capture_output=True, text=True,
        timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout)[-2000:]
        raise StackError(f"`intake keys trust` thất bại:\n{said}", "`intake keys trust` failed")

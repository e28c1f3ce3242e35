"""Logins for the board at the demo's end: one for each role, made by an invitation as for anybody else."""

from __future__ import annotations

import asyncio
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from deploy.local import Stack, StackError
from deploy.local.options import ROOT

_LINK = re.compile(r"^(\S+)\n\s+\S+(/loi-moi/[\w-]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Login:
    """Who signs in with what."""

    role: str
    role_en: str
    person_id: str
    password: str


async def make(stack: Stack, roles: Mapping[tuple[str, str], str]) -> list[Login]:
    """Invite each person and set a password at the link. `roles`: what they are called -> the person's id.

    Raises StackError.
    """
    links = dict(_LINK.findall(await asyncio.to_thread(_invite, stack, list(roles.values()))))
    url, password = stack.url("board"), secrets.token_urlsafe(9)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False, headers={"Origin": url}) as http:
        for person_id in roles.values():
            answer = await http.post(links[person_id], data={"password": password, "again": password})
            if answer.status_code != 303:
                raise StackError(
                    f"Không đặt được mật khẩu của {person_id}: {answer.status_code}",
                    f"cannot set the password of {person_id}",
                )
    return [Login(*role, person_id, password) for role, person_id in roles.items()]


def _invite(stack: Stack, people: Sequence[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "services.board", "accounts", "invite", *people],
        env=stack.service_env("board"), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-2000:]
        raise StackError(f"`board accounts invite` thất bại:\n{said}", "`board accounts invite` failed")
    return done.stdout

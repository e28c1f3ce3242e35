"""The file of the gateways: read whole or refused with every fault, its line and its cure.

Secrets stand in the environment; the file names them (`${SMS_TOKEN}`), and what looks like a secret of its own is
refused. The placeholders {to}, {text} and {id} are put into values that are then written as JSON or as a form, so no
text can break out of its place.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from services.notifier.channels.gateway.numbers import Form, number_as
from services.notifier.channels.gateway.parts import Alphabet
from services.notifier.ladders.domain import TextChannel
from shared.contract.events.fields import Words
from shared.contract.webhook_targets import Networks, Target, networks_of, read_target
from shared.service.model_files import read_model

#: gateways are a page; more is a wrong file
MAX_FILE_BYTES = 64 * 1024
MAX_DEPTH = 10
#: the longest timeout: half of a lease must cover it (NotifierSettings)
MAX_TIMEOUT_SECONDS = 60

_PLACE = re.compile(r"\{(to|text|id)\}")
_ANY_PLACE = re.compile(r"(?<!\$)\{([^{}]*)\}")
_SECRET = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SECRET_NAME = re.compile(r"authorization|api.?key|secret|token|passw|cookie", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(rf"{_SECRET_NAME.pattern}|(^|[_.-])(key|pwd|pass|auth|sig|signature)$", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
#: set by the request itself
_OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
)


class GatewayFileError(ValueError):
    """The file is wrong; the message names every fault, one a line."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SuccessPart(_Part):
    """Which answer says that the gateway has taken the text: the status, and a member of its JSON where one says it."""

    status: tuple[int, ...] = Field(default=(200, 201, 202), min_length=1, max_length=10)
    member: str = Field(default="", max_length=100, alias="field")
    value: str | int | bool | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.member) != (self.value is not None):
            raise ValueError("field và value đi cùng nhau / field and value go together")
        return self


class AnswerPart(_Part):
    """What another answer means."""

    status: int = Field(ge=200, le=599)
    member: str = Field(default="", max_length=100, alias="field")
    value: str | int | bool | None = None
    means: Literal["later", "refused", "bad_address", "set_up"]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.member) != (self.value is not None):
            raise ValueError("field và value đi cùng nhau / field and value go together")
        return self


class BodyPart(_Part):
    """The body: JSON, or a form."""

    as_json: dict[str, Any] | None = Field(default=None, alias="json")
    form: dict[str, str] | None = None

    @field_validator("as_json", "form")
    @classmethod
    def _places(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is None:
            return None
        found: set[str] = set()
        for name, text in _texts(value):
            _checked(text)
            _no_secret(name, text)
            found |= set(_PLACE.findall(text))
        if missing := [place for place in ("to", "text") if place not in found]:
            named = ", ".join(f"{{{place}}}" for place in missing)
            raise ValueError(f"thiếu {named} / {named} is missing")
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.as_json is None) == (self.form is None):
            raise ValueError("ghi đúng một trong json và form / write either json or form")
        return self


class LimitsPart(_Part):
    """What the gateway's contract and people's patience allow."""

    per_second: float = Field(default=5.0, ge=0.1, le=1000)
    a_day: int | None = Field(default=None, ge=1)  # of the whole system; None: any number
    a_person_a_day: int = Field(default=3, ge=1, le=100)
    parts: int = Field(default=2, ge=1, le=6)


class GatewayPart(_Part):
    channel: TextChannel
    url: str
    method: Literal["POST", "PUT"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, max_length=20)
    body: BodyPart
    success: SuccessPart = SuccessPart()
    answers: tuple[AnswerPart, ...] = Field(default=(), max_length=50)
    limits: LimitsPart = LimitsPart()
    alphabet: Alphabet = "gsm7"
    numbers: Form = "international"  # +84…, 84…, 0…
    timeout_seconds: float = Field(default=15.0, gt=0, le=MAX_TIMEOUT_SECONDS)
    private_networks: str = ""
    ca_file: str = ""

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
                raise ValueError(f"{name[:64]}: không đặt được tiêu đề này / this header cannot be set")
            if not text.isascii() or not text.isprintable():
                raise ValueError(f"{name}: một dòng ký tự ASCII / one line of ASCII")
            if "text" in _PLACE.findall(text) or "to" in _PLACE.findall(text):
                raise ValueError(f"{name}: chỉ {{id}} đặt được trong tiêu đề / only {{id}} may stand in a header")
            _checked(text)
            _no_secret(name, text)
        return value

    @field_validator("private_networks", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """As a list of YAML too."""
        return ",".join(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value

    @field_validator("private_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        try:
            networks_of(value)
        except ValueError:
            raise ValueError(
                "ghi mạng như 10.1.0.0/16, cách nhau dấu phẩy / write networks like 10.1.0.0/16, with commas"
            ) from None
        return value

    @field_validator("ca_file")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value and not Path(value).is_file():
            raise ValueError("không có tệp này / there is no such file")
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        target = read_target(self.url, networks_of(self.private_networks))
        if isinstance(target, Words):
            raise ValueError(f"url: {target.message} {target.fix} / {target.message_en} {target.fix_en}")
        # an address is logged and shown; nothing is put into it
        named = [name for name, _ in parse_qsl(urlsplit(self.url).query, keep_blank_values=True)]
        if _SECRET.search(self.url) or any(_SECRET_PARAMETER.search(name) for name in named):
            raise ValueError(
                "url: không ghi khóa, mật khẩu vào địa chỉ, ghi ${TÊN_BIẾN} trong headers hoặc body / "
                "write no secret in the address, but ${A_VARIABLE} in headers or body"
            )
        return self


class GatewaysFile(_Part):
    gateways: tuple[GatewayPart, ...] = Field(min_length=1, max_length=10)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        channels = [gateway.channel for gateway in self.gateways]
        if twice := sorted({channel for channel in channels if channels.count(channel) > 1}):
            raise ValueError(f"gateways: {', '.join(twice)}: mỗi kênh một cổng / one gateway for a channel")
        return self


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent for one text."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway with its secrets filled in; never shown or logged."""

    part: GatewayPart
    secrets: Mapping[str, SecretStr]

    @property
    def channel(self) -> TextChannel:
        return self.part.channel

    @property
    def networks(self) -> Networks:
        return networks_of(self.part.private_networks)

    @property
    def target(self) -> Target:
        target = read_target(self.part.url, self.networks)
        assert isinstance(target, Target), "the file was checked"
        return target

    def request(self, number: str, text: str, message_id: str) -> Request:
        """The request for a text to a number (numbers.number_of)."""
        values = {"to": number_as(number, self.part.numbers), "text": text, "id": message_id}
        body = self.part.body
        headers = {name: self._filled(value, values) for name, value in self.part.headers.items()}
        if body.form is not None:
            form = urlencode({name: self._filled(value, values) for name, value in body.form.items()})
            return Request(form.encode(), {**headers, "content-type": "application/x-www-form-urlencoded"})
        content = json.dumps(self._filled_in(body.as_json, values), ensure_ascii=False)
        return Request(content.encode(), {**headers, "content-type": "application/json; charset=utf-8"})

    def _filled_in(self, value: Any, values: Mapping[str, str]) -> Any:
        if isinstance(value, dict):
            return {name: self._filled_in(inner, values) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._filled_in(inner, values) for inner in value]
        return self._filled(value, values) if isinstance(value, str) else value

    def _filled(self, text: str, values: Mapping[str, str]) -> str:
        # in one pass: what a value holds is no placeholder
        return re.sub(
            rf"{_SECRET.pattern}|{_PLACE.pattern}",
            lambda found: self.secrets[found[1]].get_secret_value() if found[1] else values[found[2]],
            text,
        )


def read_gateways(name: str, content: bytes) -> tuple[Gateway, ...]:
    """The gateways of a file (YAML, UTF-8). Raises GatewayFileError with every fault."""
    file, faults = read_model(content, name, GatewaysFile, max_bytes=MAX_FILE_BYTES, max_depth=MAX_DEPTH)
    if file is None:
        raise GatewayFileError("\n".join(faults))
    return tuple(
        Gateway(part, {name: SecretStr(os.environ[name]) for name in _secrets_of(part)}) for part in file.gateways
    )


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
    elif isinstance(value, str):
        yield name, value


def _secrets_of(part: GatewayPart) -> set[str]:
    texts = [text for _, text in _texts(part.body.as_json or part.body.form or {})]
    return {found for text in (*texts, *part.headers.values()) for found in _SECRET.findall(text)}


def _checked(text: str) -> None:
    for place in _ANY_PLACE.findall(text):
        if place not in ("to", "text", "id"):
            raise ValueError(
                f"{{{place}}}: chỉ có {{to}}, {{text}}, {{id}} / there are {{to}}, {{text}} and {{id}} only"
            )
    for variable in _SECRET.findall(text):
        if not _VARIABLE.fullmatch(variable):
            raise ValueError(f"${{{variable}}}: tên biến như SMS_TOKEN / a variable like SMS_TOKEN")
        if not os.environ.get(variable):
            raise ValueError(f"${{{variable}}}: chưa có trong môi trường / is not in the environment")
        if any(ord(letter) < 32 or ord(letter) > 126 for letter in os.environ[variable]):
            raise ValueError(f"${{{variable}}}: một dòng ký tự ASCII / one line of ASCII")


def _no_secret(name: str, text: str) -> None:
    if _SECRET_NAME.search(name) and not _SECRET.search(text):
        raise ValueError(
            f"{name}: không ghi mật khẩu vào tệp, ghi ${{TÊN_BIẾN}} / write no secret here, but ${{A_VARIABLE}}"
        )

"""Weak ETags of lists: a client that holds a page asks with If-None-Match, and gets 304 while the page is the same.

The tag is made of the page's bytes, so it needs no version of anything and can never be stale: the page is read all the
same, only not sent. A page is a JSON object whose first member is `items`; streams and other answers pass untouched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from starlette.types import Message, Scope, Send

_PAGE = b'{"items":'
_JSON = b"application/json"
_TAG = re.compile(rb'(?:W/)?"([^"]*)"')
#: what a 304 says nothing of: the content that it leaves out
_OF_CONTENT = (b"content-type", b"content-length")

Headers = Iterable[tuple[bytes, bytes]]


def tagged(scope: Scope, send: Send) -> Send:
    """The `send` of a GET; it tags a page, and sends a 304 in place of the one that the client has."""
    start: Message | None = None

    async def answer(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start" and _may_be_page(message):
            start = message
            return
        if start is not None:
            begun, start = start, None
            body = message.get("body", b"")
            if body.startswith(_PAGE) and not message.get("more_body", False):
                tag = _tag_of(body)
                begun["headers"] = [*begun["headers"], (b"etag", b'W/"' + tag + b'"')]
                if _is_held(scope["headers"], tag):
                    begun["status"] = 304
                    begun["headers"] = [pair for pair in begun["headers"] if pair[0] not in _OF_CONTENT]
                    message = {"type": "http.response.body", "body": b""}
            await send(begun)
        await send(message)

    return answer


def _may_be_page(start: Message) -> bool:
    return start["status"] == 200 and any(
        name == b"content-type" and value.startswith(_JSON) for name, value in start.get("headers", ())
    )


def _tag_of(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=12).hexdigest().encode()


def _is_held(headers: Headers, tag: bytes) -> bool:
    """Whether an If-None-Match names the tag, or `*` (RFC 9110, 13.1.2: compared weakly)."""
    held = [value for name, value in headers if name == b"if-none-match"]
    return any(value.strip() == b"*" or tag in _TAG.findall(value) for value in held)


def describe(document: dict[str, Any]) -> None:
    """Add the tag and the 304 to every list of an OpenAPI document."""
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        operation = operations.get("get")
        if operation is None or not _is_list(operation, schemas):
            continue
        operation.setdefault("parameters", []).append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": "`ETag` của trang đã có / of the page that you hold",
            }
        )
        operation["responses"]["200"].setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}
        operation["responses"]["304"] = {"description": "Trang không đổi / the page is the same"}


def _is_list(operation: dict[str, Any], schemas: dict[str, Any]) -> bool:
    schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    named = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    return "items" in named.get("properties", {})

"""Readable pages about the API and its problems, made from the OpenAPI document: nothing is fetched from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.web.errors import ProblemKind

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}

PROBLEM_RESPONSE: dict[str, Any] = {
    "description": "Lỗi, theo RFC 9457, tiếng Việt và tiếng Anh / A problem (RFC 9457), in Vietnamese and English",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
}

_TEXT = {"type": "string"}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "ProblemDetails",
    "description": "RFC 9457. `title`, `detail`, `message`, `fix`: ngôn ngữ theo Accept-Language (mặc định vi) /"
    " language by Accept-Language (vi by default); `_vi` and `_en` are always both there.",
    "required": ["type", "status", "title", "detail", "title_vi", "title_en", "detail_vi", "detail_en", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "status": {"type": "integer"},
        **dict.fromkeys(("title", "detail", "title_vi", "title_en", "detail_vi", "detail_en"), _TEXT),
        "instance": _TEXT,
        "request_id": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "pointer", "message", "fix"],
                "properties": {
                    "in": {"enum": ["body", "query", "path", "header", "cookie"]},
                    "pointer": {"type": "string", "description": "JSON Pointer (RFC 6901)"},
                    **dict.fromkeys(("message", "fix", "message_vi", "message_en", "fix_vi", "fix_en"), _TEXT),
                },
            },
        },
    },
}

_STYLE = """
body{font:16px/1.5 "Be Vietnam Pro",system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1a1a1a}
h2{border-top:1px solid #bbb;padding-top:1rem;font-size:1.15rem}code,pre{font-family:ui-monospace,monospace}
pre{background:#f4f4f2;padding:.75rem;overflow:auto}table{border-collapse:collapse}
td,th{border:1px solid #bbb;padding:.25rem .6rem;text-align:left;vertical-align:top}
.method{display:inline-block;min-width:4.5rem;font-weight:700}.en{color:#555}
"""


def add_problem_schema(app: FastAPI) -> None:
    """Put the problem's schema into the application's OpenAPI document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schema.setdefault("components", {}).setdefault("schemas", {})["ProblemDetails"] = PROBLEM_SCHEMA
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="vi"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )


def problems_page(title: str, kinds: Sequence[ProblemKind]) -> str:
    """What each kind of problem means and what to do about it."""
    parts = [f"<h1>Các loại lỗi <span class=en lang=en>/ Problems</span></h1><p>{escape(title)}</p>"]
    for kind in sorted(kinds, key=lambda kind: (kind.status, kind.slug)):
        parts.append(
            f'<h2 id="{escape(kind.slug)}">{kind.status} · {escape(kind.title)}'
            f" <span class=en lang=en>/ {escape(kind.title_en)}</span></h2><p><code>{escape(kind.type)}</code></p>"
            f"<p>{escape(kind.meaning)}</p><p class=en lang=en>{escape(kind.meaning_en)}</p>"
        )
    return _page("Các loại lỗi / Problems", "".join(parts))


def api_page(document: Mapping[str, Any]) -> str:
    """The OpenAPI document as one plain page."""
    info = document["info"]
    parts = [
        f"<h1>{escape(info['title'])}</h1><p>{escape(info.get('description', ''))}</p>"
        '<p>Tài liệu máy đọc được / machine-readable: <a href="/openapi.json">/openapi.json</a> ·'
        ' <a href="/problems">các loại lỗi / problems</a></p>'
    ]
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            parts.append(_operation(path, method, operation))
    schemas = document.get("components", {}).get("schemas", {})
    if schemas:
        parts.append("<h2>Cấu trúc dữ liệu <span class=en lang=en>/ Schemas</span></h2>")
    for name, schema in sorted(schemas.items()):
        shown = escape(json.dumps(schema, ensure_ascii=False, indent=1))
        parts.append(
            f'<details id="schema-{escape(name)}"><summary>{escape(name)}</summary><pre>{shown}</pre></details>'
        )
    return _page(info["title"], "".join(parts))


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<h2><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code></h2>'
        f"<p>{escape(operation.get('summary', ''))}</p>"
    ]
    if operation.get("description"):
        parts.append(f"<p>{escape(operation['description'])}</p>")
    if operation.get("parameters"):
        parts.append(
            "<table><tr><th>tham số / parameter</th><th>ở / in</th>"
            "<th>bắt buộc / required</th><th>ý nghĩa / meaning</th></tr>"
        )
        for parameter in operation["parameters"]:
            parts.append(
                f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
                f"<td>{'có / yes' if parameter.get('required') else '–'}</td>"
                f"<td>{escape(parameter.get('description', ''))}</td></tr>"
            )
        parts.append("</table>")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Nội dung gửi / request body <code>{escape(media)}</code>:</p>{_schema(content)}")
    parts.append("<p></p><table><tr><th>trả lời / answer</th><th>ý nghĩa / meaning</th><th>nội dung / body</th></tr>")
    for status, response in operation.get("responses", {}).items():
        schemas = ", ".join(_schema(content) for content in response.get("content", {}).values())
        meaning = escape(response.get("description", ""))
        parts.append(f"<tr><td>{escape(str(status))}</td><td>{meaning}</td><td>{schemas}</td></tr>")
    return "".join([*parts, "</table>"])


def _schema(content: Mapping[str, Any]) -> str:
    """A link to a named schema, the members of an object as a table, anything else as it is written."""
    schema = content.get("schema", {})
    name = escape(str(schema.get("$ref", "")).rpartition("/")[2])
    if name:
        return f'<a href="#schema-{name}">{name}</a>'
    if not schema.get("properties"):
        return f"<code>{escape(json.dumps(schema, ensure_ascii=False))}</code>" if schema else ""
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(member)}</code></td><td>{'có / yes' if member in required else '–'}</td>"
        f"<td>{escape(str(of.get('description', '')))} {_constraints(of)}</td></tr>"
        for member, of in schema["properties"].items()
    )
    return f"<table><tr><th>tên / member</th><th>bắt buộc / required</th><th>ý nghĩa / meaning</th></tr>{rows}</table>"


def _constraints(schema: Mapping[str, Any]) -> str:
    told = {name: value for name, value in schema.items() if name not in ("description", "title")}
    return f"<code>{escape(json.dumps(told, ensure_ascii=False))}</code>" if told else ""

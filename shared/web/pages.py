"""Pages about the problems that the API answers with, and their schema: nothing is fetched from outside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

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
.en{color:#555}
"""


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

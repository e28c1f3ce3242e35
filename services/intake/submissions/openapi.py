"""The OpenAPI entry of POST /v1/submissions, which has no FastAPI route to be read from."""

from __future__ import annotations

from typing import Any

from shared.reports.document import REPORT
from shared.reports.limits import (
    MAX_BODY_BYTES,
)
from shared.web.authentication import AGENCY_KEY
from shared.web.idempotency import MAX_IDEMPOTENCY_KEY_CHARACTERS
from shared.web.pages import PROBLEM_RESPONSE

DEADLINE: dict[str, Any] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
    "description": "Hạn của nghĩa vụ theo thông tin mới nhất; gia hạn hay ngày nghỉ công bố sau có thể dời; null: chưa "
    "biết / the obligation's deadline as far as it is known; an extension or a day off announced later may move it; "
    "null: not known yet",
}

RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["submission_id", "obligation", "version", "received_at", "deadline", "sha256", "status"],
    "properties": {
        "submission_id": {"type": "string", "format": "uuid"},
        "obligation": {"type": "string", "examples": ["H99.01/KTXH-THANG/2026-M10"]},
        "version": {"type": "integer", "minimum": 1},
        "received_at": {"type": "string", "format": "date-time", "description": "Giờ máy chủ / the server's time"},
        "deadline": DEADLINE,
        "sha256": {"type": "string", "description": "SHA-256 của nội dung đã gửi / of the exact body"},
        "status": {"const": "received"},
    },
}

DRY_RUN: dict[str, Any] = {
    "type": "object",
    "description": "Không lưu gì, không có biên nhận / nothing is stored, and this is no receipt",
    "required": ["dry_run", "obligation", "version", "received_at", "deadline", "regime_version", "validation"],
    "properties": {
        "dry_run": {"const": True},
        "obligation": {"type": "string", "examples": ["H99.01/KTXH-THANG/2026-M10"]},
        "version": {"type": "integer", "minimum": 1, "description": "Phiên bản nếu gửi lúc này / if it were sent now"},
        "received_at": {"type": "string", "format": "date-time", "description": "Giờ máy chủ / the server's time"},
        "deadline": DEADLINE,
        "regime_version": {"type": "integer", "minimum": 1},
        "validation": {
            "type": "string",
            "examples": ["/v1/validations?regime_version=2"],
            "description": "POST cùng nội dung đến đường dẫn này của validator / where the validator tries the content",
        },
    },
}

_PROBLEMS = {
    "400": "Không đọc được, hoặc thiếu Idempotency-Key / unreadable, or no Idempotency-Key",
    "401": "Thiếu khóa hoặc khóa hết hiệu lực / no live key",
    "403": "Khóa này không gửi báo cáo, hoặc không gửi chế độ này / a key that does not send, or not this regime",
    "409": "Không thay đổi, không phát sinh sau số liệu, quá nhiều phiên bản, hoặc cùng khóa đang xử lý / unchanged, "
    "NIL after accepted figures, too many versions, or the same key in progress",
    "413": f"Quá {MAX_BODY_BYTES} byte / over {MAX_BODY_BYTES} bytes",
    "415": "Không phải JSON / not JSON",
    "422": "Báo cáo chưa đúng, hoặc khóa đã dùng / not a good report, or the key was used",
    "429": "Quá nhiều yêu cầu / too many requests",
    "503": "Tạm thời chưa lưu được; gửi lại cùng khóa / not now; send again with the same key",
}


def _operation() -> dict[str, Any]:
    receipt = {"application/json": {"schema": {"$ref": "#/components/schemas/SubmissionReceipt"}}}
    either = {
        "application/json": {
            "schema": {
                "oneOf": [
                    {"$ref": "#/components/schemas/SubmissionReceipt"},
                    {"$ref": "#/components/schemas/SubmissionDryRun"},
                ]
            }
        }
    }
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    location = {"Location": {"schema": {"type": "string"}, "description": "/v1/submissions/{submission_id}"}}
    replayed = {**location, "Idempotent-Replayed": {"schema": {"const": "true"}}}
    return {
        "tags": ["submissions"],
        "operationId": "submit",
        "security": [{AGENCY_KEY: []}],
        "x-scope": "submit",
        "summary": "Gửi một báo cáo / submit a report",
        "description": "Biên nhận chỉ được trả sau khi báo cáo đã lưu bền vững. / A receipt means durably stored.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "pattern": f"^[!-~]{{1,{MAX_IDEMPOTENCY_KEY_CHARACTERS}}}$"},
                "description": "Gửi lại cùng khóa không bao giờ lưu hai lần / repeating it never stores twice",
            },
            {
                "name": "dry_run",
                "in": "query",
                "required": False,
                "schema": {"type": "boolean", "default": False},
                "description": "Chỉ xem báo cáo có được nhận không; không lưu, không cần Idempotency-Key / only say "
                "whether it would be taken; nothing is stored, no Idempotency-Key is needed",
            },
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Report"}}},
        },
        "responses": {
            "201": {"description": "Đã lưu / stored", "content": receipt, "headers": location},
            "200": {
                "description": "Đã lưu từ trước, hoặc kiểm tra thử / stored before, or a dry run",
                "content": either,
                "headers": replayed,
            },
            **{status: {"description": text, "content": problem} for status, text in _PROBLEMS.items()},
            "default": PROBLEM_RESPONSE,
        },
    }


def add_submission_operation(document: dict[str, Any]) -> None:
    """Add the operation to the application's OpenAPI document."""
    document["components"]["schemas"] |= {"Report": REPORT, "SubmissionReceipt": RECEIPT, "SubmissionDryRun": DRY_RUN}
    document["paths"].setdefault("/v1/submissions", {}).setdefault("post", _operation())

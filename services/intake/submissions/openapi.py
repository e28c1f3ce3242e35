"""The OpenAPI entry of POST /v1/submissions, which has no FastAPI route to be read from."""

from __future__ import annotations

from typing import Any

from services.intake.submissions.limits import (
    MAX_BODY_BYTES,
    MAX_CELL_CHARACTERS,
    MAX_COLUMNS,
    MAX_FIGURE_CHARACTERS,
    MAX_FIGURES,
    MAX_IDEMPOTENCY_KEY_CHARACTERS,
    MAX_NARRATIVE_CHARACTERS,
    MAX_NARRATIVES,
    MAX_NIL_REASON_CHARACTERS,
    MAX_TABLE_ROWS,
    MAX_TABLES,
)

#: the security scheme of an agency's API key
AGENCY_KEY = "agencyKey"

_CODE = {"type": "string", "pattern": "^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$"}

REPORT: dict[str, Any] = {
    "type": "object",
    "examples": [
        {
            "regime": "KTXH-THANG",
            "period": "2026-M10",
            "officer": "DM1-H99.131",
            "figures": {"A01": 128.5, "A02": "64.500"},
            "narratives": {"M1": "Kết quả thực hiện nhiệm vụ trong tháng: …"},
        }
    ],
    "additionalProperties": False,
    "required": ["regime", "period", "officer"],
    "properties": {
        "regime": {**_CODE, "description": "Mã chế độ báo cáo / code of the regime", "examples": ["KTXH-THANG"]},
        "period": {**_CODE, "description": "Kỳ báo cáo / the period", "examples": ["2026-M10", "2026-W07", "2026-Q3"]},
        "officer": {**_CODE, "description": "Mã cán bộ đầu mối / id of the reporting officer"},
        "nil": {"type": "boolean", "default": False, "description": "Không phát sinh / nothing to report"},
        "nil_reason": {
            "type": "string",
            "maxLength": MAX_NIL_REASON_CHARACTERS,
            "description": "Vì sao không phát sinh; bắt buộc với nil, và chỉ khi đó / why, with nil and only then",
        },
        "declines": {
            "enum": ["refusal", "referral"],
            "description": "Từ chối hoặc chuyển một yêu cầu thông tin, cùng nil và nil_reason / an information request "
            "is refused or referred, with nil and nil_reason",
        },
        "refer_to": {**_CODE, "description": "Với referral: cơ quan có thông tin / with a referral: whom to ask"},
        "figures": {
            "type": "object",
            "maxProperties": MAX_FIGURES,
            "propertyNames": _CODE,
            "additionalProperties": {
                "oneOf": [
                    {"type": "number"},
                    {"type": "string", "maxLength": MAX_FIGURE_CHARACTERS},
                    {"type": "null"},
                ]
            },
            "description": "Chỉ tiêu theo mã; số giữ nguyên từng chữ số / figures by code, kept digit for digit",
        },
        "narratives": {
            "type": "object",
            "maxProperties": MAX_NARRATIVES,
            "propertyNames": _CODE,
            "additionalProperties": {"type": "string", "maxLength": MAX_NARRATIVE_CHARACTERS},
            "description": "Thuyết minh theo mục / narratives by section",
        },
        "tables": {
            "type": "object",
            "maxProperties": MAX_TABLES,
            "propertyNames": _CODE,
            "additionalProperties": {
                "type": "array",
                "maxItems": MAX_TABLE_ROWS,
                "items": {
                    "type": "object",
                    "maxProperties": MAX_COLUMNS,
                    "propertyNames": _CODE,
                    "additionalProperties": {
                        "oneOf": [
                            {"type": "number"},
                            {"type": "string", "maxLength": MAX_CELL_CHARACTERS},
                            {"type": "null"},
                        ]
                    },
                },
            },
            "description": "Dòng của từng bảng, ô theo mã cột / the rows of each table, cells by column",
            "examples": [{"T01": [{"TEN": "Rà soát thủ tục hành chính", "HAN": "2026-09-30", "TY_LE": 62.5}]}],
        },
        "classification": {
            "enum": ["public", None],
            "description": "Không nhận báo cáo mật / classified reports are refused",
        },
        "classified": {
            "type": "boolean",
            "default": False,
            "description": "Không nhận báo cáo mật / classified reports are refused",
        },
    },
}

RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["submission_id", "obligation", "version", "received_at", "sha256", "status"],
    "properties": {
        "submission_id": {"type": "string", "format": "uuid"},
        "obligation": {"type": "string", "examples": ["H99.01/KTXH-THANG/2026-M10"]},
        "version": {"type": "integer", "minimum": 1},
        "received_at": {"type": "string", "format": "date-time", "description": "Giờ máy chủ / the server's time"},
        "sha256": {"type": "string", "description": "SHA-256 của nội dung đã gửi / of the exact body"},
        "status": {"const": "received"},
    },
}

_PROBLEMS = {
    "400": "Không đọc được, hoặc thiếu Idempotency-Key / unreadable, or no Idempotency-Key",
    "401": "Thiếu khóa hoặc khóa hết hiệu lực / no live key",
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
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Report"}}},
        },
        "responses": {
            "201": {"description": "Đã lưu / stored", "content": receipt, "headers": location},
            "200": {"description": "Đã lưu từ trước / stored before", "content": receipt, "headers": replayed},
            **{status: {"description": text, "content": problem} for status, text in _PROBLEMS.items()},
        },
    }


def add_submission_operation(document: dict[str, Any]) -> None:
    """Add the operation to the application's OpenAPI document."""
    document["components"]["schemas"] |= {"Report": REPORT, "SubmissionReceipt": RECEIPT}
    document["paths"].setdefault("/v1/submissions", {}).setdefault("post", _operation())

"""How a report is described in OpenAPI documents."""

from __future__ import annotations

from typing import Any

from shared.reports.limits import (
    MAX_CELL_CHARACTERS,
    MAX_COLUMNS,
    MAX_FIGURE_CHARACTERS,
    MAX_FIGURES,
    MAX_NARRATIVE_CHARACTERS,
    MAX_NARRATIVES,
    MAX_NIL_REASON_CHARACTERS,
    MAX_TABLE_ROWS,
    MAX_TABLES,
)

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

"""Gives every answer, body and problem in an OpenAPI document an example, made of what its fields are called.

A field's own `examples` come first, then what a field of its name holds in the sample province, then its format. The
same agency, regime and period run through all examples of all services, so that they can be read together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.web.errors import KINDS, FieldError, Problem

#: stands where no example is known; a test finds it
UNKNOWN = "(no example)"

_AGENCY, _REGIME, _PERIOD = "H99.131", "KTXH-THANG", "2026-M10"
_MOMENT = "2026-10-16T09:30:00+07:00"
_ID = "01932f5e-7a10-7cc3-98c4-dc0c0c07398f"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

BY_NAME: Mapping[str, Any] = {
    "after": "granted",
    "action": "key_revoked",
    "agencies": _AGENCY,
    "agency": _AGENCY,
    "agency_name": "Ủy ban nhân dân xã Thượng Nguyên",
    "answer": "250 2.0.0 Ok: queued",
    "approved_by": "VP-H99",
    "asked_by": "DM1-H99.131",
    "assert": "[A01] = [A02] + [A03] + [A04]",
    "at": "A01",
    "before": "proposed",
    "by": "nguyen-van-a",
    "calendar_version": "vn-2026-1",
    "cause": "Nộp đúng hạn",
    "cause_en": "Sent in time",
    "channel": "email",
    "choices": "Đất đai",
    "clause": "1.a",
    "clause_text": "Nộp đúng hạn: 60 điểm",
    "clause_text_en": "Sent in time: 60 points",
    "code": "A01",
    "compared_with": _ID,
    "looked_up": "NHOM-DU-AN/1",
    "component": "timeliness",
    "cutoff_rule": "Từ ngày 15 tháng trước đến hết ngày 14 tháng báo cáo",
    "cutoff_rule_en": "From the 15th of the month before to the 14th of the reporting month",
    "deadline_rule": "17:00 ngày 18 tháng báo cáo",
    "deadline_rule_en": "17:00 on the 18th of the reporting month",
    "deadline_override_reason": "Xã đảo, hồ sơ về đất liền theo chuyến tàu",
    "parents": "H99",
    "decided_by": "vp-h99",
    "decision_reason": "Biểu mẫu được sửa từ tháng 01/2027",
    "difference": "3",
    "email": "dm1.h99-131@h99.example",
    "error": "CalendarGap: 2028",
    "example_note": "Thân mẫu, gửi được ngay",
    "example_note_en": "A body that is accepted as it is",
    "expected": "128",
    "expression": "[A02] + [A03]",
    "fires": "KT-01",
    "findings": "C01",
    "fix": "Sửa lại tổng hoặc các số hạng.",
    "fix_en": "Correct the total or its terms.",
    "from_message_id": "<01932f5e@thongsuot.example>",
    "from_reason": "no_answer",
    "from_recipient": "dm1.h99-131@h99.example",
    "from_state": "unknown",
    "id": "KT-01",
    "key": f"agency/{_AGENCY}",
    "key_id": "0123456789abcdef",
    "kid": "9XlZMS0Zq8Zt1u8LrfAWr7aNMUMnkCeHcnKQ9eZ7NlE",
    "kind": "reminder",
    "label": "Hồ sơ tiếp nhận",
    "legal_basis": "Nghị định 09/2019/NĐ-CP, Điều 13",
    "maximum": "100000",
    "meaning": "Tổng không bằng các số hạng cộng lại.",
    "meaning_en": "The total is not the sum of its terms.",
    "message": "Tổng A01 là 125, các số hạng cộng lại là 128.",
    "message_en": "The total A01 is 125, its terms sum to 128.",
    "message_id": "<01932f5e@thongsuot.example>",
    "minimum": "0",
    "name": "Ủy ban nhân dân xã Thượng Nguyên",
    "name_en": "People's Committee of Thuong Nguyen Commune",
    "next": "eyJhZnRlciI6IDF9",
    "obligation": f"{_AGENCY}/{_REGIME}/{_PERIOD}",
    "obligations": f"{_AGENCY}/{_REGIME}/{_PERIOD}",
    "officer": "DM1-H99.131",
    "officer_id": "DM1-H99.131",
    "outcome": "accepted",
    "parent": "H99",
    "path": "/figures/A01",
    "period": _PERIOD,
    "points": "60.000",
    "policy_version": "2026-1",
    "proposed_by": "nguyen-van-a",
    "provided": "125",
    "reason": "Mất điện toàn huyện",
    "receiver": "H99",
    "recipient": "dm1.h99-131@h99.example",
    "regime": _REGIME,
    "regime_name": "Báo cáo tháng tình hình kinh tế – xã hội",
    "regime_name_en": "Monthly report on the socio-economic situation",
    "regimes": _REGIME,
    "relief_id": "GH-20261016-3f0a9c1b7d",
    "reliefs": "GH-20261016-3f0a9c1b7d",
    "rework_reason": "Số liệu mục A02 chưa khớp biên bản",
    "row": "LINH_VUC",
    "rule_pack": "0f3a9c1b2d4e",
    "rule": "KT-01",
    "score": "100.000",
    "severity": "error",
    "sha256": _SHA256,
    "content_sha256": _SHA256,
    "signature": "kyc1Y3Y0dXJlX29mXzY0X2J5dGVz",
    "stage": "data",
    "standing": "fulfilled",
    "standing_en": "fulfilled",
    "standing_vi": "đã nộp, đạt",
    "state": "sent",
    "status": "received",
    "step": "due_soon",
    "held": "quiet_until:2026-10-20T08:15:00+07:00",
    "next_contact": "person:DM2-H99.131",
    "subject": f"{_AGENCY}/{_REGIME}/{_PERIOD}",
    "successors": "H99.133",
    "sweep": "deadline",
    "table": "T01",
    "terms": "A02",
    "text": "Báo cáo được chấp nhận",
    "text_en": "The report is accepted",
    "text_vi": "Nộp đúng hạn: 60 điểm",
    "tier": "consistency",
    "title": "Chuyên viên",
    "tolerance": "0.5",
    "tolerance_percent": "1",
    "total": "A01",
    "transferred_from": "H99.132",
    "transferred_to": "H99.133",
    "unit": "hồ sơ",
    "version": 1,
    "waiver_id": "MN-01932f5e7a107cc398c4dc0c0c07398f",
    "when": "[A01] > 0",
    "why": "mất máy",
    "withdrawn_at": _MOMENT,
    "worker": "notifier-1",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
_BY_FORMAT: Mapping[str, Any] = {
    "date-time": _MOMENT,
    "date": "2026-10-14",
    "uuid": _ID,
    "uri": "https://bao-cao.example/thong-bao",
    "uri-reference": "/problems/unprocessable",
}


def add_examples(document: dict[str, Any]) -> None:
    """Put an example into an OpenAPI document for each JSON answer, each body and each problem that lacks one."""
    components = document.setdefault("components", {})
    components["examples"] = {slug: {"value": _problem(slug)} for slug in sorted(KINDS)}
    for operations in document["paths"].values():
        for operation in operations.values():
            _fill(operation, components.get("schemas", {}))


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "") -> Any:
    """A value of this schema. `name`: of the field that holds it; `schemas`: what `$ref` names."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    for given in ("example", "const"):
        if given in schema:
            return schema[given]
    if schema.get("examples"):
        return schema["examples"][0]
    for choices in ("anyOf", "oneOf", "allOf"):
        if choices in schema:
            options = [option for option in schema[choices] if option.get("type") != "null"]
            return example_of(options[0], schemas, name) if options else None
    if "enum" in schema:
        known = BY_NAME.get(name)
        return known if known in schema["enum"] else schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {field: example_of(inner, schemas, field) for field, inner in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema["items"], schemas, name)] if schema.get("items") else []
        case "boolean":
            return bool(schema.get("default", False))
        case "integer" | "number":
            known = BY_NAME.get(name)
            return known if isinstance(known, int) else max(1, schema.get("minimum", 1))
        case "string":
            return _text(schema, name)
        case "null":
            return None
    return {}


def _text(schema: Mapping[str, Any], name: str) -> Any:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    known = BY_NAME.get(name)
    return known if isinstance(known, str) else schema.get("default", UNKNOWN)


def _fill(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    answers = []
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type == "application/problem+json":
                content["examples"] = {
                    slug: {"$ref": f"#/components/examples/{slug}"}
                    for slug, kind in sorted(KINDS.items())
                    if status in ("default", str(kind.status))
                }
            elif media_type == "application/json":
                answers.append(content)
    for content in (*bodies, *answers):
        if not {"example", "examples"} & content.keys() and "schema" in content:
            content["example"] = example_of(content["schema"], schemas)


def _problem(slug: str) -> dict[str, Any]:
    """The problem as a client meets it, in Vietnamese with English beside it."""
    kind = KINDS[slug]
    errors = [_FAULT] if kind.status in (400, 422) else []
    return Problem.of(kind, errors=errors).document("vi", instance="/v1/submissions", request_id=_REQUEST_ID)


_REQUEST_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
_FAULT = FieldError(
    "/period",
    "Kỳ “2026-M13” không có.",
    "There is no period “2026-M13”.",
    "Ghi tháng từ 01 đến 12, ví dụ 2026-M10.",
    "Write a month from 01 to 12, such as 2026-M10.",
)

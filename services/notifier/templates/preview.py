"""Writes every variant of every letter to files, for an operator to see before the first mail goes out."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from services.notifier.delivery.ledger import ClaimedMail
from services.notifier.delivery.states import Progress, message_id
from services.notifier.planning.domain import LetterFacts
from services.notifier.templates import Composer
from services.notifier.templates.compose import LETTER_FACTS
from services.notifier.templates.words import DECISIONS
from shared.runtime.clock import LOCAL_ZONE

_DEADLINE = datetime(2026, 10, 19, 17, 0, tzinfo=LOCAL_ZONE)
_NAMES: dict[str, str | None] = {
    "regime_name": "Báo cáo tình hình kinh tế – xã hội hằng tháng",
    "regime_name_en": "Monthly socio-economic report",
    "legal_basis": "Nghị định 09/2019/NĐ-CP, Điều 7, 12, 13",
    "nil_allowed": "true",
    "request_title": None,
    "request_title_en": None,
    "request_legal_basis": None,
    "policy": (
        '{"policy_version": "2019.1", "off_per_working_day": 10, "timeliness_full": 60, "timeliness_floor": 0,'
        ' "timeliness_overdue": 0, "off_within_grace": null, "clauses": [{"rule": "late", "clause": "1.b"},'
        ' {"rule": "overdue", "clause": "1.c"}]}'
    ),
}
_MATTERS: tuple[dict[str, str | None], ...] = tuple(
    {
        "notice": str(UUID(int=place)),
        "obligation": f"{code}/BC-KTXH-THANG/{period}",
        "kind": kind,
        "agency": agency,
        "agency_en": agency_en,
        "regime": "Báo cáo tình hình kinh tế – xã hội hằng tháng",
        "regime_en": "Monthly socio-economic report",
        "period": period,
        "request": "Thiệt hại do bão số 9" if period.startswith("DX") else "",
        "request_en": "Damage by storm no. 9" if period.startswith("DX") else "",
        "deadline": _DEADLINE.isoformat(),
        "standing": "returned" if place == 2 else "nothing_sent",
        "resolution": "answered" if kind == "resolved" else "",
        "decision": "",
        "next_role": "chair" if kind == "escalation" and place < 3 else "",
        "next_at": (_DEADLINE + timedelta(days=9)).replace(hour=8).isoformat() if place < 3 else None,
        "held": "silence:0" if place == 4 else "",
    }
    for place, (kind, code, agency, agency_en, period) in enumerate(
        (
            ("escalation", "H99.12", "Sở Nông nghiệp và Môi trường", "Department of Agriculture and Environment",
             "2026-M09"),
            ("escalation", "H99.X07", "Ủy ban nhân dân xã Tân Lập", "People's Committee of Tân Lập", "DX-2026-003"),
            ("overdue", "H99.X11", "Ủy ban nhân dân phường Hòa Bình", "People's Committee of Hòa Bình", "2026-M09"),
            ("reminder", "H99.X12", "Ủy ban nhân dân xã Đồng Tâm", "People's Committee of Đồng Tâm", "2026-M10"),
            ("resolved", "H99.X13", "Ủy ban nhân dân xã An Khê", "People's Committee of An Khê", "2026-M09"),
        ),
        1,
    )
)  # fmt: skip
_NAMED_MATTERS: tuple[dict[str, str | None], ...] = tuple(
    {
        **_MATTERS[0],
        "notice": str(UUID(int=20 + place)),
        "obligation": f"{code}/BC-KTXH-THANG/2026-M10",
        "kind": "named",
        "agency": agency,
        "agency_en": agency_en,
        "period": "2026-M10",
        "standing": "",
        "next_role": "",
        "next_at": None,
        "version": str(place),
        "received_at": (_DEADLINE - timedelta(hours=8 - place)).isoformat(),
    }
    for place, (code, agency, agency_en) in enumerate(
        (
            ("H99.12", "Sở Nông nghiệp và Môi trường", "Department of Agriculture and Environment"),
            ("H99.12.01", "Chi cục Kiểm lâm", "Forest Protection Office"),
        ),
        1,
    )
)
_LINES = tuple(
    {name: matter[name] for name in ("obligation", "agency", "agency_en", "regime", "regime_en", "period", "request",
                                     "request_en", "standing", "deadline")}
    for matter in _MATTERS
)  # fmt: skip
_TERMS = {"rule": "day_of_month", "day": 18, "hour": 17, "minute": 0, "month_offset": 0, "extra_working_days": 0}
_CHANGE: dict[str, object] = {
    "version": 2, "before": 1, "effective_from": "2027-01-01", "compared": True, "frequency": "monthly",
    "frequency_before": "", "deadline": {**_TERMS, "day": 15}, "deadline_before": _TERMS, "cutoff": {"day": 12},
    "certification": "head", "reason": "Sửa theo Thông tư mới về báo cáo thống kê.",
    "added": [
        {"code": "A07", "label": "Số doanh nghiệp thành lập mới", "label_en": "Enterprises newly founded"},
        {"code": "T02", "label": "Bảng dự án chậm giải ngân", "label_en": ""},
    ],
    "added_left_out": 0,
    "removed": [{"code": "A03", "label": "Số hộ nghèo", "label_en": "Poor households"}], "removed_left_out": 0,
    "changed": [{"code": "A01", "label": "Thu ngân sách", "label_en": "Budget revenue"}], "changed_left_out": 3,
}  # fmt: skip
_FIRST_VERSION = _CHANGE | {
    "version": 1, "before": None, "compared": False, "deadline_before": None, "cutoff": None, "certification": "",
    "reason": "", "added": [], "removed": [], "changed": [], "changed_left_out": 0,
}  # fmt: skip
_REGIME_MATTERS = tuple(
    {**_MATTERS[place], "kind": "regime", "deadline": None, "standing": "", "next_role": "", "next_at": None,
     "period": f"version/{change['version']}", "request": "", "request_en": "", "held": "", "regime_change": change}
    for place, change in enumerate((_CHANGE, _FIRST_VERSION))
)  # fmt: skip
_DAILY: dict[str, object] = {
    "kind": "daily",
    "on": "2026-10-26",
    "since": (_DEADLINE - timedelta(days=1)).isoformat(),
    "at": datetime(2026, 10, 26, 8, 15, tzinfo=LOCAL_ZONE).isoformat(),
    "soon": datetime(2026, 10, 30, tzinfo=LOCAL_ZONE).isoformat(),
    "overdue": _LINES[:3],
    "overdue_total": 45,
    "due": [_LINES[3] | {"deadline": (_DEADLINE + timedelta(days=9)).isoformat(), "period": "2026-M10"}],
    "due_total": 1,
    "scores": (),
    "scores_total": 0,
    "scores_mean": "",
    "receipts": (),
    "receipts_total": 0,
    "sha256": "",
}
_WEEKLY: dict[str, object] = {
    **_DAILY,
    "kind": "weekly",
    "since": datetime(2026, 10, 19, 8, 15, tzinfo=LOCAL_ZONE).isoformat(),
    "scores": [_LINES[2] | {"score": "6.5", "deadline": None}, _LINES[4] | {"score": "10", "deadline": None}],
    "scores_total": 2,
    "scores_mean": "8.25",
    "receipts": [_LINES[0] | {"version": "2", "received_at": (_DEADLINE - timedelta(hours=8)).isoformat()}],
    "receipts_total": 1,
}
_REQUEST: dict[str, str | None] = {
    **_NAMES,
    "regime_name": "Báo cáo đột xuất về thiên tai",
    "regime_name_en": "Ad hoc report on disasters",
    "nil_allowed": "false",
    "request_title": "Thiệt hại do bão số 9",
    "request_title_en": "Damage by storm no. 9",
    "request_legal_basis": "Công văn 1234/UBND-NN ngày 12/10/2026",
}
_ASKED: dict[str, str | None] = {
    **_REQUEST,
    "question": "Số hộ bị ngập, diện tích lúa mất trắng và nhu cầu hỗ trợ giống, tính đến hết ngày 14/10/2026.",
    "asked_by": "Sở Tài chính",
    "asked_by_en": "Department of Finance",
}
_NOT_JUDGED: dict[str, str | None] = {
    "code": "X01",
    "severity": "warning",
    "path": "",
    "provided": None,
    "expected": None,
    "difference": None,
    "message": "Hệ thống chưa kiểm tra được báo cáo: nhóm kiểm tra “Thuyết minh” dùng quá 1,5 giây xử lý khi đang kiểm "
    "tra nhóm “Thuyết minh”, mục N01.",
    "message_en": 'The system could not judge the report: the checks of the tier "narrative" took more than 1.5 s of '
    'processing while checking the tier "narrative", item N01.',
    "fix": "Cơ quan chưa phải làm gì.",
    "fix_en": "Nothing is asked of the agency.",
}
_FINDINGS: tuple[dict[str, str | None], ...] = (
    {
        "code": "SUM",
        "severity": "error",
        "path": "/figures/A10",
        "provided": "1250.5",
        "expected": "1205.5",
        "difference": "45.0",
        "message": "Tổng thu ngân sách không bằng tổng các khoản A11 + A12",
        "message_en": "Total revenue does not equal A11 + A12",
        "fix": "Kiểm tra lại A10, A11 và A12; sửa số nào sai.",
        "fix_en": "Check A10, A11 and A12 and correct whichever is wrong.",
    },
    {
        "code": "MISSING",
        "severity": "error",
        "path": "/narratives/KHO_KHAN",
        "provided": None,
        "expected": "ít nhất 100 ký tự",
        "difference": None,
        "message": "Thiếu phần “Khó khăn, vướng mắc”",
        "message_en": "The section “Difficulties” is missing",
        "fix": "Bổ sung nội dung; nếu không có khó khăn, ghi rõ là không có.",
        "fix_en": "Write it; if there were none, say so.",
    },
    {
        "code": "HISTORY",
        "severity": "warning",
        "path": "/figures/A12",
        "provided": "9800",
        "expected": "400–1200",
        "difference": None,
        "message": "Gấp 9 lần trung bình 12 kỳ trước",
        "message_en": "Nine times the mean of the last twelve periods",
        "fix": "Kiểm tra đơn vị tính (triệu hay tỷ đồng).",
        "fix_en": "Check the unit (million or billion dong).",
    },
)
_REPORTS: tuple[dict[str, str], ...] = tuple(
    {
        "obligation": f"H99.12/{code}/{period}",
        "regime": str(names["regime_name"]),
        "regime_en": str(names["regime_name_en"]),
        "period": period,
        "request": names["request_title"] or "",
        "request_en": names["request_title_en"] or "",
        "version": version,
        "received_at": (_DEADLINE - timedelta(hours=hours)).isoformat(),
    }
    for code, period, names, version, hours in (
        ("BC-KTXH-THANG", "2026-M10", _NAMES, "2", 8),
        ("BC-THIENTAI-DX", "DX-2026-003", _REQUEST, "1", 7),
    )
)


def samples() -> dict[str, ClaimedMail]:
    """File name -> a notice as the dispatcher claims it; figures and names are invented."""

    def facts(**changes: object) -> LetterFacts:
        base: dict[str, object] = {
            "recipient_name": "Nguyễn Thị Hồng Ánh",
            "recipient_title": "Chuyên viên Văn phòng",
            "agency": "H99.12",
            "agency_name": "Sở Nông nghiệp và Môi trường",
            "agency_name_en": "Department of Agriculture and Environment",
            "regime": "BC-KTXH-THANG",
            "regime_version": 1,
            "period": "2026-M10",
            "deadline": _DEADLINE,
            "standing": "nothing_sent",
        }
        return LETTER_FACTS.validate_python({**base, **changes})

    with_head = {
        "head_title": "Chủ tịch UBND tỉnh",
        "head_agency": "Ủy ban nhân dân tỉnh",
        "head_agency_en": "Provincial People's Committee",
    }
    head = {"recipient_name": "Trần Quốc Vượng", "recipient_title": "Giám đốc Sở"}
    returned = {
        "standing": None,
        "submission_version": 2,
        "received_at": _DEADLINE - timedelta(hours=7),
        "errors": 2,
        "warnings": 1,
        "findings": _FINDINGS,
    }
    passed = {"standing": None, "submission_version": 2, "received_at": _DEADLINE - timedelta(hours=7)}
    asked = {
        "decision_reason": "Mất điện toàn xã, có xác nhận của Điện lực.",
        "asked_at": _DEADLINE - timedelta(hours=8),
        "asked_reason": "Mất điện từ sáng, chưa tổng hợp được số liệu.",
    }
    late = _DEADLINE + timedelta(minutes=5)
    letters = {
        "reminder": ("reminder", "due_soon", facts(), _DEADLINE - timedelta(days=3)),
        "reminder-returned": ("reminder", "due_soon", facts(standing="returned"), _DEADLINE - timedelta(days=3)),
        "reminder-of-request": ("reminder", "due_soon", facts(period="DX-2026-003"), _DEADLINE - timedelta(days=1)),
        "overdue-nothing-sent": ("overdue", "overdue", facts(**with_head), late),
        "overdue-nobody-above": ("overdue", "overdue", facts(), late),
        "overdue-returned": ("overdue", "overdue", facts(standing="returned"), late + timedelta(days=3)),
        "returned": ("returned", "returned/2", facts(**returned, named=True), _DEADLINE - timedelta(hours=6)),
        "named": ("named", "named", facts(standing=None, reports=_REPORTS[:1]), _DEADLINE - timedelta(hours=6)),
        "named-in-several": (
            "named",
            "named",
            facts(standing=None, reports=_REPORTS, reports_left_out=3),
            _DEADLINE - timedelta(hours=6),
        ),
        "returned-by-reviewer": (
            "returned",
            "rework/2/0123456789ab",
            facts(
                submission_version=2,
                received_at=returned["received_at"],
                rework=True,
                rework_reason="Mục đánh giá chưa nêu nguyên nhân chậm giải ngân.",
                rework_until=_DEADLINE + timedelta(days=3),
            ),
            _DEADLINE - timedelta(hours=6),
        ),
        "returned-after-acceptance": (
            "returned",
            "returned/3",
            facts(**{**returned, "submission_version": 3, "accepted_version": 1, "findings_left_out": 12}),
            late,
        ),
        "certification": (
            "certification",
            "certify/2",
            facts(**head, **passed, certify_by=_DEADLINE + timedelta(days=7)),
            _DEADLINE - timedelta(hours=6),
        ),
        "certification-late": ("certification", "certify/2", facts(**head, **passed, certify_by=_DEADLINE), late),
        "not-judged": (
            "not_judged",
            "not_judged/2",
            facts(**passed, findings=(_NOT_JUDGED,)),
            _DEADLINE - timedelta(hours=6),
        ),
        "withdrawal": (
            "withdrawal",
            "withdrawal/0",
            facts(**passed, decision="withdrawn", decision_role="head", decision_reason="Gửi nhầm kỳ báo cáo."),
            late,
        ),
        **{
            f"decision-{name}": (
                "decision",
                f"decision/{name}",
                facts(
                    **passed,
                    **asked,
                    decision=kind,
                    decision_role="provincial_office",
                    decision_effect=effect,
                    decision_since=_DEADLINE if effect == "relief" else None,
                    decision_until=_DEADLINE + timedelta(days=3),
                ),
                late,
            )
            for name, kind, effect in (
                *((kind, kind, "") for kind in DECISIONS if kind != "appeal_upheld"),
                ("appeal_relief", "appeal_upheld", "relief"),
                ("appeal_accepted", "appeal_upheld", "accepted"),
            )
        },
        "escalation": (
            "escalation",
            "overdue/rung-1",
            facts(
                **head,
                officer_name="Nguyễn Thị Hồng Ánh",
                rung=1,
                next_role="provincial_office",
                next_at=_DEADLINE.replace(day=22, hour=8),
            ),
            late,
        ),
        "escalation-higher": (
            "escalation",
            "overdue/rung-t+3d",
            facts(
                recipient_name="Phạm Thị Lan",
                recipient_title="Chánh Văn phòng UBND tỉnh",
                officer_name="Nguyễn Thị Hồng Ánh",
                ladder_rung="t+3d",
                told_earlier=("Trần Quốc Vượng, Giám đốc Sở (19/10/2026)",),
                next_role="chair",
                next_at=_DEADLINE.replace(day=28, hour=8),
            ),
            late + timedelta(days=3),
        ),
        "escalation-handed-on": (
            "escalation",
            "overdue/rung-t+7d/to-PCT-H99",
            facts(
                recipient_name="Hoàng Văn Minh",
                recipient_title="Phó Chủ tịch UBND tỉnh",
                officer_name="Nguyễn Thị Hồng Ánh",
                ladder_rung="t+7d",
                handed_on_by="Lê Văn Đức, Chủ tịch UBND tỉnh",
                handed_on_why="Đồng chí phụ trách khối nông nghiệp.",
            ),
            late + timedelta(days=8),
        ),
        "group": ("escalation", "overdue/rung-t+7d", facts(**head, matters=_MATTERS), late + timedelta(days=9)),
        "group-named": (
            "named",
            "named",
            facts(standing=None, reports=_REPORTS[:1], matters=_NAMED_MATTERS),
            _DEADLINE - timedelta(hours=3),
        ),
        **{
            f"digest-{content['kind']}": (
                "digest",
                f"digest/{content['kind']}/2026-10-26",
                facts(**head, standing=None, deadline=None, digest=content),
                datetime(2026, 10, 26, 8, 15, tzinfo=LOCAL_ZONE),
            )
            for content in (_DAILY, _WEEKLY)
        },
        **{
            f"regime-{name}": (
                "regime",
                f"regime/{change['version']}",
                facts(standing=None, deadline=None, period=f"version/{change['version']}", regime_change=change),
                _DEADLINE,
            )
            for name, change in (("version", _CHANGE), ("first", _FIRST_VERSION))
        },
        "group-regimes": (
            "regime",
            "regime/2",
            facts(standing=None, deadline=None, period="version/2", regime_change=_CHANGE, matters=_REGIME_MATTERS),
            _DEADLINE,
        ),
        "resolved": (
            "resolved",
            "overdue/resolved",
            facts(**head, standing="fulfilled", rung=1, resolution="answered"),
            late + timedelta(days=4),
        ),
        "escalation-climbed": (
            "escalation",
            "overdue/rung-2",
            facts(
                recipient_name="Lê Văn Đức",
                recipient_title="Chủ tịch UBND tỉnh",
                rung=2,
                passed_over=("Sở Nông nghiệp và Môi trường",),
                passed_over_en=("Department of Agriculture and Environment",),
            ),
            late + timedelta(hours=30),
        ),
        "request": ("request", "request", facts(period="DX-2026-003"), _DEADLINE - timedelta(days=6)),
        "request-for-information": ("request", "request", facts(period="DX-2026-003"), _DEADLINE - timedelta(days=6)),
    }
    return {
        name: ClaimedMail(
            progress=Progress(UUID(int=number), 1, 0, 0, at),
            token=UUID(int=number),
            obligation=f"H99.12/BC-KTXH-THANG/{letter.period}",
            kind=kind,
            step=step,
            recipient="can.bo@so-nnmt.h99.example",
            message_id=message_id(name, step, "preview", "email", "thongsuot.example"),
            created_at=at,
            facts=LETTER_FACTS.dump_python(letter, mode="json"),
            deadline=letter.deadline,
            names=_ASKED
            if name == "request-for-information"
            else _REQUEST
            if letter.period.startswith("DX")
            else _NAMES,
        )
        for number, (name, (kind, step, letter, at)) in enumerate(letters.items(), 1)
    }


def write(composer: Composer, folder: Path) -> list[Path]:
    """Write each letter as .eml, .txt and .html into the folder (made if missing). Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, mail in samples().items():
        message = composer.message(mail)
        bodies = {"eml": message.as_bytes()}
        for kind in ("plain", "html"):
            part = message.get_body((kind,))
            assert part is not None
            bodies["txt" if kind == "plain" else "html"] = part.get_content().encode()
        for suffix, body in bodies.items():
            files.append(folder / f"{name}.{suffix}")
            files[-1].write_bytes(body)
    return files

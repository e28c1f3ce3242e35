"""Periods, deadlines and standings in the words people use, Vietnamese and English. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.contract.deadline_words import cutoff_words, rule_words, with_more_days
from shared.contract.events.registry import Cutoff, DeadlineTerms
from shared.contract.words import MONTHS_EN
from shared.runtime.clock import LOCAL_ZONE

#: standing -> (Vietnamese, English)
STANDINGS: dict[str, tuple[str, str]] = {
    "nothing_sent": ("Chưa nộp – chưa nhận được báo cáo nào", "Nothing sent – no report has been received"),
    "awaiting_verdict": ("Đã gửi – đang chờ kiểm tra", "Sent – waiting to be checked"),
    "returned": (
        "Trả lại – báo cáo đã gửi chưa đạt, phải sửa và gửi lại",
        "Returned – what was sent did not pass and must be corrected and sent again",
    ),
    "fulfilled": ("Đã nộp, đạt", "Sent and accepted"),
}


#: the same for a narrow column
SHORT_STANDINGS: dict[str, tuple[str, str]] = {
    "nothing_sent": ("chưa nộp", "nothing sent"),
    "awaiting_verdict": ("đang chờ kiểm tra", "waiting to be checked"),
    "returned": ("bị trả lại", "returned"),
}
#: table of a digest -> what a count of its lines says
DIGEST_PARTS: dict[str, tuple[str, str]] = {
    "overdue": ("báo cáo quá hạn", "overdue"),
    "due": ("báo cáo sắp đến hạn", "due soon"),
    "scores": ("báo cáo có điểm", "with a score"),
    "receipts": ("báo cáo ghi tên Ông/Bà", "in your name"),
}
#: why an escalation has ended
RESOLUTIONS: dict[str, tuple[str, str]] = {
    "answered": ("báo cáo đã được nộp và đạt", "it was sent and accepted"),
    "not_owed": ("cơ quan không còn phải nộp báo cáo này", "the agency does not owe it any more"),
    "not_overdue": ("hạn nộp đã được lùi", "its deadline was moved to a later date"),
}
#: whom the next rung of a ladder tells
RUNG_ROLES: dict[str, tuple[str, str]] = {
    "officer": ("cán bộ đầu mối", "the reporting officer"),
    "head": ("thủ trưởng cơ quan", "the head of the agency"),
    "head_above": ("thủ trưởng cơ quan cấp trên", "the head of the agency above"),
    "provincial_office": ("Văn phòng Ủy ban nhân dân", "the provincial office"),
    "chair": ("Chủ tịch Ủy ban nhân dân", "the chair of the People's Committee"),
}
#: kind of notice -> what a line of a letter about several calls it, how many of it there are, and its colour
MATTERS: dict[str, tuple[str, str, str, str, str]] = {
    "overdue": ("Quá hạn", "Overdue", "báo cáo quá hạn", "overdue", "#9b1c1c"),
    "escalation": ("Quá hạn", "Overdue", "báo cáo quá hạn", "overdue", "#9b1c1c"),
    "reminder": ("Sắp đến hạn", "Due soon", "báo cáo sắp đến hạn", "due soon", "#174a7c"),
    "resolved": ("Hết quá hạn", "Overdue no more", "báo cáo hết quá hạn", "overdue no more", "#1d6b3a"),
    "returned": ("Trả lại", "Returned", "báo cáo bị trả lại", "returned", "#8a4b08"),
    "certification": ("Chờ ký", "To certify", "báo cáo chờ ký", "to certify", "#174a7c"),
    "decision": ("Quyết định", "Decision", "quyết định", "decided", "#174a7c"),
    "withdrawal": ("Rút báo cáo", "Withdrawn", "báo cáo được rút", "withdrawn", "#8a4b08"),
    "not_judged": ("Chưa kiểm tra được", "Not judged yet", "báo cáo chưa kiểm tra được", "not judged yet", "#174a7c"),
    "request": ("Yêu cầu báo cáo", "Request", "yêu cầu báo cáo", "requests", "#174a7c"),
    "named": ("Ghi tên Ông/Bà", "Names you", "báo cáo ghi tên Ông/Bà", "in your name", "#1f6b4a"),
    "digest": ("Tổng hợp", "Digest", "thư tổng hợp", "digests", "#174a7c"),
    "regime": ("Chế độ báo cáo", "Regime", "phiên bản chế độ báo cáo mới", "new regime versions", "#174a7c"),
}
#: what the recipient of one is to do
TO_DO: dict[str, tuple[str, str]] = {
    "overdue": ("gửi báo cáo ngay", "send the report now"),
    "escalation": ("chỉ đạo gửi báo cáo", "see that it is sent"),
    "reminder": ("gửi báo cáo trước hạn", "send the report before the deadline"),
    "resolved": ("không phải làm gì thêm", "nothing more is to be done"),
    "returned": ("sửa và gửi phiên bản mới", "correct it and send a new version"),
    "certification": ("ký xác nhận báo cáo", "certify the report"),
    "decision": ("xem quyết định trong hệ thống", "read the decision in the system"),
    "withdrawal": ("xem trong hệ thống", "see the system"),
    "not_judged": ("chưa phải làm gì", "nothing is to be done yet"),
    "request": ("gửi báo cáo trước hạn", "send the report before the deadline"),
    "named": ("nếu không đúng, báo thủ trưởng", "if that is wrong, tell the head"),
    "digest": ("xem thư tổng hợp", "read the digest"),
    "regime": ("xem nội dung thay đổi", "read what changes"),
}
#: how often a report is owed
FREQUENCIES: dict[str, tuple[str, str]] = {
    "weekly": ("hằng tuần", "weekly"),
    "monthly": ("hằng tháng", "monthly"),
    "quarterly": ("hằng quý", "quarterly"),
    "half_yearly": ("6 tháng", "half-yearly"),
    "nine_monthly": ("9 tháng", "nine months"),
    "yearly": ("hằng năm", "yearly"),
    "adhoc": ("đột xuất, chuyên đề", "ad hoc"),
}
#: kinds of changes to a form's items, and what the letter calls them
ITEM_CHANGES: dict[str, tuple[str, str]] = {
    "added": ("Thêm", "Added"),
    "removed": ("Bỏ", "Removed"),
    "changed": ("Sửa", "Changed"),
}
#: who has to certify a report, by what a version says newly
CERTIFICATIONS: dict[str, tuple[str, str]] = {
    "head": ("Thủ trưởng cơ quan phải ký xác nhận", "The head of the agency must certify it"),
    "none": ("Không cần ký xác nhận nữa", "It need not be certified any more"),
}
#: what kept a matter back -> what its line says of it
HELD: dict[str, tuple[str, str]] = {
    "silence": ("Việc này đã tạm ngừng báo theo yêu cầu của quản trị.", "An administrator had silenced it."),
    "limit": ("Chuyển từ hôm trước vì đã đủ số thư trong ngày.", "Kept from the day before, which had its mails."),
}
#: decision -> its name, what was decided, and what follows from it, each in Vietnamese and English
DECISIONS: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str]]] = {
    "extension_granted": (
        ("Chấp thuận gia hạn", "Extension granted"),
        ("Đề nghị gia hạn báo cáo dưới đây được chấp thuận.", "More time for the report below is granted."),
        (
            "Thời gian từ lúc xin gia hạn đến {until} không tính là chậm; xin trước hạn thì hạn nộp là thời điểm đó.",
            "The time from the request until {until} does not count as late; asked for before the deadline, that is the"
            " new deadline.",
        ),
    ),
    "extension_refused": (
        ("Không gia hạn", "Extension refused"),
        ("Đề nghị gia hạn báo cáo dưới đây không được chấp thuận.", "More time for the report below is refused."),
        ("Hạn nộp không thay đổi.", "The deadline stands."),
    ),
    "explanation_accepted": (
        ("Chấp nhận giải trình", "Explanation accepted"),
        ("Giải trình về báo cáo dưới đây được chấp nhận.", "The explanation of the report below is accepted."),
        ("Không phải làm gì thêm.", "Nothing more is to be done."),
    ),
    "explanation_refused": (
        ("Không chấp nhận giải trình", "Explanation refused"),
        ("Giải trình về báo cáo dưới đây không được chấp nhận.", "The explanation of the report below is refused."),
        (
            "Đề nghị giải trình lại, hoặc sửa và gửi phiên bản mới.",
            "Please explain again, or correct the report and send a new version.",
        ),
    ),
    "lateness_noted": (
        ("Ghi nhận giải trình chậm báo cáo", "Explanation of lateness noted"),
        (
            "Giải trình về việc chậm báo cáo dưới đây đã được ghi nhận.",
            "The explanation why the report below is late has been noted.",
        ),
        ("Hạn nộp và điểm giữ nguyên.", "Deadline and score stand."),
    ),
    "lateness_questioned": (
        ("Yêu cầu giải trình bổ sung", "More is asked for about lateness"),
        (
            "Giải trình về việc chậm báo cáo dưới đây cần bổ sung.",
            "The explanation why the report below is late needs more.",
        ),
        ("Đề nghị thủ trưởng cơ quan giải trình bổ sung.", "The head of the agency is asked to say more."),
    ),
    "appeal_upheld": (
        ("Chấp nhận khiếu nại", "Appeal upheld"),
        ("Khiếu nại về báo cáo dưới đây được chấp nhận.", "The appeal about the report below is upheld."),
        ("Điểm được tính lại theo quyết định này.", "The score is derived again by this decision."),
    ),
    "appeal_dismissed": (
        ("Bác khiếu nại", "Appeal dismissed"),
        ("Khiếu nại về báo cáo dưới đây không được chấp nhận.", "The appeal about the report below is dismissed."),
        ("Kết quả kiểm tra và điểm giữ nguyên.", "Verdict and score stand."),
    ),
}
#: what an appeal that is upheld gives, in place of the general sentence
EFFECTS: dict[str, tuple[str, str]] = {
    "relief": (
        "Thời gian từ {since} đến {until} không tính là chậm; điểm được tính lại.",
        "The time from {since} until {until} does not count as late; the score is derived again.",
    ),
    "accepted": (
        "Phiên bản {version} được tính là đạt, theo lúc nhận; điểm được tính lại.",
        "Version {version} counts as accepted, by its receipt; the score is derived again.",
    ),
}
#: what follows where the decision names a moment, in place of the general sentence
UNTIL: dict[str, tuple[str, str]] = {
    "lateness_questioned": (
        "Đề nghị thủ trưởng cơ quan giải trình bổ sung trước {until}.",
        "The head of the agency is asked to say more by {until}.",
    ),
}


def decision_words(
    decision: str, effect: str, since: datetime | None, until: datetime | None, version: int
) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
    """(Vietnamese, English) each: what a decision is called, what it says, what follows from it."""
    name, said, follows = DECISIONS[decision]
    follows = EFFECTS.get(effect) or (UNTIL.get(decision) if until else None) or follows
    sinces, untils = deadline_words(since), deadline_words(until)
    vi, en = (text.format(since=sinces[at], until=untils[at], version=version) for at, text in enumerate(follows))
    return name, said, (vi, en)


def deadline_words(moment: datetime | None) -> tuple[str, str]:
    """(Vietnamese, English) for a moment, in Vietnam's time, which is named."""
    if moment is None:
        return "xem trong hệ thống", "see the system"
    local = moment.astimezone(LOCAL_ZONE)
    en = f"{local:%H:%M} on {local.day} {MONTHS_EN[local.month - 1]} {local.year} (Vietnam time, UTC+7)"
    return f"{short_words(moment)} (giờ Việt Nam, UTC+7)", en


def short_words(moment: datetime | None) -> str:
    """A moment for a subject line, Vietnamese, in Vietnam's time."""
    if moment is None:
        return "xem trong hệ thống"
    local = moment.astimezone(LOCAL_ZONE)
    return f"{local:%H:%M} ngày {local:%d/%m/%Y}"


def counts_words(kinds: Iterable[str]) -> tuple[str, str]:
    """(Vietnamese, English) for how many matters of each kind there are: `5 báo cáo quá hạn, 1 báo cáo chờ ký`."""
    counts = Counter(MATTERS[kind][2:4] for kind in kinds)
    vi = ", ".join(f"{count} {name}" for (name, _), count in counts.items())
    return vi, ", ".join(f"{count} {name}" for (_, name), count in counts.items())


def change_words(change: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What a regime version changes, a line each: (its name, what it says) in Vietnamese, then in English."""
    lines = []
    if change["frequency_before"]:
        (vi, en), (was, was_en) = (FREQUENCIES[change[name]] for name in ("frequency", "frequency_before"))
        lines.append(("Kỳ báo cáo", f"{vi}, trước đây {was}", "How often", f"{en}, {was_en} before"))
    if change["deadline_before"]:
        (vi, en), (was, was_en) = (terms_words(change[name]) for name in ("deadline", "deadline_before"))
        lines.append(("Hạn nộp", f"{vi} Trước đây: {was}", "Deadline", f"{en} Before: {was_en}"))
    if change["cutoff"]:
        vi, en = cutoff_words(Cutoff.model_validate(change["cutoff"]), change["frequency"])
        lines.append(("Số liệu", vi, "Figures cover", en))
    if change["certification"]:
        vi, en = CERTIFICATIONS[change["certification"]]
        lines.append(("Ký xác nhận", f"{vi}.", "Certification", f"{en}."))
    for name, (vi, en) in ITEM_CHANGES.items():
        items, left_out = change[name], change[f"{name}_left_out"]
        if items:
            listed = "; ".join(f"{item['label']} ({item['code']})" for item in items)
            listed_en = "; ".join(f"{item['label_en'] or item['label']} ({item['code']})" for item in items)
            more, more_en = (f"; và {left_out} mục nữa", f"; and {left_out} more") if left_out else ("", "")
            lines.append((f"{vi} mục", f"{listed}{more}.", f"Items {en.lower()}", f"{listed_en}{more_en}."))
    return lines


def terms_words(terms: Mapping[str, Any]) -> tuple[str, str]:
    """(Vietnamese, English): the deadline of a version, as regimes.domain.changes keeps it."""
    rule = DeadlineTerms.model_validate({name: value for name, value in terms.items() if name != "extra_working_days"})
    return with_more_days(rule_words(rule), terms["extra_working_days"])


def brief_words(moment: datetime | None) -> str:
    """A moment for a narrow column, English, in Vietnam's time."""
    if moment is None:
        return "see the system"
    local = moment.astimezone(LOCAL_ZONE)
    return f"{local:%H:%M}, {local.day} {MONTHS_EN[local.month - 1]} {local.year}"


def lateness_words(deadline: datetime | None, at: datetime) -> tuple[str, str]:
    """How late it is, in whole hours below two days and in days above; empty while not late or not known."""
    if deadline is None or at <= deadline:
        return "", ""
    hours = int((at - deadline).total_seconds() // 3600)
    if hours < 1:
        return "dưới 1 giờ", "less than an hour"
    if hours < 48:
        return f"{hours} giờ", f"{hours} hour{'s' if hours > 1 else ''}"
    return f"{hours // 24} ngày", f"{hours // 24} days"


def stakes_words(policy: Mapping[str, Any], *, late: bool) -> tuple[str, str]:
    """(Vietnamese, English): what a late day costs by this scoring policy; empty where it costs nothing.

    late: the deadline is behind, so that what silence costs is said too.
    """
    clauses = {clause["rule"]: clause["clause"] for clause in policy["clauses"]}
    off, full, floor = (
        _points(policy[name]) for name in ("off_per_working_day", "timeliness_full", "timeliness_floor")
    )
    if off == "0" or "late" not in clauses:
        return "", ""
    vi = f"nộp sau hạn bị trừ {_vi(off)} điểm cho mỗi ngày làm việc, kể cả ngày chưa trọn, ít nhất một ngày, từ mức "
    vi += f"{_vi(full)} điểm, không dưới {_vi(floor)} (khoản {clauses['late']})"
    en = f"each working day begun after the deadline, at least one, takes {off}, from {full} down to {floor}"
    en += f" (clause {clauses['late']})"
    if policy["off_within_grace"] is not None and "grace" in clauses:
        most = _points(policy["off_within_grace"])
        vi += f"; trong thời gian ân hạn, nếu có, trừ nhiều nhất {_vi(most)} điểm (khoản {clauses['grace']})"
        en += f"; within a grace, where there is one, {most} at most (clause {clauses['grace']})"
    if late and "overdue" in clauses:
        none = _points(policy["timeliness_overdue"])
        vi = f"chưa có báo cáo đạt thì được {_vi(none)} điểm (khoản {clauses['overdue']}); khi có, {vi}"
        en = f"without an accepted report {none} (clause {clauses['overdue']}); with one, {en}"
    version = policy["policy_version"]
    return (
        f"Điểm kịp thời (chính sách chấm điểm {version}): {vi}.",
        f"Points for timeliness (scoring policy {version}): {en}.",
    )


def _points(value: Any) -> str:
    """A number of points without needless zeros."""
    exact = Decimal(str(value))
    return f"{exact.normalize():f}" if exact else "0"


def _vi(points: str) -> str:
    return points.replace(".", ",")


def pointer_words(path: str) -> str:
    """A JSON Pointer as a clerk reads it: `/figures/A01` is item A01, `/tables/T01/3/TEN` is T01, row 4, column TEN."""
    match path.split("/"):
        case ["", "tables", table, row, column] if row.isdecimal():
            path = f"{table}, {int(row) + 1}, {column}"
    return path.rsplit("/", 1)[-1].replace("~1", "/").replace("~0", "~") or path

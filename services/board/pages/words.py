"""What pages call things, Vietnamese and English. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from shared.contract.period import PeriodError, parse
from shared.contract.words import MONTHS_EN

Pair = tuple[str, str]

_RUNG = re.compile(r"t(?:(?P<sign>[+-])(?P<count>\d{1,4})(?P<unit>[dh]))?")
_RUNG_UNITS: Mapping[str, Pair] = {"d": ("ngày làm việc", "working day"), "h": ("giờ", "hour")}

#: standing, or what a cell says in its place -> its name
STATES: Mapping[str, Pair] = {
    "overdue": ("Quá hạn", "Overdue"),
    "grace": ("Quá hạn, trong thời gian ân hạn", "Past the deadline, within grace"),
    "nothing_sent": ("Chưa nộp", "Nothing sent"),
    "awaiting_verdict": ("Chờ kiểm tra", "Being checked"),
    "returned": ("Trả lại", "Returned"),
    "on_time": ("Đúng hạn", "On time"),
    "late": ("Nộp chậm", "Late"),
    "none": ("Không phải nộp", "Not owed"),
}
ROLES: Mapping[str, Pair] = {
    "reporting_officer": ("Cán bộ đầu mối", "Reporting officer"),
    "head": ("Thủ trưởng", "Head"),
    "deputy": ("Cấp phó được ủy quyền", "Deputy"),
    "reviewer": ("Người duyệt", "Reviewer"),
    "provincial_office": ("Văn phòng UBND", "Provincial office"),
    "chair": ("Chủ tịch UBND", "Chair"),
    "administrator": ("Quản trị hệ thống", "Administrator"),
    "operator": ("Người vận hành", "Operator"),
    "agency": ("Hệ thống của cơ quan", "The agency's system"),
}
KINDS: Mapping[str, Pair] = {
    "province": ("Tỉnh", "Province"),
    "department": ("Sở, ngành", "Department"),
    "commune": ("Xã", "Commune"),
    "ward": ("Phường", "Ward"),
    "special_zone": ("Đặc khu", "Special zone"),
    "district": ("Huyện", "District"),
    "office": ("Đơn vị", "Office"),
}
FREQUENCIES: Mapping[str, Pair] = {
    "weekly": ("hằng tuần", "weekly"),
    "monthly": ("hằng tháng", "monthly"),
    "quarterly": ("hằng quý", "quarterly"),
    "half_yearly": ("6 tháng", "half-yearly"),
    "nine_monthly": ("9 tháng", "nine months"),
    "yearly": ("hằng năm", "yearly"),
    "adhoc": ("đột xuất, chuyên đề", "ad hoc"),
}
STEPS: Mapping[str, Pair] = {
    "certified": ("Ký xác nhận", "Certified"),
    "approved": ("Duyệt", "Approved"),
    "rework": ("Trả lại để làm lại", "Sent back for rework"),
    "withdrawn": ("Rút báo cáo", "Withdrawn"),
    "unlocked": ("Mở khóa", "Unlocked"),
    "extension_requested": ("Đề nghị gia hạn", "Extension asked for"),
    "extension_granted": ("Chấp thuận gia hạn", "Extension granted"),
    "extension_refused": ("Không gia hạn", "Extension refused"),
    "explanation_given": ("Giải trình", "Explanation given"),
    "explanation_accepted": ("Chấp nhận giải trình", "Explanation accepted"),
    "explanation_refused": ("Không chấp nhận giải trình", "Explanation refused"),
    "lateness_explained": ("Giải trình chậm báo cáo", "Lateness explained"),
    "lateness_noted": ("Ghi nhận giải trình chậm báo cáo", "Explanation of lateness noted"),
    "lateness_questioned": ("Yêu cầu giải trình bổ sung", "More asked for about lateness"),
    "appeal_made": ("Khiếu nại", "Appeal made"),
    "appeal_upheld": ("Chấp nhận khiếu nại", "Appeal upheld"),
    "appeal_dismissed": ("Bác khiếu nại", "Appeal dismissed"),
}
NOTICES: Mapping[str, Pair] = {
    "reminder": ("Nhắc sắp đến hạn", "Reminder"),
    "overdue": ("Báo quá hạn", "Overdue notice"),
    "returned": ("Báo trả lại", "Return notice"),
    "escalation": ("Chuyển cấp", "Escalation"),
    "certification": ("Chờ ký", "Certification asked for"),
    "decision": ("Báo quyết định", "Decision"),
    "withdrawal": ("Báo rút báo cáo", "Withdrawal"),
    "resolved": ("Kết thúc chuyển cấp", "Escalation ended"),
    "not_judged": ("Báo chưa kiểm tra được", "Not judged yet"),
    "request": ("Báo có yêu cầu báo cáo", "Request told"),
}
#: what waits for somebody, as intake names its kinds
WAITING: Mapping[str, Pair] = {
    "certification": ("Chờ ký", "To certify"),
    "review": ("Chờ duyệt", "To review"),
    "extension": ("Gia hạn", "Extensions"),
    "explanation": ("Giải trình", "Explanations"),
    "lateness": ("Giải trình chậm", "Lateness explained"),
    "appeal": ("Khiếu nại", "Appeals"),
}
#: how a request for a waiver stands, and what is said when it comes to stand so
WAIVER_STATES: Mapping[str, Pair] = {
    "open": ("Chờ quyết định", "Not decided yet"),
    "granted": ("Đã chấp thuận", "Granted"),
    "refused": ("Không chấp thuận", "Refused"),
}
WAIVER_STEPS: Mapping[str, Pair] = {
    "waiver_open": ("Đề nghị miễn áp dụng quy tắc", "Waiver asked for"),
    "waiver_granted": ("Chấp thuận miễn áp dụng quy tắc", "Waiver granted"),
    "waiver_refused": ("Không chấp thuận miễn áp dụng quy tắc", "Waiver refused"),
}
#: what was asked for, by the step that asks
REQUESTS: Mapping[str, Pair] = {
    "extension_requested": ("Đề nghị gia hạn", "Request for an extension"),
    "explanation_given": ("Giải trình", "Explanation"),
    "appeal_made": ("Khiếu nại", "Appeal"),
}
#: what a version's verdict is called, as intake names it
VERDICTS: Mapping[str, Pair] = {
    "received": ("đang kiểm tra", "being checked"),
    "not_judged": ("chưa kiểm tra được", "could not be judged"),
    "accepted": ("đạt", "accepted"),
    "returned": ("trả lại", "returned"),
}
#: from Monday: name, short name
WEEKDAYS: tuple[tuple[Pair, Pair], ...] = (
    (("Thứ Hai", "Monday"), ("T2", "Mo")),
    (("Thứ Ba", "Tuesday"), ("T3", "Tu")),
    (("Thứ Tư", "Wednesday"), ("T4", "We")),
    (("Thứ Năm", "Thursday"), ("T5", "Th")),
    (("Thứ Sáu", "Friday"), ("T6", "Fr")),
    (("Thứ Bảy", "Saturday"), ("T7", "Sa")),
    (("Chủ nhật", "Sunday"), ("CN", "Su")),
)
COMPONENTS: Mapping[str, Pair] = {
    "timeliness": ("Kịp thời", "Timeliness"),
    "completeness": ("Đầy đủ", "Completeness"),
}
CHANNELS: Mapping[str, Pair] = {"email": ("thư điện tử", "e-mail"), "sms": ("tin nhắn", "text message")}
OUTCOMES: Mapping[str, Pair] = {
    "sent": ("đã gửi", "sent"),
    "unknown": ("không rõ đã đến chưa", "outcome unknown"),
    "failed": ("không gửi được", "failed"),
}
#: language -> the heads of the exported columns
CSV_HEADS: Mapping[str, tuple[str, ...]] = {
    "vi": (
        "Mã cơ quan",
        "Cơ quan",
        "Chế độ báo cáo",
        "Kỳ",
        "Tình trạng",
        "Hạn nộp",
        "Nhận lúc",
        "Số ngày chậm",
        "Điểm",
    ),
    "en": ("Agency code", "Agency", "Regime", "Period", "State", "Deadline", "Received at", "Days late", "Score"),
}
#: why a sign-in or a password is not taken
REFUSALS: Mapping[str, Pair] = {
    # one text for all: it may not say whether the id exists, nor whether the password was looked at
    "not_signed_in": (
        "Chưa đăng nhập được: mã hoặc mật khẩu không đúng, hoặc đã sai nhiều lần. Hãy thử lại sau ít phút. "
        "Nếu quên mật khẩu, đề nghị quản trị hệ thống gửi lại đường dẫn.",
        "You are not signed in: the id or the password is wrong, or was wrong too often. Try again in a few minutes. "
        "If you have forgotten the password, ask an administrator for a new link.",
    ),
    "too_short": ("Mật khẩu cần ít nhất 12 ký tự.", "A password has at least 12 characters."),
    "too_long": ("Mật khẩu có nhiều nhất 128 ký tự.", "A password has at most 128 characters."),
    "own_name": ("Mật khẩu không được chứa mã hoặc tên của mình.", "A password may not hold your id or name."),
    "few_characters": ("Mật khẩu lặp lại quá ít ký tự.", "The password repeats too few characters."),
    "not_the_same": ("Hai lần nhập không giống nhau.", "The two entries differ."),
}


#: what is written of a sign-in
SIGN_INS: Mapping[str, Pair] = {
    "in": ("Đăng nhập", "Signed in"),
    "out": ("Đăng xuất", "Signed out"),
    "wrong": ("Mật khẩu sai", "Wrong password"),
    "locked": ("Bị từ chối vì đã sai nhiều lần", "Refused after too many wrong passwords"),
    "invited": ("Được gửi đường dẫn đặt mật khẩu", "A link that sets the password was made"),
    "password": ("Đặt mật khẩu", "Password set"),
    "revoked": ("Đăng xuất nơi khác", "Signed out elsewhere"),
}


#: what an answer to an escalation is called, and offered as
ANSWERS: Mapping[str, Pair] = {
    "acknowledged": ("Đã nắm", "Noted"),
    "snoozed": ("Tạm hoãn", "Put off"),
    "taken_back": ("Rút lại", "Taken back"),
}
#: whom a rung of a ladder tells
RUNG_ROLES: Mapping[str, Pair] = {
    "officer": ("cán bộ đầu mối", "the officer"),
    "head": ("thủ trưởng cơ quan", "the head of the agency"),
    "head_above": ("thủ trưởng cơ quan cấp trên", "the head of the agency above"),
    "provincial_office": ("Văn phòng UBND tỉnh", "the provincial office"),
    "chair": ("Chủ tịch UBND", "the chair"),
}
#: why nobody was told at a rung, by the beginning of the reason
NOBODY: Mapping[str, Pair] = {
    "no_head": ("không có thủ trưởng", "no head"),
    "no_officer": ("không có cán bộ đầu mối", "no officer"),
    "no_provincial_office": ("không có Văn phòng UBND", "no provincial office"),
    "nobody_above": ("không có cấp trên", "nobody above"),
    "unusable_address": ("địa chỉ thư không dùng được", "an address that cannot be written to"),
    "agency_closed": ("cơ quan đã kết thúc hoạt động", "the agency is closed"),
    "superseded": ("bậc sau báo cùng người", "a later rung tells the same person"),
    "told_before": ("đã báo trước đó", "told before"),
}
#: why a climb has ended
RESOLUTIONS: Mapping[str, Pair] = {
    "answered": ("đã có báo cáo đạt", "a report is accepted"),
    "not_owed": ("không còn phải nộp", "it is not owed any more"),
    "not_overdue": ("không còn quá hạn", "it is overdue no more"),
}
#: why an open climb has no next moment
STANDSTILLS: Mapping[str, Pair] = {
    "at_the_top": ("Đã báo đến bậc cao nhất.", "The highest rung has been told."),
    "no_calendar": ("Chờ lịch làm việc để tính bậc sau.", "The next rung waits for the working calendar."),
    "waits_for": ("Chờ danh mục để biết báo ai.", "The next rung waits for a record of the registry."),
    "error": ("Chưa tính được bậc sau; người vận hành xem lại.", "The next rung cannot be worked out; operators look."),
}
CHOICES: Mapping[str, Pair] = {
    "acknowledged": (
        "Đã nắm, đang chỉ đạo: hẹn xong vào ngày dưới đây",
        "Noted, and seen to: promised by the day below",
    ),
    "snoozed": ("Tạm hoãn đến ngày dưới đây, có lý do", "Put off until the day below, with the reason"),
    "taken_back": ("Rút lại lời hẹn trước", "Take the earlier promise back"),
}


def rung_words(rung: str) -> Pair:
    """A rung of a ladder by its name there: `t`, `t+3d`, `t-1d`, `t+4h`. Another name stands as it is."""
    found = _RUNG.fullmatch(rung)
    if found is None:
        return f"bậc {rung}", f"rung {rung}"
    if not found["count"]:
        return "bậc đến hạn", "rung at the deadline"
    count, later = int(found["count"]), found["sign"] == "+"
    unit_vi, unit_en = _RUNG_UNITS[found["unit"]]
    many = "s" if count != 1 else ""
    return (
        f"bậc {'sau' if later else 'trước'} hạn {count} {unit_vi}",
        f"rung {count} {unit_en}{many} {'after' if later else 'before'} the deadline",
    )


def month_name(first: date) -> Pair:
    """What the month of this day is called."""
    return f"Tháng {first.month}/{first.year}", f"{MONTHS_EN[first.month - 1]} {first.year}"


def period_head(period: str) -> tuple[Pair, str]:
    """A period as the two lines of a narrow column's head: `T10`, `Oct` over `2026`; of a request or of what is
    unknown the id itself over nothing.
    """
    try:
        parsed = parse(period)
    except PeriodError:
        return (period, period), ""
    year, number = str(parsed.year), parsed.number
    match parsed.frequency:
        case "weekly":
            return (f"Tuần {number}", f"W{number}"), year
        case "monthly":
            return (f"T{number}", MONTHS_EN[number - 1][:3]), year
        case "quarterly":
            return (f"Q{number}", f"Q{number}"), year
        case "half_yearly":
            return (f"6T {'đầu' if number == 1 else 'cuối'}", f"H{number}"), year
        case "nine_monthly":
            return ("9T", "9M"), year
        case "yearly":
            return (year, year), ""
        case _:
            return (period, period), ""

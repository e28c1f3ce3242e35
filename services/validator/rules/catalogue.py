"""Every finding code is declared once, here, with its tier, its severity and its words in Vietnamese and English.

A code keeps its meaning for ever: agencies write them into their own programs. docs/findings.md lists the same codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from shared.contract.events import Severity, Tier
from shared.contract.events.verdicts import Weight

#: what people call the tiers: Vietnamese, English
TIER_NAMES: dict[Tier, tuple[str, str]] = {
    "structure": ("Cấu trúc", "structure"),
    "completeness": ("Đầy đủ", "completeness"),
    "validity": ("Hợp lệ", "validity"),
    "consistency": ("Nhất quán", "consistency"),
    "history": ("So với kỳ trước", "history"),
    "narrative": ("Thuyết minh", "narrative"),
    "cross_report": ("Liên báo cáo", "cross-report"),
}
TIER_RANK = {tier: rank for rank, tier in enumerate(get_args(Tier))}


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding. Templates are `str.format` texts over the words of a flaw.

    Where there is an `ask`, the regime chooses: an error with the fix, or a warning that asks for an explanation.
    Where it is `chosen`, the regime chooses between an error and a warning that only informs.
    """

    code: str
    tier: Tier
    severity: Severity
    meaning: str  # Vietnamese
    meaning_en: str
    message: str
    message_en: str
    fix: str
    fix_en: str
    ask: tuple[str, str] | None = None  # what a warning says in place of the fix, Vietnamese and English
    chosen: bool = False
    legal_basis: str | None = None  # of a rule of a form
    explain: bool | None = None  # of a rule of a form: its warning asks for an explanation

    @property
    def weights(self) -> tuple[Weight, ...]:
        """What a regime may make of it; empty where it has no choice."""
        return ("error", "confirm") if self.ask else ("error", "info") if self.chosen else ()

    @property
    def tier_rank(self) -> int:
        return TIER_RANK[self.tier]


UNKNOWN_FIGURE = Rule(
    "S01",
    "structure",
    "error",
    "Chỉ tiêu không có trong biểu mẫu",
    "A figure that the form does not have",
    "Biểu mẫu không có chỉ tiêu {name}.",
    "The form has no figure {name_en}.",
    "{hint}",
    "{hint_en}",
)
UNKNOWN_NARRATIVE = Rule(
    "S02",
    "structure",
    "error",
    "Mục thuyết minh không có trong biểu mẫu",
    "A narrative section that the form does not have",
    "Biểu mẫu không có mục thuyết minh {name}.",
    "The form has no narrative section {name_en}.",
    "{hint}",
    "{hint_en}",
)
UNKNOWN_TABLE = Rule(
    "S05",
    "structure",
    "error",
    "Bảng không có trong biểu mẫu",
    "A table that the form does not have",
    "Biểu mẫu không có bảng {name}.",
    "The form has no table {name_en}.",
    "{hint}",
    "{hint_en}",
)
UNKNOWN_COLUMN = Rule(
    "S06",
    "structure",
    "error",
    "Cột không có trong bảng",
    "A column that the table does not have",
    "Bảng {name} không có cột “{column}”; cột này có ở {rows} dòng.",
    "Table {name_en} has no column “{column}”; it is given in {rows_en}.",
    "Bỏ cột này; các cột của bảng: {columns}.",
    "Leave this column out; the table's columns are: {columns}.",
)
NIL_WITH_CONTENT = Rule(
    "S03",
    "structure",
    "error",
    "Báo cáo “không phát sinh” (NIL) nhưng lại có nội dung",
    "A NIL report that has content",
    "Báo cáo ghi “không phát sinh” (NIL) nhưng có {count} nội dung: {names}.",
    "The report is marked NIL (nothing to report) but has {count_en}: {names}.",
    "Nếu có số liệu, đặt “nil” là false và gửi lại; nếu thật sự không phát sinh, bỏ hết chỉ tiêu, thuyết minh và bảng.",
    'If there is something to report, set "nil" to false and send again; if not, leave out all figures, narratives and '
    "tables.",
)
NIL_NOT_ALLOWED = Rule(
    "S04",
    "structure",
    "error",
    "Chế độ báo cáo này không nhận báo cáo “không phát sinh” (NIL)",
    "A NIL report where the regime allows none",
    "Chế độ báo cáo này không nhận báo cáo “không phát sinh” (NIL).",
    "This reporting regime accepts no NIL (nothing to report) reports.",
    "Đặt “nil” là false và gửi đủ {count} mục bắt buộc; chỉ tiêu nào thật sự bằng 0 thì ghi 0.",
    'Set "nil" to false and send {count_en}; write 0 only for a figure that is truly zero.',
)
FIGURE_MISSING = Rule(
    "C01",
    "completeness",
    "error",
    "Thiếu chỉ tiêu bắt buộc",
    "A required figure is missing",
    "Thiếu chỉ tiêu bắt buộc {name}.",
    "The required figure {name_en} is missing.",
    "Điền số liệu cho chỉ tiêu {code}{unit}{zero}.",
    "Give a value for figure {code}{unit}{zero_en}.",
)
NARRATIVE_MISSING = Rule(
    "C02",
    "completeness",
    "error",
    "Thiếu mục thuyết minh bắt buộc",
    "A required narrative section is missing",
    "Thiếu mục thuyết minh bắt buộc {name}.",
    "The required narrative section {name_en} is missing.",
    "Viết mục {code}, từ {minimum} đến {maximum} ký tự.",
    "Write section {code}, between {minimum} and {maximum} characters.",
)
EMPTY_REPORT = Rule(
    "C03",
    "completeness",
    "warning",
    "Báo cáo trống nhưng không ghi “không phát sinh” (NIL)",
    "An empty report that is not marked NIL",
    "Báo cáo không có chỉ tiêu hay thuyết minh nào.",
    "The report has no figure and no narrative.",
    "Nếu kỳ này không phát sinh, gửi lại với “nil” là true; nếu có, điền số liệu rồi gửi lại.",
    'If there is nothing to report, send again with "nil" set to true; otherwise fill in the form and send again.',
)
TABLE_MISSING = Rule(
    "C04",
    "completeness",
    "error",
    "Thiếu bảng bắt buộc",
    "A required table is missing",
    "Thiếu bảng bắt buộc {name}.",
    "The required table {name_en} is missing.",
    "Gửi bảng {code} với ít nhất {minimum} dòng.",
    "Send table {code} with at least {minimum_en}.",
)
TOO_FEW_ROWS = Rule(
    "C05",
    "completeness",
    "error",
    "Bảng có quá ít dòng",
    "A table has too few rows",
    "Bảng {name} có {provided} dòng, ít hơn mức tối thiểu {minimum}.",
    "Table {name_en} has {provided_en}; at least {minimum} are needed.",
    "Bổ sung ít nhất {missing} dòng.",
    "Add at least {missing_en}.",
)
CELL_MISSING = Rule(
    "C06",
    "completeness",
    "error",
    "Ô bắt buộc của bảng để trống",
    "A required cell of a table is empty",
    "{subject}: ô bắt buộc để trống.",
    "{subject_en}: this cell is required and empty.",
    "Điền ô này{unit}, hoặc bỏ cả dòng nếu dòng không có nội dung.",
    "Fill it in{unit}, or leave the whole row out if there is nothing in it.",
)
NOT_A_NUMBER = Rule(
    "V01",
    "validity",
    "error",
    "Giá trị không phải là số",
    "The value is not a number",
    "{subject}: “{provided}” không phải là một số.",
    "{subject_en}: “{provided}” is not a number.",
    "{hint}",
    "{hint_en}",
)
SEPARATORS = Rule(
    "V02",
    "validity",
    "error",
    "Số có dấu phân cách hàng nghìn hoặc dấu phẩy thập phân",
    "The number has grouping separators or a decimal comma",
    "{subject}: “{provided}” có dấu phân cách hàng nghìn hoặc dấu phẩy thập phân.",
    "{subject_en}: “{provided}” has grouping separators or a decimal comma.",
    "{hint}",
    "{hint_en}",
)
EXPONENT = Rule(
    "V03",
    "validity",
    "error",
    "Số viết dạng lũy thừa (khoa học)",
    "The number is written with an exponent",
    "{subject}: “{provided}” viết ở dạng lũy thừa.",
    "{subject_en}: “{provided}” is written with an exponent.",
    "{hint}",
    "{hint_en}",
)
NOT_FINITE = Rule(
    "V04",
    "validity",
    "error",
    "Giá trị NaN hoặc vô cực",
    "The value is NaN or infinite",
    "{subject}: “{provided}” không phải là số hữu hạn.",
    "{subject_en}: “{provided}” is not a finite number.",
    "{hint}",
    "{hint_en}",
)
TOO_MANY_DIGITS = Rule(
    "V05",
    "validity",
    "error",
    "Số có quá nhiều chữ số",
    "The number has too many digits",
    "{subject}: số có {digits} chữ số, vượt mức tối đa {limit} chữ số.",
    "{subject_en}: the number has {digits} digits; at most {limit} are allowed.",
    "Kiểm tra lại số liệu và đơn vị tính; viết số có tối đa {limit} chữ số.",
    "Check the value and its unit; write a number of at most {limit} digits.",
)
FRACTION_DIGITS = Rule(
    "V06",
    "validity",
    "error",
    "Quá nhiều chữ số thập phân",
    "Too many digits after the point",
    "{subject}: “{provided}” có {digits} chữ số thập phân; biểu mẫu cho phép tối đa {limit}.",
    "{subject_en}: “{provided}” has {digits_en} after the point; the form allows at most {limit}.",
    "{hint}",
    "{hint_en}",
)
BELOW_MINIMUM = Rule(
    "V07",
    "validity",
    "error",
    "Giá trị nhỏ hơn mức tối thiểu",
    "The value is below the minimum",
    "{subject}: {provided} nhỏ hơn mức tối thiểu {limit}, lệch {difference}{unit}.",
    "{subject_en}: {provided} is below the minimum of {limit}, off by {difference}{unit}.",
    "Kiểm tra lại số liệu, dấu âm và đơn vị tính của {thing}; viết giá trị từ {limit} trở lên.{thousands}",
    "Check the value, sign and unit of {thing_en}; write a value of {limit} or more.{thousands_en}",
)
ABOVE_MAXIMUM = Rule(
    "V08",
    "validity",
    "error",
    "Giá trị lớn hơn mức tối đa",
    "The value is above the maximum",
    "{subject}: {provided} lớn hơn mức tối đa {limit}, lệch {difference}{unit}.",
    "{subject_en}: {provided} is above the maximum of {limit}, off by {difference}{unit}.",
    "Kiểm tra lại số liệu và đơn vị tính của {thing}; viết giá trị không quá {limit}.{thousands}",
    "Check the value and unit of {thing_en}; write a value of {limit} or less.{thousands_en}",
)
AMBIGUOUS_POINT = Rule(
    "V09",
    "validity",
    "warning",
    "Dấu chấm có thể là dấu thập phân hoặc dấu phân cách hàng nghìn",
    "The point may be a decimal point or group thousands",
    "{subject}: “{provided}” được hiểu là số thập phân {decimal}{unit}; "
    "nếu dấu chấm phân cách hàng nghìn thì đó là {thousands}.",
    "{subject_en}: “{provided}” is read as the decimal number {decimal}{unit}; "
    "if the point groups thousands, it is {thousands}.",
    "Nếu đúng là {decimal} thì không cần làm gì; nếu là {thousands} thì viết {thousands} và gửi lại.",
    "If {decimal} is right, there is nothing to do; if you mean {thousands}, write {thousands} and send again.",
)
UNSEEN = Rule(
    "V15",
    "validity",
    "error",
    "Số có khoảng trắng hoặc ký tự không nhìn thấy ở cạnh chữ số",
    "The number has spaces or invisible characters beside its digits",
    "{subject}: trước, sau hoặc giữa các chữ số của “{provided}” có ký tự không nhìn thấy: {characters}.",
    "{subject_en}: there are characters that one cannot see before, after or among the digits of “{provided}”: "
    "{characters}.",
    "{hint}",
    "{hint_en}",
)
OTHER_SCRIPT = Rule(
    "V16",
    "validity",
    "error",
    "Số viết bằng chữ số hoặc dấu khác 0–9 và “-”",
    "The number is written with digits or signs other than 0–9 and “-”",
    "{subject}: “{provided}” có chữ số hoặc dấu khác loại thường: {characters}.",
    "{subject_en}: “{provided}” has digits or signs of another kind: {characters}.",
    "{hint}",
    "{hint_en}",
)
WITH_UNIT = Rule(
    "V17",
    "validity",
    "error",
    "Số viết kèm đơn vị hoặc chữ",
    "The number is written with a unit or words",
    "{subject}: “{provided}” viết kèm “{suffix}”; ô này chỉ ghi số.",
    "{subject_en}: “{provided}” is written with “{suffix}”; only the number belongs here.",
    "{hint}",
    "{hint_en}",
)
TEXT_TOO_LONG = Rule(
    "V10",
    "validity",
    "error",
    "Nội dung của chỉ tiêu hoặc của ô trong bảng quá dài",
    "The text of a figure or of a table's cell is too long",
    "{subject}: nội dung có {provided} ký tự, nhiều hơn mức tối đa {limit}.",
    "{subject_en}: the text has {provided} characters; at most {limit} are allowed.",
    "Rút gọn ít nhất {difference} ký tự.",
    "Shorten it by at least {difference} characters.",
)
NOT_A_DAY = Rule(
    "V11",
    "validity",
    "error",
    "Ô của bảng không phải là một ngày",
    "The value of a table's cell is not a date",
    "{subject}: “{provided}” không phải là một ngày viết theo ISO 8601.",
    "{subject_en}: “{provided}” is not a date of ISO 8601.",
    "{hint}",
    "{hint_en}",
)
NOT_A_CHOICE = Rule(
    "V12",
    "validity",
    "error",
    "Ô của bảng không thuộc danh mục lựa chọn",
    "The value of a table's cell is none of its choices",
    "{subject}: “{provided}” không có trong danh mục lựa chọn.",
    "{subject_en}: “{provided}” is none of the choices.",
    "Ghi đúng một trong các giá trị: {choices}.",
    "Write one of these exactly: {choices}.",
)
TOO_MANY_ROWS = Rule(
    "V13",
    "validity",
    "error",
    "Bảng có quá nhiều dòng",
    "A table has too many rows",
    "Bảng {name} có {provided} dòng, nhiều hơn mức tối đa {limit}.",
    "Table {name_en} has {provided} rows; at most {limit} are allowed.",
    "Bỏ bớt {difference} dòng; các dòng vượt mức chưa được kiểm tra.",
    "Remove {difference}; the rows beyond were not checked.",
)
MORE_IN_TABLE = Rule(
    "V14",
    "validity",
    "error",
    "Bảng còn lỗi khác chưa liệt kê",
    "A table has more errors than are listed",
    "Bảng {name} còn {count} lỗi khác ở các ô, không liệt kê.",
    "Table {name_en} has {count_en} in its cells that are not listed.",
    "Sửa các lỗi đã liệt kê, soát lại các ô tương tự của bảng rồi gửi lại.",
    "Correct what is listed, look through the other cells of the table, then send again.",
)
SUM_DIFFERS = Rule(
    "K01",
    "consistency",
    "error",
    "Chỉ tiêu tổng không bằng tổng các thành phần",
    "A total does not equal the sum of its terms",
    "Quy tắc {rule}: chỉ tiêu {name} là {provided} nhưng {terms} = {expected}, lệch {difference}{tolerance}.{blanks}",
    "Rule {rule}: figure {name_en} is {provided} but {terms} = {expected}, "
    "off by {difference}{tolerance_en}.{blanks_en}",
    "{hint}",
    "{hint_en}",
)
SUM_NOT_CHECKED = Rule(
    "K02",
    "consistency",
    "warning",
    "Chưa kiểm tra được tổng vì còn số chưa đọc được hoặc còn thiếu",
    "A sum that cannot be checked yet, because a number in it is missing or unreadable",
    "Quy tắc {rule}: chưa kiểm tra được {total} = {terms} vì còn thiếu hoặc chưa đọc được {unknown}; {known}.",
    "Rule {rule}: {total} = {terms} cannot be checked yet, because of what is missing or unreadable: {unknown}; "
    "{known_en}.",
    "Khi sửa {unknown}, kiểm tra để {total} bằng {terms}{tolerance}.",
    "When you correct {unknown}, see that {total} equals {terms}{tolerance_en}.",
)
RULES_NOT_CHECKED = Rule(
    "K03",
    "consistency",
    "warning",
    "Chưa kiểm tra được một số quy tắc của biểu mẫu",
    "Some rules of the form cannot be checked",
    "Chưa kiểm tra được {count} quy tắc ({rules}): {reason}.",
    "{count_en} cannot be checked ({rules}): {reason_en}.",
    "Không cần làm gì nếu số liệu đã đúng; báo cáo không bị trả lại vì lý do này.",
    "There is nothing to do if the figures are right; no report is returned for this.",
)
ALL_ZERO = Rule(
    "H01",
    "history",
    "error",
    "Mọi chỉ tiêu bằng 0 trong khi kỳ trước có số liệu",
    "Every figure is 0 where the period before had figures",
    "Mọi chỉ tiêu đều bằng 0, trong khi báo cáo được chấp nhận của kỳ {before} có số liệu khác 0.",
    "Every figure is 0, while the accepted report of period {before} had others.",
    "Điền số liệu của kỳ này. Nếu đúng là không phát sinh gì, nêu lý do trong phần thuyết minh rồi gửi lại: "
    "bản gửi lại không bị trả vì lý do này nữa.",
    "Give the figures of this period. If there truly was nothing, say why in a narrative and send again: "
    "what is sent again is not returned for this.",
    ask=(
        "Đề nghị giải trình vì sao kỳ này không phát sinh; nếu chưa điền số liệu thì điền rồi gửi lại.",
        "Please explain why there was nothing in this period; if figures are not filled in yet, give them and "
        "send again.",
    ),
)
TOO_SHORT = Rule(
    "N01",
    "narrative",
    "error",
    "Thuyết minh quá ngắn",
    "The narrative is too short",
    "Mục thuyết minh {name} có {characters} ký tự, ít hơn mức tối thiểu {limit}.",
    "Narrative section {name_en} has {characters_en}; at least {limit} are needed.",
    "Viết thêm ít nhất {difference} ký tự: kết quả, nguyên nhân, khó khăn và kiến nghị cụ thể.",
    "Write at least {difference_en} more: results, causes, difficulties and concrete proposals.",
)
TOO_LONG = Rule(
    "N02",
    "narrative",
    "error",
    "Thuyết minh quá dài",
    "The narrative is too long",
    "Mục thuyết minh {name} có {characters} ký tự, nhiều hơn mức tối đa {limit}.",
    "Narrative section {name_en} has {characters_en}; at most {limit} are allowed.",
    "Rút gọn ít nhất {difference} ký tự.",
    "Shorten it by at least {difference_en}.",
)
CONTROL_CHARACTER = Rule(
    "N03",
    "narrative",
    "error",
    "Thuyết minh có ký tự điều khiển",
    "The narrative has control characters",
    "Mục thuyết minh {name} có {count} ký tự điều khiển; ký tự đầu tiên là {provided}, ở vị trí {place}.",
    "Narrative section {name_en} has {count_en}; the first is {provided}, at position {place}.",
    "Xóa các ký tự điều khiển: dán lại nội dung dưới dạng văn bản thuần (không định dạng) rồi gửi lại.",
    "Remove the control characters: paste the content again as plain text, then send again.",
)
EMPTY_PHRASE = Rule(
    "N04",
    "narrative",
    "error",
    "Thuyết minh chỉ mang tính hình thức",
    "The narrative is only a placeholder",
    "Mục thuyết minh {name} chỉ ghi “{provided}”.",
    "Narrative section {name_en} says only “{provided}”.",
    "Viết nội dung cụ thể của kỳ này; nếu không phát sinh, nêu rõ việc gì không phát sinh và vì sao.",
    "Write what happened in this period; if nothing did, say what did not occur and why.",
    ask=(
        "Đề nghị giải trình: viết nội dung cụ thể của kỳ này, hoặc nêu việc gì không phát sinh và vì sao; "
        "mục không bắt buộc thì có thể để trống.",
        "Please explain: write what happened in this period, or what did not occur and why; "
        "a section that is not required may be left blank.",
    ),
)
PADDING = Rule(
    "N05",
    "narrative",
    "error",
    "Thuyết minh chỉ lặp lại ký tự hoặc từ",
    "The narrative is mere repetition",
    "Mục thuyết minh {name} chủ yếu là ký tự hoặc từ lặp lại: “{provided}”.",
    "Narrative section {name_en} is mostly repeated characters or words: “{provided}”.",
    "Thay phần lặp lại bằng nội dung cụ thể của kỳ này.",
    "Replace the repetition with what happened in this period.",
    ask=(
        "Đề nghị giải trình: thay phần lặp lại bằng nội dung cụ thể của kỳ này.",
        "Please explain: replace the repetition with what happened in this period.",
    ),
)
THIN = Rule(
    "N06",
    "narrative",
    "warning",
    "Thuyết minh sơ sài",
    "The narrative is thin",
    "Mục thuyết minh {name} chỉ có {syllables} tiếng có nội dung, cần ít nhất {limit} "
    "(không tính khoảng trắng, ký tự ẩn và phần lặp lại).",
    "Narrative section {name_en} has only {syllables_en} of content; at least {limit} are needed "
    "(spaces, invisible characters and what is repeated do not count).",
    "Viết thêm ít nhất {difference} tiếng: kết quả, nguyên nhân, khó khăn và kiến nghị cụ thể của kỳ này.",
    "Write at least {difference_en} more: results, causes, difficulties and concrete proposals of this period.",
    ask=(
        "Đề nghị giải trình hoặc viết thêm ít nhất {difference} tiếng: kết quả, nguyên nhân, khó khăn và kiến nghị "
        "cụ thể của kỳ này.",
        "Please explain, or write at least {difference_en} more: results, causes, difficulties and concrete proposals "
        "of this period.",
    ),
)
FEW_SENTENCES = Rule(
    "N07",
    "narrative",
    "warning",
    "Thuyết minh có quá ít câu",
    "The narrative has too few sentences",
    "Mục thuyết minh {name} có {sentences} câu, cần ít nhất {limit}.",
    "Narrative section {name_en} has {sentences_en}; at least {limit} are needed.",
    "Viết thêm ít nhất {difference} câu; mỗi ý một câu, kết thúc bằng dấu chấm hoặc xuống dòng.",
    "Write at least {difference_en} more: one for each point, ended by a full stop or a line break.",
    chosen=True,
)
ROLE_MISSING = Rule(
    "N08",
    "narrative",
    "warning",
    "Thuyết minh chưa thấy nêu đủ nội dung yêu cầu",
    "The narrative seems to leave out what it is for",
    "Mục thuyết minh {name} chưa thấy nêu: {roles}.",
    "Narrative section {name_en} does not seem to say: {roles_en}.",
    "Bổ sung phần còn thiếu; nếu đã nêu thì gọi tên nội dung đó trong câu (ví dụ “Nguyên nhân: …”, “Kiến nghị: …”).",
    "Add what is missing; if it is there, call it by its name in the sentence.",
    chosen=True,
)
GARBLED = Rule(
    "N09",
    "narrative",
    "error",
    "Thuyết minh bị lỗi mã hóa, không đọc được",
    "The narrative is garbled by a wrong encoding",
    "Mục thuyết minh {name} bị lỗi mã hóa: “{provided}”.{recovered}",
    "Narrative section {name_en} is garbled by a wrong encoding: “{provided}”.{recovered_en}",
    "Mở văn bản gốc và dán lại dưới dạng Unicode; nếu phần mềm tự gửi, đọc và gửi tệp bằng UTF-8.",
    "Open the original text and paste it again as Unicode; if a program sends it, read and send the file as UTF-8.",
    chosen=True,
)
LEGACY_FONT = Rule(
    "N10",
    "narrative",
    "error",
    "Thuyết minh viết bằng bảng mã cũ (TCVN3, VNI)",
    "The narrative is written for a font of before Unicode (TCVN3, VNI)",
    "Mục thuyết minh {name} viết bằng bảng mã {font}, không phải Unicode: “{provided}”.{recovered}",
    "Narrative section {name_en} is in the encoding {font}, not in Unicode: “{provided}”.{recovered_en}",
    "Chuyển mã sang Unicode rồi dán lại: trong UniKey mở Công cụ (Ctrl+Shift+F6), bảng mã nguồn {font}, bảng mã đích "
    "Unicode.",
    "Convert it to Unicode and paste it again: in UniKey open the toolkit (Ctrl+Shift+F6), source {font}, target "
    "Unicode.",
    chosen=True,
)
FIGURE_CONTRADICTED = Rule(
    "N11",
    "narrative",
    "warning",
    "Số liệu trong thuyết minh khác số liệu của biểu mẫu",
    "The narrative gives a figure otherwise than the form",
    "Mục thuyết minh {name} ghi “{quote}”, nhưng chỉ tiêu {figure} là {value}.",
    "Narrative section {name_en} says “{quote}”, but figure {figure_en} is {value}.",
    "Đối chiếu lại; sửa số trong thuyết minh hoặc trong biểu mẫu cho thống nhất. Nếu thuyết minh nói về phạm vi hoặc "
    "thời gian khác thì ghi rõ trong câu.",
    "Compare the two and correct the one that is wrong. If the narrative speaks of another scope or time, say so in "
    "the sentence.",
    chosen=True,
)
LIKE_LAST = Rule(
    "N12",
    "narrative",
    "warning",
    "Thuyết minh gần như chép lại báo cáo trước",
    "The narrative is nearly a copy of the agency's last report",
    "Mục thuyết minh {name} giống khoảng {percent}% mục cùng tên trong báo cáo kỳ {before} của chính cơ quan.",
    "Narrative section {name_en} is about {percent}% the same as that section of the agency's own report of {before}.",
    "Viết kết quả, nguyên nhân và kiến nghị của kỳ này.",
    "Write the results, causes and proposals of this period.",
    ask=(
        "Đề nghị giải trình, hoặc viết lại theo kết quả, nguyên nhân và kiến nghị của kỳ này.",
        "Please explain, or rewrite it with the results, causes and proposals of this period.",
    ),
)
LIKE_ANOTHER = Rule(
    "N13",
    "narrative",
    "warning",
    "Thuyết minh gần như giống báo cáo của một cơ quan khác",
    "The narrative is nearly a copy of another agency's report",
    "Mục thuyết minh {name} giống khoảng {percent}% mục cùng tên trong báo cáo cùng kỳ, gửi trước, của một cơ quan "
    "khác.",
    "Narrative section {name_en} is about {percent}% the same as that section of another agency's report of the same "
    "period, which was received earlier.",
    "Viết nội dung của chính cơ quan trong kỳ này.",
    "Write what concerns your own agency in this period.",
    ask=(
        "Đề nghị giải trình, hoặc viết lại theo tình hình của chính cơ quan.",
        "Please explain, or rewrite it with what concerns your own agency.",
    ),
)
NO_KEY_FIGURE = Rule(
    "N14",
    "narrative",
    "warning",
    "Phần đánh giá không nhắc đến chỉ tiêu chính nào",
    "The assessment mentions none of the key figures",
    "Mục thuyết minh {name} không nhắc đến chỉ tiêu chính nào: {figures}.",
    "Narrative section {name_en} mentions none of the key figures: {figures_en}.",
    "Nêu số liệu hoặc tên ít nhất một chỉ tiêu chính và đánh giá kết quả đó.",
    "Give the value or the name of at least one key figure, and assess it.",
    chosen=True,
)

PLACEHOLDER = Rule(
    "N15",
    "narrative",
    "error",
    "Chỉ tiêu dạng chữ hoặc ô bắt buộc chỉ ghi cho có",
    "The text of a required figure or cell is only a placeholder",
    "{subject}: chỉ ghi “{provided}”.",
    "{subject_en}: it says only “{provided}”.",
    "Ghi nội dung của kỳ này; nếu đúng là không có thì ghi rõ “không có”.",
    "Write what holds in this period; if there truly is nothing, say so in words.",
    ask=(
        "Đề nghị giải trình: ghi nội dung của kỳ này, hoặc nêu vì sao chưa có.",
        "Please explain: write what holds in this period, or why it is not there yet.",
    ),
)
NOT_JUDGED = Rule(
    "X01",
    "structure",
    "warning",
    "Hệ thống chưa kiểm tra được báo cáo",
    "The system could not judge the report",
    "Hệ thống chưa kiểm tra được báo cáo: {limit} khi đang {place}.",
    "The system could not judge the report: {limit_en} while {place_en}.",
    "Cơ quan chưa phải làm gì: báo cáo tính theo lúc nhận, không bị tính là chậm hay thiếu vì việc này. Người vận hành "
    "sẽ cho kiểm tra lại; cơ quan có thể gửi phiên bản mới nếu muốn.",
    "Nothing is asked of the agency: the report counts by its receipt, and as neither late nor incomplete for this. "
    "The operators will have it judged again; a new version may be sent if the agency wishes.",
)

RULES: dict[str, Rule] = {
    rule.code: rule
    for rule in (
        UNKNOWN_FIGURE,
        UNKNOWN_NARRATIVE,
        NIL_WITH_CONTENT,
        NIL_NOT_ALLOWED,
        UNKNOWN_TABLE,
        UNKNOWN_COLUMN,
        FIGURE_MISSING,
        NARRATIVE_MISSING,
        EMPTY_REPORT,
        TABLE_MISSING,
        TOO_FEW_ROWS,
        CELL_MISSING,
        NOT_A_NUMBER,
        SEPARATORS,
        EXPONENT,
        NOT_FINITE,
        TOO_MANY_DIGITS,
        FRACTION_DIGITS,
        BELOW_MINIMUM,
        ABOVE_MAXIMUM,
        AMBIGUOUS_POINT,
        TEXT_TOO_LONG,
        NOT_A_DAY,
        NOT_A_CHOICE,
        TOO_MANY_ROWS,
        MORE_IN_TABLE,
        UNSEEN,
        OTHER_SCRIPT,
        WITH_UNIT,
        SUM_DIFFERS,
        SUM_NOT_CHECKED,
        RULES_NOT_CHECKED,
        ALL_ZERO,
        TOO_SHORT,
        TOO_LONG,
        CONTROL_CHARACTER,
        EMPTY_PHRASE,
        PADDING,
        THIN,
        FEW_SENTENCES,
        ROLE_MISSING,
        GARBLED,
        LEGACY_FONT,
        FIGURE_CONTRADICTED,
        LIKE_LAST,
        LIKE_ANOTHER,
        NO_KEY_FIGURE,
        PLACEHOLDER,
        NOT_JUDGED,
    )
}

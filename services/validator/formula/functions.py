"""Every function of the language, declared once: name, arguments, result. All others read it here.

A parameter is one of: `number`, `text`, `boolean`, `date`, `any` (one value); `list` (values, ranges of figures or
columns); `column` (a column, or an expression over columns of one table); `name` (a text written out);
`figure` (an expression over figures, evaluated in another report).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Parameter = Literal["number", "text", "boolean", "date", "any", "list", "column", "name", "figure"]
#: `argument`: the type of the first argument; `branch`: the common type of all arguments but the first
Result = Literal["number", "text", "boolean", "date", "any", "argument", "branch"]


@dataclass(frozen=True, slots=True)
class Function:
    """`parameters` beyond `least` may be left out; the last `repeated` of them may come again, together."""

    name: str
    parameters: tuple[Parameter, ...]
    result: Result
    usage: str  # arguments, Vietnamese
    least: int = -1  # -1: all parameters
    repeated: int = 0
    weight: int = 1  # cost beside that of its arguments

    @property
    def fewest(self) -> int:
        return len(self.parameters) if self.least < 0 else self.least

    def takes(self, count: int) -> bool:
        if count <= len(self.parameters):
            return count >= self.fewest
        return bool(self.repeated) and (count - len(self.parameters)) % self.repeated == 0

    def parameter(self, position: int) -> Parameter:
        declared = len(self.parameters)
        if position < declared:
            return self.parameters[position]
        return self.parameters[declared - self.repeated + (position - declared) % self.repeated]


#: cost of a function that goes over a table or a list
_OVER_ROWS = 100
#: and of one that goes over the agencies beneath, a thousand at most
_OVER_AGENCIES = 500

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        # logic
        Function("AND", ("boolean",), "boolean", "điều kiện; …", repeated=1),
        Function("OR", ("boolean",), "boolean", "điều kiện; …", repeated=1),
        Function("NOT", ("boolean",), "boolean", "điều kiện"),
        Function("IF", ("boolean", "any", "any"), "branch", "điều kiện; giá trị khi đúng; giá trị khi sai", least=2),
        Function("ISBLANK", ("any",), "boolean", "giá trị"),
        Function("IFBLANK", ("any", "any"), "argument", "giá trị; giá trị thay khi trống"),
        Function("IN", ("any", "any"), "boolean", "giá trị; giá trị được phép; …", repeated=1),
        # numbers
        Function("ROUND", ("number", "number"), "number", "số; số chữ số thập phân", least=1),
        Function("ABS", ("number",), "number", "số"),
        Function("PCT", ("number", "number"), "number", "phần; tổng thể"),
        Function("SUM", ("list",), "number", "giá trị, dải hoặc cột; …", repeated=1, weight=10),
        Function("AVERAGE", ("list",), "number", "giá trị, dải hoặc cột; …", repeated=1, weight=10),
        Function("MIN", ("list",), "argument", "giá trị, dải hoặc cột; …", repeated=1, weight=10),
        Function("MAX", ("list",), "argument", "giá trị, dải hoặc cột; …", repeated=1, weight=10),
        Function("COUNT", ("list",), "number", "giá trị, dải hoặc cột; …", repeated=1, weight=10),
        Function("COUNTIF", ("list", "any"), "number", "dải hoặc cột; tiêu chí", weight=_OVER_ROWS),
        Function("SUMIF", ("list", "any", "list"), "number", "dải xét; tiêu chí; dải cộng", least=2, weight=_OVER_ROWS),
        Function(
            "SUMIFS",
            ("list", "list", "any"),
            "number",
            "dải cộng; dải xét; tiêu chí; …",
            repeated=2,
            weight=_OVER_ROWS,
        ),
        # text
        Function("LEN", ("text",), "number", "văn bản"),
        Function("WORDS", ("text",), "number", "văn bản", weight=50),
        Function("CONTAINS", ("text", "text"), "boolean", "văn bản; cụm từ; …", repeated=1, weight=50),
        Function("UPPER", ("text",), "text", "văn bản", weight=50),
        Function("LOWER", ("text",), "text", "văn bản", weight=50),
        Function("SAMETEXT", ("text", "text"), "boolean", "văn bản; văn bản", weight=50),
        Function("MATCHES", ("text", "name"), "boolean", "văn bản; mẫu", weight=50),
        # dates
        Function("DATE", ("number", "number", "number"), "date", "năm; tháng; ngày"),
        Function("YEAR", ("date",), "number", "ngày"),
        Function("MONTH", ("date",), "number", "ngày"),
        Function("DAY", ("date",), "number", "ngày"),
        # tables
        Function("COUNTDISTINCT", ("column",), "number", "cột; …", repeated=1, weight=_OVER_ROWS),
        Function("ISUNIQUE", ("column",), "boolean", "cột; …", repeated=1, weight=_OVER_ROWS),
        Function("SUMBY", ("column", "column"), "number", "cột cộng; cột nhóm; …", repeated=1, weight=_OVER_ROWS),
        Function("FIRSTROW", ("column",), "boolean", "cột nhóm; …", repeated=1, weight=_OVER_ROWS),
        # reference tables
        Function("LOOKUP", ("name", "any", "name"), "any", '"danh mục"; khóa; "cột"', weight=5),
        Function("EXISTS", ("name", "any"), "boolean", '"danh mục"; khóa', weight=5),
        Function("MISSINGROWS", ("name", "column"), "number", '"danh mục"; cột khóa', weight=_OVER_ROWS),
        Function("MISSINGKEYS", ("name", "column"), "text", '"danh mục"; cột khóa', weight=_OVER_ROWS),
        # other reports
        Function("PREV", ("figure",), "argument", "chỉ tiêu", weight=5),
        Function("YOY", ("figure",), "argument", "chỉ tiêu", weight=5),
        Function("REF", ("name", "figure"), "any", '"chế độ báo cáo"; chỉ tiêu', weight=5),
        Function("CHILDREN_SUM", ("figure",), "number", "chỉ tiêu", weight=_OVER_AGENCIES),
    )
}
#: functions that evaluate an expression in another report, and where it stands among their arguments
ELSEWHERE = {"PREV": 0, "YOY": 0, "REF": 1, "CHILDREN_SUM": 0}

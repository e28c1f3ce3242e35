"""docs/findings.md is written from the catalogue, so that what agencies read is what the code says."""

from __future__ import annotations

from typing import get_args

from services.validator.rules.catalogue import RULES, TIER_NAMES, Rule
from shared.contract.events import Severity, Tier
from shared.contract.events.verdicts import WAIVABLE

_TIERS: dict[Tier, str] = {tier: f"{name} / {name_en}" for tier, (name, name_en) in TIER_NAMES.items()}
_SEVERITIES: dict[Severity, str] = {"error": "lỗi / error", "warning": "cảnh báo / warning"}

_HEAD = """# Mã kết quả kiểm tra – finding codes

Mỗi dòng của kết quả kiểm tra (finding) có một mã không bao giờ đổi nghĩa. Có **lỗi** thì báo cáo bị trả lại; **cảnh
báo** không làm báo cáo bị trả lại. Each line of a verdict has a code that never changes its meaning. An **error**
returns the report, a **warning** does not.

Each finding carries: `code`, `tier`, `severity`, `weight`, `path` (JSON Pointer, RFC 6901, into the submission),
`provided`, `expected`, `difference` (exact), and `message` and `fix` in Vietnamese, `message_en` and `fix_en` in
English. `weight` tells the two warnings apart: `error` returns the report, `confirm` accepts it and asks for an
[explanation](lifecycle.md), `info` tells something.
The same list as JSON: `GET /v1/findings` of the validator. This page: `python -m services.validator findings`.

- Figures are written `-?digits[.digits]` in ASCII, at most 38 digits. A blank figure (null or spaces) is not given:
  it is neither zero nor a bad number.
- A sum counts an optional figure left blank as nothing. Where its total or a term is not a number, or is required and
  missing, it cannot be checked: `K02` says so at once, with what is known. Nothing is said of a sum of which nothing
  can be said.
- `1.234` where three decimals are allowed may mean 1234: `V09` asks, unless only one of the two is within the range.
- A number with its unit (“1,5 tỷ đồng”, “64 %”) is answered in the figure's own unit where that is sure (`V17`).
  What `expected` and the fix of `V01`–`V06` and `V15`–`V17` say to write is taken: a test follows them literally.
- Narratives are measured in characters after NFC normalisation and trimming; characters that nobody sees do not count
  towards the least length. A run of more than 30 combining marks is parted by U+034F first (stream-safe text,
  UAX #15): no text costs more than its length.
- `X01` says that the system could not judge the report at all ([why](batches.md)). It stands alone, under the tier that
  ran over, and counts against nobody.
- Rules of a form have codes of their own (`KT-01`), beside those listed here; [rules](rules.md) says how they are
  written. `legal_basis` says what a rule rests on.
- \\* **Nội dung cho có / filler**: a stock phrase (“đang cập nhật”, “không có gì”, `n/a`, `test`, in any case, accents
  and spacing), punctuation alone, characters or words repeated. The regime says what follows (`form.filler`):
  `return` (default), an error; `explain`, a warning that asks for an explanation. A stock phrase in a section that is
  not required is always a warning: “không có” is an honest answer there. Of a required text figure or text cell only
  punctuation alone and promises (“đang cập nhật”, “sẽ bổ sung sau”) are filler (`N15`): “không có” may be the answer.
- \\* and † **Mức do chế độ chọn / the regime chooses** (`form.severities`, such as `{N06: error, N09: info}`): a code
  with \\* is an `error`, or as `confirm` a warning that asks for an explanation; a code with † is an `error`, or as
  `info` a warning that asks for nothing. Other codes have no choice: a form that names them is refused.
- **Thuyết minh sơ sài / thin** (`N06`): syllables that say something once; a passage that comes again, spaces and
  invisible characters do not count. At least `min_syllables`, and a ninth of `min_characters`. `N08` looks for words
  that speak of what the section is for (`roles`); in a text without accents it looks for nothing.
- A figure named in a narrative (`N11`): only where its label (three words or more) begins a clause, “là”, “đạt” and the
  like lead to the number, the unit is the figure's, and nothing speaks of another time, a plan or a part. Roundings are
  no difference; “gần”, “hơn”, “khoảng” leave a quarter.
- Key figures (`key: true`) are expected in sections that are for an assessment (`roles`): `N14` where neither three
  words of a label in a row nor a value, whole or rounded, stands there. Figures that are 0 are not asked for.
- A near-copy, where the regime asks for it (`form.severities` names `N12` or `N13`, such as `{N12: confirm}`): 80 % or
  more of the runs of five syllables are the same as in that section of the agency's own accepted report of the period
  before (`N12`), or of another agency's of the same regime and period that was received earlier and accepted (`N13`;
  never said whose), unless that was withdrawn by then. Quotations in quotation marks, headings, and sections of fewer
  than 40 syllables do not count; only fingerprints are kept, from which no text can be read.
- A garbled text (`N09`, `N10`) gets that finding alone.
- All zeros where the nearest earlier period with an accepted report had other figures (`H01`): as the regime says of
  filler. Rows of a table whose numbers are all 0 or blank are zeros too. A report returned for it and sent again with
  zeros is accepted with a warning. Ad hoc reports are not compared. It looks back two years at most.
- A table's rows and cells are counted from 0 in `path` (`/tables/T01/3/TEN`) and from 1 in the words. Of one table the
  first 20 cells that are wrong are listed each by itself, the rest is one finding with their number (`V14`); a column
  that the table does not have is told once, at most 10 of them. Rows beyond `max_rows` are not looked at.
- `present_items` counts what can be used: a required figure that is a number of the right type within its range, a
  required text that is no filler, a required narrative of the right length that is none, a required table in which no
  row or cell is wrong or filler.
- **Miễn áp dụng / a waiver** ([registry](registry.md), `waivers*`): for its agencies and its days, by the day of a
  report's receipt, what the rule finds is listed with `waived` (which waiver, who asked, who approved, why, until when,
  and the `weight` it would have). It returns nobody, asks nobody to explain, and is counted in the verdict's `waived`
  alone. Rules of a form can be waived, and of the codes below {waivable}.
- All findings are counted; at most 500 (and about 300,000 characters) are listed, errors first, and
  `findings_truncated` says so.
"""


def _severity(rule: Rule) -> str:
    return _SEVERITIES[rule.severity] + (" \\*" if rule.ask else " †" if rule.chosen else "")


def document() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD.replace("{waivable}", ", ".join(f"`{code}`" for code in sorted(WAIVABLE)))]
    for tier in get_args(Tier):
        rules = [rule for rule in RULES.values() if rule.tier == tier]
        if not rules:
            continue
        parts += [f"## {_TIERS[tier]}", "", "| mã / code | mức / severity | ý nghĩa | meaning |", "|---|---|---|---|"]
        parts += [f"| `{rule.code}` | {_severity(rule)} | {rule.meaning} | {rule.meaning_en} |" for rule in rules]
        parts.append("")
    return "\n".join(parts)

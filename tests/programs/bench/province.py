"""The registry of the load: 5,000 agencies with a key and an officer each, one monthly regime of 36 figures, 12 sums.

The form is that of the sample province without its rules; the deadline lies so far ahead that every period is open and
still owed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from deploy.local.options import ROOT
from shared.runtime.clock import LOCAL_ZONE

REGIME = "BENCH-THANG"
TEMPLATE = ROOT / "deploy" / "sample" / "regimes" / "ktxh-thang.yaml"
#: business time at the start of a run: results do not depend on the day on which they are measured
START = datetime(2026, 11, 20, 8, 0, tzinfo=LOCAL_ZONE)
NARRATIVE_CHARACTERS = 600
_SENTENCES = (
    "Trong kỳ, đơn vị đã thực hiện đầy đủ các nhiệm vụ được giao theo kế hoạch. "
    "Công tác tiếp nhận và trả kết quả hồ sơ được thực hiện đúng quy trình, không để tồn đọng kéo dài. "
    "Một số hồ sơ đất đai phải xác minh nhiều lần nên thời gian giải quyết còn chậm so với yêu cầu. "
    "Nguyên nhân chủ yếu là dữ liệu chưa đồng bộ sau sắp xếp đơn vị hành chính và thiếu cán bộ chuyên trách. "
    "Lãnh đạo đã phân công người theo dõi từng nhiệm vụ, kiểm tra tiến độ hằng tuần và nhắc việc kịp thời. "
    "Thu ngân sách đạt tiến độ, các khoản chi bảo đảm đúng dự toán và chế độ quy định. "
    "Kiến nghị tỉnh bổ sung kinh phí số hóa hồ sơ và tập huấn nghiệp vụ cho cán bộ đầu mối báo cáo."
)
#: the registry's files are bounded
RECORDS_A_FILE = 10_000
#: every sum of the form holds; A01 and A02 are written by the load generator, another value in each report
_FIGURES: dict[str, str] = {
    "A03": "120.5", "A04": "35.25", "A05": "980.75", "A06": "310.5", "A07": "670.25",
    "B01": "1450", "B02": "50", "B03": "1400", "B04": "900", "B05": "500", "B06": "1300", "B07": "1280", "B08": "20",
    "B09": "150", "B10": "145", "B11": "5", "C01": "42", "C02": "12", "C03": "3", "C04": "27", "C05": "160",
    "C06": "130", "C07": "30", "D01": "55", "D02": "48", "D03": "4", "D04": "3", "E01": "812.75", "E02": "500.5",
    "E03": "212.25", "E04": "100", "F01": "210", "F02": "80", "F03": "130",
}  # fmt: skip
#: the registry's limit for the months between a period and its deadline
MOST_MONTHS = 36
#: A03 + A04, in thousandths, which A01 has more than A02
_REST_THOUSANDTHS = 155_750


@dataclass(frozen=True)
class Province:
    """The registry and reports of the load."""

    agencies: tuple[str, ...]
    periods: tuple[str, ...]
    regime: dict[str, Any]

    @classmethod
    def of(cls, agencies: int, periods: int) -> Province:
        """`periods` months up to the one of START; each agency owes each of them once.

        All are still open at START, so the first is owed as many months after it: at most as the registry allows.
        """
        if periods + 2 > MOST_MONTHS:
            raise ValueError(f"{periods} periods are too many to be all open: at most {MOST_MONTHS - 2}")
        last = START.year * 12 + START.month - 1
        months = [divmod(month, 12) for month in range(last - periods + 1, last + 1)]
        before_year, before_month = divmod(last - periods, 12)
        template = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
        regime = {
            **template,
            # they look at regimes that this registry has not, and the floor knows only sums
            "form": {part: value for part, value in template["form"].items() if part != "rules"},
            "code": REGIME,
            "effective_from": date(before_year, before_month + 1, 15),
            # on the first of the month: scoring plans no deadline later than three leap years after the cut-off
            "deadline": {"rule": "day_of_month", "day": 1, "month_offset": periods + 2},
            "receiver": "H98",
        }
        codes = tuple(f"H98.{number // 100:02}.{number % 100:02}" for number in range(agencies))
        return cls(codes, tuple(f"{year}-M{month + 1:02}" for year, month in months), regime)

    def write_registry(self, folder: Path) -> None:
        """The registry's files (JSON is YAML)."""
        opened = "2010-01-01"
        agencies: list[dict[str, Any]] = [{"code": "H98", "name": "Tỉnh đo", "kind": "province", "opened_on": opened}]
        agencies += [
            {"code": code, "name": f"Xã {code}", "kind": "commune", "parent": "H98", "opened_on": opened}
            for code in self.agencies
        ]
        officers = [
            {
                "officer_id": officer_of(code),
                "agency": code,
                "name": f"Cán bộ {code}",
                "email": f"{officer_of(code).lower()}@do.example",
                "role": "reporting_officer",
            }
            for code in self.agencies
        ]
        (folder / "regimes").mkdir(parents=True, exist_ok=True)
        files: list[tuple[str, dict[str, Any]]] = [("regimes/bench.yaml", self.regime)]
        for kind, rows in (("agencies", agencies), ("officers", officers)):
            parts = [rows[first : first + RECORDS_A_FILE] for first in range(0, len(rows), RECORDS_A_FILE)]
            files += [(f"{kind}-{number}.yaml", {kind: part}) for number, part in enumerate(parts, 1)]
        for name, document in files:
            dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
            text = yaml.dump(document, allow_unicode=True, sort_keys=False, Dumper=dumper)
            (folder / name).write_text(text, encoding="utf-8")

    def write_floor(self, path: Path, keys: dict[str, str]) -> None:
        """Return what the floor and the conventional build know of the registry."""
        document = {
            "regime": REGIME,
            "periods": self.periods,
            "deadline": "2099-12-31T17:00:00+07:00",
            "form": self.regime["form"],
            "agencies": [{"agency": code, "officer": officer_of(code), "key": keys[code]} for code in self.agencies],
        }
        path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")

    def report(self, agency: str, number: int) -> bytes:
        """Return a small accepted report of the agency; `number` varies content and period."""
        return json.dumps(
            {
                "regime": REGIME,
                "period": self.periods[number % len(self.periods)],
                "officer": officer_of(agency),
                "figures": {**_FIGURES, "A01": f"{number}.5"},
                "narratives": {"N01": (_SENTENCES * 2)[:NARRATIVE_CHARACTERS]},
            },
            ensure_ascii=False,
        ).encode()

    def write_load(self, path: Path, keys: dict[str, str]) -> int:
        """The load generator's data, as Lua; the size of a typical body in bytes."""
        figures = "".join(f',"{code}":"{value}"' for code, value in _FIGURES.items())
        narrative = json.dumps((_SENTENCES * 2)[:NARRATIVE_CHARACTERS], ensure_ascii=False)
        tail = f'"{figures}}},"narratives":{{"N01":{narrative}}}}}'
        rows = ",\n".join(f'{{"{keys[code]}","{officer_of(code)}"}}' for code in self.agencies)
        periods = ",".join(f'"{period}"' for period in self.periods)
        path.write_text(
            "return {\n"
            f'head = [==[{{"regime":"{REGIME}","period":"]==],\n'
            'officer = [==[","officer":"]==],\n'
            'total = [==[","figures":{"A01":"]==],\n'
            'taxes = [==[","A02":"]==],\n'
            f"tail = [==[{tail}]==],\n"
            f"rest = {_REST_THOUSANDTHS},\n"
            f"periods = {{{periods}}},\n"
            f"agencies = {{{rows}}}\n"
            "}\n",
            encoding="utf-8",
        )
        return len(tail.encode()) + 120


def officer_of(agency: str) -> str:
    """The id of the agency's reporting officer."""
    return f"DM-{agency}"

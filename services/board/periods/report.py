"""The report that reminds (báo cáo đôn đốc), in the words of an office. Pure.

It states facts: what was owed, what is missing, since when, how often it was asked for. It says nothing of fault.
Layout: NĐ 30/2020/NĐ-CP, Phụ lục I. Number, place, date and signature stay blank: it is a draft until somebody signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.board.pages.words import STATES
from services.board.periods.figures import Count, Figures, Item
from shared.contract.words import period_words
from shared.runtime.clock import LOCAL_ZONE

COUNT_HEADS = ("Phải nộp", "Đúng hạn", "Chậm", "Còn thiếu", "Còn hạn")
#: rows of a table in the document that is printed; the spreadsheet has all that the figures have
MOST_PRINTED = 500

Document = Mapping[str, Any]


def document_of(figures: Figures, sha256: str | None) -> Document:
    """The report as parts that any printer sets: JSON values alone.

    sha256: of frozen figures; None: they are not frozen.
    """
    name = period_words(figures.period, figures.title, figures.title_en)[0]
    names = {agency.code: agency.name for agency in figures.agencies}
    regimes = {regime.code: regime.name for regime in figures.regimes}
    missing, late = figures.missing, figures.late
    return {
        "above": figures.issuer_above.upper(),
        "issuer": figures.issuer.upper(),
        "subject": f"Tình hình thực hiện chế độ báo cáo {name}",
        "provisional": _standing(figures, sha256),
        "basis": (
            "Căn cứ Nghị định số 09/2019/NĐ-CP ngày 24 tháng 01 năm 2019 của Chính phủ quy định về chế độ báo cáo của "
            "cơ quan hành chính nhà nước;"
        ),
        "opening": (
            f"{figures.issuer} báo cáo tình hình thực hiện chế độ báo cáo {name} của các cơ quan thuộc phạm vi theo "
            f"dõi, tính đến {_moment(figures.moment)}, như sau:"
        ),
        "sections": [
            {"head": "I. KẾT QUẢ CHUNG", "text": _summary(figures), "table": _by_regime(figures)},
            {
                "head": "II. BÁO CÁO CÒN THIẾU",
                "text": _missing_text(figures),
                "table": _items(missing, names, regimes, "Tình trạng") if missing else None,
            },
            {
                "head": "III. BÁO CÁO GỬI CHẬM",
                "text": _late_text(figures),
                "table": _items(late, names, regimes, None) if late else None,
            },
            {"head": "IV. ĐỀ NGHỊ", "text": _asked(figures), "table": None},
        ],
        "source": _source(figures, sha256),
        "recipients": [
            "Các cơ quan có báo cáo còn thiếu (để thực hiện);" if missing else "Các cơ quan thuộc phạm vi theo dõi;",
            "Lưu: VT.",
        ],
    }


def _standing(figures: Figures, sha256: str | None) -> str:
    if figures.provisional:
        return "SỐ LIỆU TẠM TÍNH, KỲ BÁO CÁO CHƯA KẾT THÚC"
    return "" if sha256 else "SỐ LIỆU CHƯA CHỐT"


def _summary(figures: Figures) -> list[str]:
    total = figures.total
    said = [
        f"Có {_n(len(figures.agencies))} cơ quan phải gửi {_n(total.owed)} báo cáo theo {_n(len(figures.regimes))} "
        f"chế độ báo cáo. Đã được chấp nhận {_n(total.accepted)} báo cáo, trong đó {_n(total.on_time)} báo cáo đúng "
        f"hạn và {_n(total.late)} báo cáo chậm. Còn thiếu {_n(total.missing)} báo cáo đã quá hạn."
    ]
    if total.not_due:
        said.append(f"Còn trong hạn {_n(total.not_due)} báo cáo.")
    waiting = [
        f"{_n(count)} báo cáo {what}"
        for count, what in ((total.returned, "bị trả lại để sửa"), (total.awaiting, "đang được kiểm tra"))
        if count
    ]
    if waiting:
        said.append(f"Trong số báo cáo chưa được chấp nhận có {' và '.join(waiting)}.")
    return said


def _missing_text(figures: Figures) -> list[str]:
    if not figures.missing:
        return ["Không có báo cáo nào còn thiếu."]
    agencies = sum(1 for agency in figures.agencies if agency.count.missing)
    return [
        f"Còn thiếu {_n(figures.total.missing)} báo cáo của {_n(agencies)} cơ quan. Số lần nhắc là số thông báo đã "
        "gửi đi về báo cáo đó.",
        *_more(figures.total.missing, len(figures.missing)),
    ]


def _late_text(figures: Figures) -> list[str]:
    if not figures.late:
        return ["Không có báo cáo nào gửi chậm."]
    return [
        f"Có {_n(figures.total.late)} báo cáo được chấp nhận nhưng gửi sau hạn.",
        *_more(figures.total.late, len(figures.late)),
    ]


def _more(all_of_them: int, kept: int) -> list[str]:
    shown = min(kept, MOST_PRINTED)
    if all_of_them <= shown:
        return []
    return [f"Bảng dưới đây nêu {_n(shown)} báo cáo có hạn nộp sớm nhất; các báo cáo khác xem trên bảng theo dõi."]


def _asked(figures: Figures) -> list[str]:
    said = []
    if figures.missing:
        said.append(
            "Các cơ quan nêu tại mục II gửi báo cáo, hoặc sửa báo cáo bị trả lại, và cho biết khó khăn, vướng mắc (nếu "
            "có)."
        )
    said.append(
        "Cơ quan nào thấy số liệu chưa đúng thì phản ánh ngay trên bảng theo dõi: mỗi số liệu có căn cứ của nó ở đó."
    )
    return said


def _source(figures: Figures, sha256: str | None) -> str:
    said = f"Số liệu của hệ thống Thông Suốt lúc {_moment(figures.moment)}."
    return f"{said} Đã chốt; mã kiểm tra SHA-256: {sha256}." if sha256 else f"{said} Chưa chốt, còn có thể thay đổi."


def _by_regime(figures: Figures) -> Document:
    rows = [[str(number), regime.name, *_cells(regime.count)] for number, regime in enumerate(figures.regimes, 1)]
    return {
        "heads": ["TT", "Chế độ báo cáo", *COUNT_HEADS],
        "widths": [1, 6, 2, 2, 2, 2, 2],
        "numbers": [2, 3, 4, 5, 6],
        "rows": [*rows, ["", "Tổng số", *_cells(figures.total)]],
        "total": True,
    }


def _items(items: Sequence[Item], names: Mapping[str, str], regimes: Mapping[str, str], state: str | None) -> Document:
    rows = [
        [
            str(number), names.get(item.agency, item.agency), regimes.get(item.regime, item.regime),
            _short(datetime.fromisoformat(item.deadline)), _n(item.days_late),
            *([STATES[item.state][0]] if state else []), _n(item.reminded),
        ]
        for number, item in enumerate(items[:MOST_PRINTED], 1)
    ]  # fmt: skip
    return {
        "heads": ["TT", "Cơ quan", "Báo cáo", "Hạn nộp", "Số ngày chậm", *([state] if state else []), "Số lần nhắc"],
        "widths": [1, 5, 5, 3, 2, *([3] if state else []), 2],
        "numbers": [4, 6] if state else [4, 5],
        "rows": rows,
        "total": False,
    }


def _cells(count: Count) -> list[str]:
    return [_n(number) for number in (count.owed, count.on_time, count.late, count.missing, count.not_due)]


def _n(number: int) -> str:
    return f"{number:,}".replace(",", ".")


def _moment(moment: datetime) -> str:
    local = moment.astimezone(LOCAL_ZONE)
    return f"{local:%H} giờ {local:%M} phút ngày {local:%d} tháng {local:%m} năm {local:%Y}"


def _short(moment: datetime) -> str:
    return f"{moment.astimezone(LOCAL_ZONE):%H:%M %d/%m/%Y}"

"""Writes agencies.yaml and officers.yaml of the sample province; the same names and seed give the same bytes.

It also writes what changes in the middle of the quarter that the demo plays: a commune that merges. Run
`python -m deploy.sample.generate` after changing a name. Regimes and requests are maintained by hand.
"""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from deploy.sample.names import (
    DEPARTMENTS,
    DISTRICTS,
    FAMILY,
    GIVEN_MEN,
    GIVEN_WOMEN,
    MIDDLE_MEN,
    MIDDLE_WOMEN,
)
from shared.contract.text import unmarked

FOLDER = Path(__file__).parent
MERGER_FOLDER = FOLDER.with_name("sample_merger")
SEED = 20250701
PROVINCE = "H99"
OFFICE = "H99.01"
#: two-tier local government starts; districts end the day before (source: docs/sample-province.md)
TWO_TIERS = date(2025, 7, 1)
DISTRICTS_END = date(2025, 6, 30)
#: a commune that merges into a neighbour: its last day, while it owes an ad hoc report that the neighbour does not
MERGED, HEIR, LAST_DAY = "H99.149", "H99.151", date(2026, 3, 3)
#: agencies without a head, so that the escalation ladder has a rung without a person
WITHOUT_HEAD = frozenset({"H99.13", "H99.117", "H99.134", "H99.152", "H99.178", "H99.190"})
#: the office keeps a second reporting officer who answers for these regimes only
SECOND_OFFICER: dict[str, tuple[str, ...]] = {
    "H99.01": ("TTHC-QUY", "CCHC-6T"),
    "H99.02": ("CCHC-6T",),
    "H99.03": ("GNDT-THANG",),
    "H99.20": ("TTHC-QUY",),
}
HEADER = (
    "# Tỉnh mẫu H99 – mã không thuộc tỉnh nào; mọi tên, người và địa chỉ đều là giả định.\n"
    "# Sample province H99 – nobody's code; every name, person and address is invented.\n"
    "# Written by `python -m deploy.sample.generate`; change deploy/sample/names.py, not this file.\n"
)
KINDS = {
    "phường": ("ward", "Ward", "p"),
    "xã": ("commune", "Commune", "x"),
    "đặc khu": ("special_zone", "Special Zone", "dk"),
}
HEAD_TITLES = {
    "Sở": "Giám đốc Sở",
    "Thanh tra tỉnh": "Chánh Thanh tra tỉnh",
    "Ban": "Trưởng ban",
    "Trung": "Giám đốc Trung tâm",
    "Quỹ": "Giám đốc Quỹ",
}


def agencies() -> list[dict[str, Any]]:
    """Every agency as a mapping of AgencyRegistered without `version`, parents before children."""
    rows: list[dict[str, Any]] = [
        _agency(
            PROVINCE,
            "Ủy ban nhân dân tỉnh H99 (mẫu)",
            "People's Committee of sample province H99",
            "province",
            None,
            date(2010, 1, 1),
        ),
        _agency(
            OFFICE,
            "Văn phòng Ủy ban nhân dân tỉnh",
            "Office of the Provincial People's Committee",
            "office",
            PROVINCE,
            date(2010, 1, 1),
        ),
    ]
    for number, (_, name, english) in enumerate(DEPARTMENTS, start=2):
        rows.append(_agency(f"{PROVINCE}.{number:02d}", name, english, "department", PROVINCE, date(2025, 3, 1)))
    communes: list[dict[str, Any]] = []
    for number, (name, english, successors) in enumerate(DISTRICTS, start=31):
        codes = []
        for successor in successors:
            code = f"{PROVINCE}.{101 + len(communes)}"
            prefix = next(kind for kind in KINDS if successor.startswith(kind + " "))
            kind, suffix, _ = KINDS[prefix]
            communes.append(
                _agency(
                    code,
                    f"Ủy ban nhân dân {successor}",
                    f"People's Committee of {unmarked(successor.removeprefix(prefix).strip())} {suffix}",
                    kind,
                    PROVINCE,
                    TWO_TIERS,
                )
            )
            codes.append(code)
        district = _agency(
            f"{PROVINCE}.{number}",
            f"Ủy ban nhân dân {name[0].lower()}{name[1:]}",
            f"People's Committee of {english}",
            "district",
            PROVINCE,
            date(2010, 1, 1),
        )
        rows.append(district | {"closed_on": DISTRICTS_END, "successors": codes})
    return rows + communes


def merged() -> list[dict[str, Any]]:
    """The agency that merges, as it is recorded once the merger is decided."""
    closes = {"closed_on": LAST_DAY, "successors": [HEIR], "open_obligations": "transfer"}
    return [row | closes for row in agencies() if row["code"] == MERGED]


def _agency(code: str, name: str, english: str, kind: str, parent: str | None, opened: date) -> dict[str, Any]:
    row = {"code": code, "name": name, "name_en": english, "kind": kind, "parent": parent, "opened_on": opened}
    return {key: value for key, value in row.items() if value is not None}


def slugs() -> dict[str, str]:
    """Agency code → the part of its mail addresses that names it."""
    named = {PROVINCE: "ubnd", OFFICE: "vanphong"}
    named |= {f"{PROVINCE}.{number:02d}": slug for number, (slug, _, _) in enumerate(DEPARTMENTS, start=2)}
    for row in agencies():
        if row["code"] not in named:
            short = unmarked(str(row["name"]).removeprefix("Ủy ban nhân dân ")).lower()
            named[row["code"]] = short.replace(" ", "")
    return named


def officers() -> list[dict[str, Any]]:
    """Every officer as a mapping of OfficerRegistered without `version`."""
    rng = random.Random(SEED)
    slug = slugs()
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()

    def person(agency: str, role: str, title: str, suffix: str, **extra: Any) -> None:
        while True:
            name, local = _name(rng)
            email = f"{local}@{slug[agency]}.h99.example"
            if email not in taken:
                break
        taken.add(email)
        rows.append(
            {
                "officer_id": f"{suffix}-{agency}",
                "agency": agency,
                "name": name,
                "title": title,
                "email": email,
                "role": role,
            }
            | extra
        )

    for row in agencies():
        code = row["code"]
        if "closed_on" in row:
            person(code, "reporting_officer", "Cán bộ đầu mối báo cáo (đã kết thúc)", "DM1", active=False)
            continue
        person(code, "reporting_officer", "Cán bộ đầu mối báo cáo", "DM1")
        if code in SECOND_OFFICER:
            person(code, "reporting_officer", "Cán bộ đầu mối theo lĩnh vực", "DM2", regimes=list(SECOND_OFFICER[code]))
        if code not in WITHOUT_HEAD:
            person(code, "head", _head_title(row), "TT")
    return rows


def _head_title(row: dict[str, Any]) -> str:
    match row["kind"]:
        case "province":
            return "Chủ tịch Ủy ban nhân dân tỉnh"
        case "office":
            return "Chánh Văn phòng"
        case "department":
            name = str(row["name"])
            return HEAD_TITLES.get(name) or HEAD_TITLES[name.split(" ")[0]]
        case kind:
            words = {ours: vietnamese for vietnamese, (ours, _, _) in KINDS.items()}
            return f"Chủ tịch Ủy ban nhân dân {words[kind]}"


def _name(rng: random.Random) -> tuple[str, str]:
    """A full name and its usual mail form: given name, then initials (`thao.dtt`)."""
    women = rng.random() < 0.5
    family = rng.choice(FAMILY)
    middle = rng.choice(MIDDLE_WOMEN if women else MIDDLE_MEN)
    given = rng.choice(GIVEN_WOMEN if women else GIVEN_MEN)
    initials = "".join(word[0] for word in unmarked(f"{family} {middle}").lower().split())
    return f"{family} {middle} {given}", f"{unmarked(given).lower()}.{initials}"


def render(noun: str, rows: list[dict[str, Any]]) -> str:
    """The file's text: a header and one list under its section."""
    return HEADER + yaml.dump({noun: rows}, Dumper=_Plain, allow_unicode=True, sort_keys=False, width=1000)


class _Plain(yaml.SafeDumper):
    """A YAML dumper without anchors and aliases, which registry files must not use."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def files() -> dict[Path, str]:
    """The generated files: path → text."""
    return {
        FOLDER / "agencies.yaml": render("agencies", agencies()),
        FOLDER / "officers.yaml": render("officers", officers()),
        MERGER_FOLDER / "agencies.yaml": render("agencies", merged()),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(FOLDER.parent)}: {len(text.encode())} bytes")

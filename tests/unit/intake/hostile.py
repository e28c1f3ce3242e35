"""Bodies of 256 KiB that cost as much as their sender can make them cost, by what they are made of."""

from __future__ import annotations

from shared.reports.limits import MAX_BODY_BYTES

_REPORT = b'"regime":"KTXH","period":"2026-M10","officer":"cb-01"'


def _filled(opening: bytes, unit: bytes, closing: bytes, size: int) -> bytes:
    """`opening`, then `unit` with commas between as often as it fits, then `closing`."""
    count = (size - len(opening) - len(closing) - 2) // (len(unit) + 1)
    return opening + b",".join([unit] * count) + closing


def _numbered(opening: bytes, unit: bytes, closing: bytes, size: int) -> bytes:
    """The same; `unit` has a `%d`, so that no two are the same."""
    count = (size - len(opening) - len(closing)) // (len(unit) + 4)
    made = opening + b",".join(unit % number for number in range(count)) + closing
    assert len(made) <= size
    return made


def hostile_bodies(size: int = MAX_BODY_BYTES) -> dict[str, bytes]:
    """Each at most `size` bytes and nearly that."""
    report = b"{" + _REPORT
    figures = report + b',"figures":{'
    narratives = report + b',"narratives":{'
    tables = report + b',"tables":{"T":['
    text = report + b',"narratives":{"n":"'
    room = size - len(text) - 3
    marks = "\u0301".encode()
    long_text = narratives + b",".join(
        b'"n%d":"a%s%s"' % (n, marks * 9_990, "\u0323".encode() * 9_990) for n in range(6)
    )
    return {
        "unknown members": _numbered(b"{", b'"a%d":0', b"}", size),
        "one unknown member again and again": _filled(b"{", b'"a":0', b"}", size),
        "known members again and again": _filled(report + b",", b'"nil":true', b"}", size),
        "spaced members": _numbered(b"{", b'"a%d"\n:\n0', b"}", size),
        "many figures": _numbered(figures, b'"a%d":0', b"}}", size),
        "wrong figures": _numbered(figures, b'"a%d":[]', b"}}", size),
        "figures again and again": _filled(figures, b'"a":0', b"}}", size),
        "an array for figures": _filled(report + b',"figures":[', b"0", b"]}", size),
        "arrays in an array": _filled(report + b',"figures":[', b"[]", b"]}", size),
        "objects in a figure": _filled(figures + b'"A":[', b'{"a":0}', b"]}}", size),
        "members in a figure": _numbered(figures + b'"A":{', b'"a%d":0', b"}}}", size),
        "many narratives": _numbered(narratives, b'"a%d":""', b"}}", size),
        "many rows": _filled(tables, b"{}", b"]}}", size),
        "numbers for rows": _filled(tables, b"0", b"]}}", size),
        "many cells": _filled(tables, b"{" + b",".join(b'"c%d":1' % n for n in range(40)) + b"}", b"]}}", size),
        "wrong cells": _filled(tables, b"{" + b",".join(b'"c%d":[]' % n for n in range(40)) + b"}", b"]}}", size),
        "many tables": _numbered(report + b',"tables":{', b'"t%d":[]', b"}}", size),
        "a cell of many members": _numbered(tables + b'{"A":{', b'"a%d":0', b"}}]}}", size),
        "a long number": figures + b'"A":' + b"9" * (size - len(figures) - 6) + b"}}",
        "a long fraction": figures + b'"A":1.' + b"9" * (size - len(figures) - 8) + b"}}",
        "a long key": b'{"' + b"k" * (size - 6) + b'":0}',
        "long codes": _filled(figures, b'"' + b"k" * 3000 + b'":0', b"}}", size),
        "escapes": text + b"\\u0000" * (room // 6) + b'"}}',
        "half pairs": text + b"\\ud800" * (room // 6) + b'"}}',
        "half pairs as keys": _filled(figures, b'"\\ud800":0', b"}}", size),
        "backslashes": text + b"\\\\" * (room // 2) + b'"}}',
        "quoted colons": text + b'\\":' * (room // 3) + b'"}}',
        "deep": b"[" * size,
        "deep in a figure": figures + b'"A":' + b"[" * 900 + b"]" * 900 + b"}}",
        "cut off": _numbered(b"{", b'"a%d":0', b",", size),
        "no UTF-8": b"{" + b" " * (size - 2) + b"\xff",
        "white space": b" " * size,
        "lines": b"\n" * (size - 1) + b"x",
        "marks": long_text + b"}}",
        "marks in figures": _numbered(figures, b'"a%d":"' + marks * 64 + b'"', b"}}", size),
        "a code as long as a body": b'{"regime":"' + b"k" * (size - 14) + b'"}',
    }  # fmt: skip

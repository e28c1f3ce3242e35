"""Negative controls of tests/accessible.py: a page without fault has none, and each fault is named."""

from __future__ import annotations

import pytest

from tests.accessible import faults

PAGE = """<!doctype html><html lang="vi"><head><title>Trang</title></head><body>
<a href="#main">Đến nội dung</a><nav aria-label="Trang"><a href="/" aria-current="page">Đầu</a><a href="/b">B</a></nav>
<main id="main" tabindex="-1"><h1>Một</h1><h2>Hai</h2><p id="why">Vì</p>
<label for="x">Mã</label><input id="x" aria-describedby="why"><input type="hidden" name="csrf"><button>Gửi</button>
<img src="a.svg" alt=""><div role="region" tabindex="0" aria-label="Bảng"><table><caption>Bảng</caption>
<tr><th scope="col">A</th></tr><tr><th scope="row">1</th><td><a href="/c"><span aria-hidden="true">!</span> c</a></td>
</tr></table></div></main></body></html>"""


def test_a_page_that_can_be_used_has_no_fault() -> None:
    assert faults(PAGE, "vi") == []


@pytest.mark.parametrize(
    ("good", "bad", "fault"),
    [
        ('lang="vi"', 'lang="en"', "does not say lang=vi"),
        ("<h2>Hai</h2>", "<h1>Hai</h1>", "<h1>: 2 of them"),
        ("<h2>Hai</h2>", "<h3>Hai</h3>", "<h3> follows <h1>"),
        ('<a href="#main">Đến nội dung</a>', "", "does not skip"),
        ('<a href="/b">', '<a href="/b" aria-current="page">', "several places"),
        ('<label for="x">Mã</label>', "", "<input> x: no label"),
        ('<label for="x">', '<label for="y">', "<input> x: no label"),
        ("<button>Gửi</button>", "<button></button>", "<button>: no text"),
        ("</span> c</a>", "</span></a>", "<a> /c: no text"),
        (' alt=""', "", "<img>: no alt"),
        ('<nav aria-label="Trang">', "<nav>", "<nav>: no name"),
        ("<caption>Bảng</caption>", "", "no caption"),
        (' scope="col"', "", "<th> A: no scope"),
        ('<th scope="row">1</th>', "<td>1</td>", "a row has no head: 1 c"),
        ('<p id="why">', '<p id="x">', "id x stands 2 times"),
        ('<p id="why">', "<p>", "leads to no element: why"),
        ('tabindex="0"', 'tabindex="3"', "out of the order of focus"),
    ],
)
def test_each_fault_is_named(good: str, bad: str, fault: str) -> None:
    assert good in PAGE
    assert any(fault in found for found in faults(PAGE.replace(good, bad, 1), "vi")), faults(
        PAGE.replace(good, bad, 1), "vi"
    )

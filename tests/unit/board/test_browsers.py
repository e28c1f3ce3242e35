"""Browsers by the names that people know."""

from __future__ import annotations

import pytest

from services.board.accounts.browsers import browser_name

_ENGINE = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_ENGINE} Chrome/131.0.0.0 Safari/537.36", "Chrome, Windows"),
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_ENGINE} Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
            "Edge, Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox, Linux"),
        (
            f"Mozilla/5.0 (Linux; Android 14; SM-A155F) {_ENGINE} SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile",
            "Samsung Internet, Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.1 Mobile/15E148 Safari/604.1",
            "Safari, iPhone",
        ),
        (
            f"Mozilla/5.0 (Windows NT 10.0) {_ENGINE} coc_coc_browser/120.0 Chrome/114.0 Safari/537.36",
            "Cốc Cốc, Windows",
        ),
        ("Firefox/133.0", "Firefox"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("may\x00quet\n" + "x" * 100, "mayquet" + "x" * 53),
        ("", ""),
    ],
)
def test_browsers_are_called_by_the_names_that_people_know(client: str, name: str) -> None:
    assert browser_name(client) == name

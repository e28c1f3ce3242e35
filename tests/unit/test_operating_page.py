"""The proxy that the page shows lets out what it says, by nginx's own order of choice."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
_LOCATION = re.compile(r"location\s+(?:(=|\^~|~\*?)\s+)?(\S+)\s*\{([^}]*)\}")


def chosen(config: str, path: str) -> str | None:
    """The body of the location that nginx takes: the longest prefix, unless a pattern fits; `^~` goes before patterns.

    Source: https://nginx.org/en/docs/http/ngx_http_core_module.html#location
    """
    prefix, patterns = ("", "", None), []
    for kind, name, body in _LOCATION.findall(config):
        if kind.startswith("~"):
            patterns.append((re.compile(name), body))
        elif path.startswith(name) and len(name) > len(prefix[1]):
            prefix = (kind, name, body)
    if prefix[0] == "^~":
        return prefix[2]
    return next((body for pattern, body in patterns if pattern.search(path)), prefix[2])


def test_the_proxy_of_the_page_keeps_exports_and_metrics_inside() -> None:
    config = PAGE.read_text(encoding="utf-8").partition("```nginx\n")[2].partition("```")[0]
    assert "proxy_pass" in (chosen(config, "/v1/submissions") or "")
    assert "proxy_pass" in (chosen(config, "/problems/not-found") or "")
    assert "404" in (chosen(config, "/v1/exports/submissions") or "")
    assert chosen(config, "/metrics") is None
    unmarked = config.replace("^~ ", "")
    assert "proxy_pass" in (chosen(unmarked, "/v1/exports/submissions") or ""), "negative control"

"""The proxy that the page shows lets out what it says, by nginx's own order; the checks of readiness are all told."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

from services.notifier.escalation.links import AnswerLinks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operating.md"
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


def page_of_the_proxy() -> str:
    """nginx's configuration on the page."""
    return PAGE.read_text(encoding="utf-8").partition("```nginx\n")[2].partition("```")[0]


def test_the_proxy_of_the_page_keeps_exports_and_metrics_inside() -> None:
    config = page_of_the_proxy()
    assert "proxy_pass" in (chosen(config, "/v1/submissions") or "")
    assert "proxy_pass" in (chosen(config, "/problems/not-found") or "")
    assert "404" in (chosen(config, "/v1/exports/submissions") or "")
    assert chosen(config, "/metrics") is None
    unmarked = config.replace("^~ ", "")
    assert "proxy_pass" in (chosen(unmarked, "/v1/exports/submissions") or ""), "negative control"


def test_the_proxy_lets_in_what_letters_link_to_and_logs_no_token() -> None:
    config, path = page_of_the_proxy(), AnswerLinks("", b"k" * 32).of(UUID(int=1))
    found = chosen(config, path) or ""
    assert "proxy_pass http://notifier;" in found
    assert "access_log off;" in found
    before = re.sub(r"  location ~ \^/v1/answers/ \{[^}]*\}\n", "", config)
    assert "intake" in (chosen(before, path) or ""), "negative control: intake knows no such page"
    board = (ROOT / "docs" / "board.md").read_text(encoding="utf-8").partition("```nginx\n")[2].partition("```")[0]
    assert "access_log off;" in (chosen(board, "/loi-moi/x") or "")
    assert "access_log off;" not in (chosen(board, "/bang") or "")


#: where readiness gets its checks: a loop's pulse, the service's own, a background's, a look at the database
_CHECKS = re.compile(
    r'Pulse(?:\.every)?\(\s*f?"([a-z ]+)|checks\[f?"([a-z ]+)'
    r'|Loader\("([a-z ]+)"|"([a-z ]+)": (?:Check\(|self\.health\.check|check_\w+\b)'
    r'|looks\s*=\s*\{"([a-z ]+)"|looks\["([a-z ]+)"'
)


def checks_there() -> set[str]:
    sources = [
        path.read_text(encoding="utf-8") for top in ("services", "shared") for path in (ROOT / top).rglob("*.py")
    ]
    found = {next(filter(None, groups)).strip() for text in sources for groups in _CHECKS.findall(text)}
    return found - {"readiness"}  # said only when the others cannot be asked


def checks_told(page: str) -> set[str]:
    table = page.partition("| check | not ready when |\n")[2].partition("\n\n")[0]
    first = [line.split("|")[1] for line in table.splitlines()]
    return {name.strip() for cell in first for name in re.findall(r"`([a-z ]+)(?: …)?`", cell)}


def test_the_page_has_every_check_of_readiness() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "mail server" in checks_told(page)
    assert checks_told(page) == checks_there()
    assert checks_told(page.replace("`mail server`", "`post office`")) != checks_there(), "negative control"

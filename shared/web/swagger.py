"""Stock Swagger UI at /docs, from our own origin: its files as released, a page and a script of ours around them.

The browser refuses a file whose hash differs from the one here, and the policy allows no inline script and no other
origin. An upgrade changes VERSION and the hashes: `openssl dgst -sha384 -binary FILE | base64`, of the npm release.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files

VERSION = "5.31.0"
PATH = f"/docs/swagger-ui/{VERSION}"
START_PATH = "/docs/start.js"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of swagger-ui-dist (Apache-2.0)."""

    name: str
    media_type: str
    integrity: str  # https://www.w3.org/TR/SRI/

    @property
    def path(self) -> str:
        return f"{PATH}/{self.name}"


STYLE = Asset("swagger-ui.css", "text/css", "sha384-KX9Rx9vM1AmUNAn07bPAiZhFD4C8jdNgG6f5MRNvR+EfAxs2PmMFtUUazui7ryZQ")
SCRIPT = Asset(
    "swagger-ui-bundle.js",
    "text/javascript",
    "sha384-cxafBeQ+zYROeFafGFxtFbnp1ICqeS9mG7+f0WWSHzhnrUvwg9Za5CCw6wgrHA7K",
)
ASSETS = (STYLE, SCRIPT)

HEADERS = {
    # Swagger UI sets styles from its script, which this allows, and holds its icons as data: images
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
#: the version is in the path, so what is there never changes
ASSET_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}

#: validatorUrl: null, because the stock default asks a server on the internet
START = """\
window.addEventListener("DOMContentLoaded", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
  });
});
"""


def page(title: str) -> str:
    """The page that starts Swagger UI."""
    return (
        f'<!doctype html><html lang="vi"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="{STYLE.path}" integrity="{STYLE.integrity}">'
        f'<script defer src="{SCRIPT.path}" integrity="{SCRIPT.integrity}"></script>'
        f'<script defer src="{START_PATH}"></script></head><body><div id="swagger-ui"></div>'
        '<p><a href="/openapi.json">/openapi.json</a> ·'
        ' <a href="/problems">các loại lỗi / problems</a></p>'
        "<noscript>Trang này cần JavaScript. / This page needs JavaScript.</noscript></body></html>"
    )


@cache
def content(asset: Asset) -> bytes:
    """The file as it is installed."""
    return (files("swagger_ui_bundle") / "vendor" / f"swagger-ui-{VERSION}" / asset.name).read_bytes()

"""The limit of HTTP: the same middleware in front of an application that stores nothing and answers a constant.

A second application answers the constant under the bare server, which shows the cost of the middleware.
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from services.intake.submissions.api import mount_submissions
from shared.reports.limits import MAX_BODY_BYTES
from shared.telemetry.readiness import Check, Readiness
from shared.web.app import create_app, read_body

_BODY = (
    b'{"submission_id":"01931f5e-7a3c-7b8e-9c1d-2f4a6b8c0d1e","obligation":"H98.00.00/BENCH-THANG/2026-M11",'
    b'"version":1,"received_at":"2026-11-20T08:00:00.000000+07:00","sha256":"' + b"0" * 64 + b'","status":"received"}'
)
_START = {
    "type": "http.response.start",
    "status": 201,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())],
}


class Constant:
    """Reads the body, as the real endpoint does, and answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive, MAX_BODY_BYTES)
        await send(dict(_START))
        await send({"type": "http.response.body", "body": _BODY})


def build() -> ASGIApp:
    """Return the application inside its middleware."""

    async def ready() -> Readiness:
        return Readiness.of({"constant": Check(ok=True)})

    app = create_app("constant", title="constant", readiness=ready, body_limit_bytes=MAX_BODY_BYTES)
    mount_submissions(app, Constant())
    return app


def main(port: int, bare: bool) -> None:
    """Serve as the services do."""
    uvicorn.run(
        Constant() if bare else build(), host="127.0.0.1", port=port, loop="uvloop", http="httptools", ws="none",
        access_log=False, log_config=None, server_header=False, date_header=False, backlog=2048,
        lifespan="off" if bare else "auto",
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), "bare" in sys.argv[2:])

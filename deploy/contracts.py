"""`python -m deploy.contracts write|check` keeps the committed contracts in step with the code.

The contracts are the event schemas (shared/contract/schemas) with every field ever released (released.txt there), the
AsyncAPI documents (docs/asyncapi) and the list of metrics (docs/metrics.md). `write` refuses to break a committed
contract; it only ever adds to released.txt.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.contract import asyncapi, released
from shared.contract.events import MODELS
from shared.contract.events import schemas as event_schemas
from shared.contract.services import SERVICES
from shared.telemetry import metrics

ROOT = Path(__file__).resolve().parent.parent
METRICS_FILE = ROOT / "docs" / "metrics.md"


def metrics_text(root: Path = ROOT) -> str:
    """docs/metrics.md: the backbone's metrics, then each service's own."""
    sections = {"shared.telemetry.metrics": "Nền chung / backbone (every service)"}
    for path in sorted((root / "services").glob("*/metrics.py")):
        sections[f"services.{path.parent.name}.metrics"] = path.parent.name
    parts = [
        "# Số đo / Metrics\n",
        "Mỗi dịch vụ trả số đo tại `/metrics` (Prometheus). / Each service serves these at `/metrics`.",
        "Made by `python -m deploy.contracts write`; do not edit.\n",
    ]
    for module, title in sections.items():
        importlib.import_module(module)
        declared = [metric for metric in metrics.CATALOGUE.values() if metric.module == module]
        if declared:
            parts.append(metrics.document(title, declared))
    return "\n".join(parts)


def expected(root: Path = ROOT) -> dict[Path, str]:
    """Every contract file with the text it must have."""
    schemas = {event_schemas.file_of(model.TYPE): event_schemas.schema_text(model) for model in MODELS.values()}
    documents = {asyncapi.file_of(service): asyncapi.document_text(service) for service in SERVICES}
    return {**schemas, **documents, METRICS_FILE: metrics_text(root), released.FILE: released.extended_text()}


def differences() -> list[str]:
    """Every contract file that is missing or out of date, and every broken contract."""
    found = []
    for path, text in expected().items():
        if not path.exists():
            found.append(f"{path.relative_to(ROOT)}: missing; run `python -m deploy.contracts write`")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"{path.relative_to(ROOT)}: out of date; run `python -m deploy.contracts write`")
    return found + broken_promises()


def broken_promises() -> list[str]:
    """Every way in which the models break a committed schema or a released field."""
    return event_schemas.breaks() + released.breaks()


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0 all right, 1 differences or a broken contract, 2 wrong usage."""
    say = sys.stderr.write
    match list(arguments):
        case ["check"]:
            found = differences()
            for line in found:
                say(line + "\n")
            return 1 if found else 0
        case ["write", *options] if set(options) <= {"--break"}:
            broken = broken_promises()
            if broken and not options:
                for line in broken:
                    say(line + "\n")
                say("A committed event would break: publish a new type (….v2) beside it instead.\n")
                say("Only before a first release: write --break\n")
                return 1
            for path, text in expected().items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            if broken:  # --break: the present fields become the released ones
                released.FILE.write_text(released.text_of(released.fields_of()), encoding="utf-8")
            for event_type in set(event_schemas.committed()) - set(MODELS):
                event_schemas.file_of(event_type).unlink()
            return 0
        case _:
            say("python -m deploy.contracts write [--break] | check\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Sets one report: its parts as JSON on standard input, the PDF (PDF/A-2b, ISO 19005-2) on standard output.

A process of its own: what the typesetter keeps ends with it, and a report that hangs it is killed alone.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import typst

TEMPLATE = Path(__file__).with_name("report.typ")
MEMORY_BYTES, CPU_SECONDS = 2 * 1024**3, 30


def main() -> None:
    """Read, set, write."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    document = sys.stdin.buffer.read().decode()
    sys.stdout.buffer.write(
        typst.compile(str(TEMPLATE), root=str(TEMPLATE.parent), sys_inputs={"document": document}, pdf_standards="a-2b")
    )


if __name__ == "__main__":
    main()

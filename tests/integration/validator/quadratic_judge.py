"""The judging process as it would be if normalising still cost the square: one call into C that takes seconds."""

from __future__ import annotations

import unicodedata

from services.validator import judge_process
from services.validator.rules import narratives


def quadratic(text: str) -> str:
    """NFC without making the text stream-safe first."""
    return unicodedata.normalize("NFC", text)


if __name__ == "__main__":
    narratives.nfc = quadratic  # type: ignore[attr-defined]
    judge_process.main()

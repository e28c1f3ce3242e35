"""Which characters nobody sees as they are stored, and how a text that may hold them stands in a message; pure."""

from __future__ import annotations

import re

LINE_BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
#: What nobody sees, or sees otherwise than it is stored: C0, C1, DEL; marks that change the direction of what stands
#: beside them (UAX #9); what is drawn as nothing (Default_Ignorable_Code_Point of UAX #44, blank letters); a BOM
#: inside; private use, which each font draws as it likes; surrogates; what is no character at all
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 15))
    + "]"
)


def shown(text: str, limit: int = 80) -> str:
    """The text, fit to stand in a message: nothing hidden or broken in it, no longer than `limit`."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", LINE_BREAKS.sub(" ", cut))

"""How much one report may hold. The door counts against these before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

MAX_BODY_BYTES = 256 * 1024
MAX_FIGURES = 2_000
MAX_NARRATIVES = 200
MAX_CODE_CHARACTERS = 64
MAX_FIGURE_CHARACTERS = 128
MAX_NARRATIVE_CHARACTERS = 20_000
MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
#: errors told for one body: a client with thousands of wrong figures has made one mistake, not thousands
MAX_ERRORS = 100

#: Codes become parts of keys joined by `/` and of JSON Pointers: no slash, no space, no tilde.
_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
is_code = _CODE.fullmatch

#: The same few thousand codes come again and again: good ones are remembered, so that a form costs one comparison.
_MAX_REMEMBERED_CODES = 20_000
_good_codes: set[str] = set()


def are_codes(names: AbstractSet[str]) -> bool:
    """Whether all of the names can be codes."""
    if names <= _good_codes:
        return True
    if not all(map(is_code, names)):
        return False
    if len(_good_codes) >= _MAX_REMEMBERED_CODES:
        _good_codes.clear()
    _good_codes.update(names)
    return True


#: visible ASCII (draft-ietf-httpapi-idempotency-key-header leaves the form to the server)
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
is_idempotency_key = _IDEMPOTENCY_KEY.fullmatch

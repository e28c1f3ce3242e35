"""How much one report may hold. The door counts against these before anything is stored."""

from __future__ import annotations

import re

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

#: visible ASCII (draft-ietf-httpapi-idempotency-key-header leaves the form to the server)
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
is_idempotency_key = _IDEMPOTENCY_KEY.fullmatch

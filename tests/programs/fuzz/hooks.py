"""Gives schemathesis ids and codes that exist, so that its cases get past the first 404.

FUZZ_KNOWN is a JSON object: parameter name -> list of values.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

KNOWN: dict[str, list[str]] = json.loads(os.environ.get("FUZZ_KNOWN", "{}"))
#: of the cases, one in so many keeps what was made up
MADE_UP_ONE_IN = 3


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Put known values in, chosen by the case itself, so that the same seed gives the same case."""
    if not path_parameters:
        return path_parameters
    pick = sum(str(path_parameters).encode())
    if pick % MADE_UP_ONE_IN == 0:
        return path_parameters
    return {
        name: KNOWN[name][pick % len(KNOWN[name])] if KNOWN.get(name) else value
        for name, value in path_parameters.items()
    }

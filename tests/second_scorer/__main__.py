"""Prints what differs; exit code 1 where something does."""

import sys
from pathlib import Path

from tests.second_scorer.agreement import differences
from tests.second_scorer.days import moment

found = list(differences(Path(sys.argv[1]), moment(sys.argv[2])))
print("\n".join([*found, f"{len(found)} differences"]))
raise SystemExit(bool(found))

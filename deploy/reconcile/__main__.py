"""python -m deploy.reconcile: 0 no difference, 1 differences, 2 could not compare."""

from __future__ import annotations

import sys

from deploy.reconcile.commands import main
from shared.runtime.collector import spare_the_collector

if __name__ == "__main__":
    spare_the_collector()
    sys.exit(main())

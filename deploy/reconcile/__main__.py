"""python -m deploy.reconcile: 0 no difference, 1 differences, 2 could not compare."""

from __future__ import annotations

import sys

from deploy.reconcile.commands import main

if __name__ == "__main__":
    sys.exit(main())

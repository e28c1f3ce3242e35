"""A token bucket per name slows a client that sends too much; memory stays bounded."""

from __future__ import annotations

import math

from shared.runtime.clock import monotonic_seconds

#: requests without a valid key or token from one address: sustained rate and burst
STRANGERS_PER_SECOND, STRANGERS_BURST = 5.0, 50

#: a name is a code or an address; longer names with the same beginning share a bucket
MAX_NAME_CHARACTERS = 64
#: a name of that length with its bucket takes less than 500 bytes: 10 MB in all
MAX_NAMES = 20_000


class Limiter:
    """Buckets of `burst` tokens that refill at `rate_per_second`; keeps at most `max_names`."""

    def __init__(self, rate_per_second: float, burst: int, *, max_names: int = MAX_NAMES) -> None:
        self._rate = rate_per_second
        self._burst = float(burst)
        self._max_names = max_names
        self._buckets: dict[str, tuple[float, float]] = {}  # name -> (tokens, at)

    def take(self, name: str) -> int:
        """Take a token. Returns 0 if there was one, else the whole seconds until the next (at least 1)."""
        now = monotonic_seconds()
        name = name[:MAX_NAME_CHARACTERS]
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= self._max_names:
                self._forget(now)
            tokens = self._burst
        else:
            tokens = min(self._burst, bucket[0] + (now - bucket[1]) * self._rate)
        if tokens < 1:
            return max(1, math.ceil((1 - tokens) / self._rate))
        self._buckets[name] = (tokens - 1, now)
        return 0

    def _forget(self, now: float) -> None:
        """Drop full buckets, which limit nothing; if none is full, the oldest half."""
        full_after = self._burst / self._rate
        kept = {name: bucket for name, bucket in self._buckets.items() if now - bucket[1] < full_after}
        if len(kept) >= self._max_names:
            newest = sorted(kept.items(), key=lambda item: item[1][1])[len(kept) // 2 :]
            kept = dict(newest)
        self._buckets = kept

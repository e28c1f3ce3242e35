"""The one way a service keeps a copy of another's records: an older version never overwrites a newer one."""

from shared.projection.projection import Projection

__all__ = ["Projection"]

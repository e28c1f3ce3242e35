"""The transactional outbox: publish on the caller's transaction, relay after its commit, archive, replay."""

from shared.outbox.publish import Outgoing, caused_by, publish, publish_encoded

__all__ = ["Outgoing", "caused_by", "publish", "publish_encoded"]

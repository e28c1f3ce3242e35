"""The transactional outbox: publish on the caller's transaction, relay after its commit, archive, replay."""

from shared.outbox.publish import Outgoing, cause_of, caused_by, publish, publish_encoded

__all__ = ["Outgoing", "cause_of", "caused_by", "publish", "publish_encoded"]

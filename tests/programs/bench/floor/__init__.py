"""The floor: the same work with the same durability, by hand, without framework, ORM or runtime; no model to copy.

It leaves out problem details in two languages, per-error diagnosis, dead letters, deferred events, metrics, rate
limits, unchanged reports, reminders and mail. It shows what the language and the protocols allow.
"""

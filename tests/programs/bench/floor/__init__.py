"""The floor: the same work by hand, without framework, ORM or runtime, with the same durability; nothing to copy from.

What it leaves out on purpose: problem details in two languages, per-error diagnosis, dead letters, waiting events,
metrics, rate limits, unchanged reports, reminders, mail. It bounds what the language and the protocols allow.
"""

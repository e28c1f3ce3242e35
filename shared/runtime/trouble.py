"""Trouble that passes by itself or by an operator's hand: it is waited out, never dead-lettered."""


class InfrastructureTrouble(Exception):
    """Something we need is away and will come back: wait and try the same thing again."""

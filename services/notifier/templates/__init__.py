"""Composes letters: Vietnamese first, English below, text and HTML alternatives, no line break in any header."""

from services.notifier.templates.compose import CannotRender, Composer, Originator
from services.notifier.templates.words import deadline_words

__all__ = ["CannotRender", "Composer", "Originator", "deadline_words"]

"""Letters are made here: Vietnamese first, English below, text and HTML alternatives, no line break in any header."""

from services.notifier.templates.compose import CannotRender, Composer, Sender
from services.notifier.templates.words import deadline_words, period_words

__all__ = ["CannotRender", "Composer", "Sender", "deadline_words", "period_words"]

"""When an account may be tried again, and when a session has ended. Pure; moments are system time.

Source: OWASP ASVS 5.0, 6 (authentication) and 7 (session management); NIST SP 800-63B-4, 3.1.1.2 (passwords).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: wrong passwords in a row before the account has to wait, and how long it waits then; each further one doubles it
FREE_FAILURES = 5
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)

MIN_PASSWORD_CHARACTERS, MAX_PASSWORD_CHARACTERS = 12, 128


def locked_until(failures: int, failed_at: datetime | None) -> datetime | None:
    """Until when no password is looked at after so many wrong ones, the last at `failed_at`; None: not locked.

    Somebody who guesses is slowed to a hundred tries a day. Somebody who goes on trying keeps the owner out for so
    long: an operator sees it in the list of sign-ins.
    """
    if failures < FREE_FAILURES or failed_at is None:
        return None
    doublings = min(failures - FREE_FAILURES, 16)
    wait: timedelta = min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)
    return failed_at + wait


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is stored."""

    began_at: datetime
    seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None

    def is_live(self, now: datetime, idle: timedelta) -> bool:
        """Whether it still says who somebody is."""
        return self.ended_at is None and now < self.expires_at and now < self.seen_at + idle


def password_faults(password: str, person_id: str, name: str) -> list[str]:
    """What keeps a password from being taken: too_short, too_long, own_name, one_character. Any characters are fine."""
    faults = []
    if len(password) < MIN_PASSWORD_CHARACTERS:
        faults.append("too_short")
    if len(password) > MAX_PASSWORD_CHARACTERS:
        faults.append("too_long")
    lowered = password.casefold()
    if any(word and word in lowered for word in (person_id.casefold(), name.casefold())):
        faults.append("own_name")
    if password and len(set(password)) < 5:
        faults.append("few_characters")
    return faults

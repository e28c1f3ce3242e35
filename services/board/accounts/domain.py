"""When a sign-in may be tried again, and when a session has ended. Pure; moments are system time.

Source: OWASP ASVS 5.0, 6 (authentication) and 7 (session management); OWASP "Slow down online guessing attacks with
device cookies"; NIST SP 800-63B-4, 3.1.1.2 (passwords).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: wrong passwords in a row from one source before it waits, and how long it waits then; each further one doubles it
FREE_FAILURES = 5
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
#: a source that was quiet for so long begins anew
FORGOTTEN_AFTER = timedelta(days=1)
#: wrong passwords for one id over all addresses: at once, and how many of them are forgiven in an hour. One address
#: alone, or two, never reach the bound: they wait for themselves first
MOST_ANYWHERE, FORGIVEN_AN_HOUR = 100, 10

MIN_PASSWORD_CHARACTERS, MAX_PASSWORD_CHARACTERS = 12, 128


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong passwords of one source, the last of them at `at`. Over all addresses `count` need not be whole."""

    count: float = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Guesses:
    """Wrong passwords for one id: from the caller's address, over all addresses, and of the caller's device.

    `device` is None for a caller who brought no cookie of a device on which this id has signed in. Those who bring one
    are counted by it alone: whatever others do, its owner comes in.
    """

    address: Failures = Failures()
    anywhere: Failures = Failures()
    device: Failures | None = None


def may_try(guesses: Guesses, now: datetime) -> bool:
    """Whether the password counts now. A guesser gets 104 tries on the first day and 96 on each further one from one
    address or device, and from any number of addresses together 340 and 240.
    """
    source = guesses.device if guesses.device is not None else guesses.address
    until = waits_until(source)
    if until is not None and now < until:
        return False
    return guesses.device is not None or _left(guesses.anywhere, now) <= MOST_ANYWHERE - 1


def failed(guesses: Guesses, now: datetime) -> Guesses:
    """The same with one wrong password more."""
    if guesses.device is not None:
        return Guesses(guesses.address, guesses.anywhere, _one_more(guesses.device, now))
    return Guesses(_one_more(guesses.address, now), Failures(_left(guesses.anywhere, now) + 1, now))


def waits_until(failures: Failures) -> datetime | None:
    """Until when a source waits after these wrong passwords in a row; None: it need not."""
    if failures.count < FREE_FAILURES or failures.at is None:
        return None
    doublings = min(int(failures.count) - FREE_FAILURES, 16)
    wait: timedelta = min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)
    return failures.at + wait


def _one_more(failures: Failures, now: datetime) -> Failures:
    is_forgotten = failures.at is not None and now - failures.at >= FORGOTTEN_AFTER
    return Failures(1 if is_forgotten else failures.count + 1, now)


def _left(failures: Failures, now: datetime) -> float:
    """What is not forgiven yet of the wrong passwords over all addresses."""
    if failures.at is None:
        return 0
    return max(0, failures.count - (now - failures.at) / timedelta(hours=1) * FORGIVEN_AN_HOUR)


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

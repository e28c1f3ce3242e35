"""A letter's bytes are what the standard library's own message of the same headers and bodies says."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from services.notifier.templates import Composer, Originator
from services.notifier.templates import compose as composing
from services.notifier.templates.compose import Letter
from services.notifier.templates.preview import samples

SAMPLES = samples()


def letter(name: str) -> Letter:
    originator = Originator("khong-tra-loi@thongsuot.example", reply_to="van-phong@h99.example")
    return Composer(originator)._letter(SAMPLES[name])


def reference(of: Letter) -> EmailMessage:
    """The same by EmailMessage, as it would go out."""
    made = EmailMessage(policy=composing._POLICY)
    for name, value in of.headers:
        made[name] = value
    made.set_content(of.text, cte="quoted-printable")
    made.add_alternative(of.html, subtype="html", cte="quoted-printable")
    made.set_boundary(of.boundary)
    found = message_from_bytes(made.as_bytes(), policy=default)
    assert isinstance(found, EmailMessage)
    return found


def said(message: EmailMessage) -> tuple[dict[str, str], list[str]]:
    headers = {name: str(value) for name, value in message.items()}
    headers.pop("Content-Language", None)  # the library moves it into the first part; ours says it of both
    bodies = [part.get_content() for part in message.iter_parts() if isinstance(part, EmailMessage)]
    return headers, [body.replace("\r\n", "\n") for body in bodies]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_letter_says_what_the_standard_library_would_say(name: str) -> None:
    ours = letter(name)
    wire = ours.as_bytes()
    found = message_from_bytes(wire, policy=default)
    assert isinstance(found, EmailMessage)
    assert not [defect for part in found.walk() for defect in part.defects]
    assert said(found) == said(reference(ours))
    assert wire.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", wire)
    assert max(map(len, wire.split(b"\r\n"))) <= 78


def test_long_and_odd_contents_stay_whole() -> None:
    ours = letter("escalation")
    ours["X-Long"] = "word " * 60
    ours.set_content(". \n.\nFrom here\n=3D\ttab\t\n" + "ấ" * 300 + "  \n" + "x" * 1000)
    ours.add_alternative("<p>" + "y" * 998 + "</p>")
    found = message_from_bytes(ours.as_bytes(), policy=default)
    assert isinstance(found, EmailMessage)
    headers, bodies = said(found)
    assert headers["X-Long"].split() == ["word"] * 60
    assert bodies == [f"{ours.text}\n", f"{ours.html}\n"]  # each ends in a line end
    assert max(map(len, ours.as_bytes().split(b"\r\n"))) <= 78

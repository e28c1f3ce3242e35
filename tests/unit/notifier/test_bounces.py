"""Bounces are read from what mail servers write, and from nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.delivery.bounces import MAX_WHY_CHARACTERS, Bounce, NoBounce, read_dsn

OURS = "<abc234@thongsuot.example>"


def dsn(
    action: str = "failed",
    copy: str = "text/rfc822-headers",
    message_id: str = OURS,
    diagnostic: str = "smtp; 550 5.1.1 <cb@h99.example>: user unknown",
) -> bytes:
    """As Postfix writes it."""
    return f"""From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: khong-tra-loi@thongsuot.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <its-own@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you about {message_id}.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; cb@h99.example
Action: {action}
Status: 5.1.1
Diagnostic-Code: {diagnostic}

--B
Content-Type: {copy}

From: khong-tra-loi@thongsuot.example
Message-ID: {message_id}
Subject: x

--B--
""".replace("\n", "\r\n").encode()


@pytest.mark.parametrize("copy", ["text/rfc822-headers", "message/rfc822"])
def test_the_message_that_came_back_and_why_are_read_without_the_address(copy: str) -> None:
    assert read_dsn(dsn(copy=copy)) == Bounce(OURS, "5.1.1 smtp; 550 5.1.1 <…>: user unknown")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "delivery-status"),
        (b"Subject: Out of office\r\n\r\nI am away: <abc234@thongsuot.example>", "delivery-status"),
        (dsn(action="delayed"), "Action: failed"),
        (dsn(action="delivered"), "Action: failed"),
        (dsn(copy="text/plain"), "Message-ID"),
        (dsn(message_id="none"), "Message-ID"),
    ],
)
def test_what_is_no_failed_delivery_of_ours_is_refused_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(NoBounce, match=why):
        read_dsn(content)


def test_a_long_or_odd_diagnosis_is_cut_and_cleaned() -> None:
    why = read_dsn(dsn(diagnostic="smtp; \x00" + "x" * 5000)).why
    assert len(why) == MAX_WHY_CHARACTERS
    assert "\x00" not in why


@given(content=st.binary(max_size=400), place=st.integers(0, 700))
def test_whatever_comes_is_a_bounce_or_refused(content: bytes, place: int) -> None:
    whole = dsn()
    for given_content in (content, whole[:place] + content + whole[place:]):
        try:
            read_dsn(given_content)
        except NoBounce:
            continue

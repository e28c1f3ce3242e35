"""What a gateway's answer, or its silence, says of a text. Pure.

Certain are: an answer that the file calls one, 2xx that passes the success test, 4xx, 429 and 503. Every other 5xx and
a 2xx that fails the test say neither yes nor no: the text may be on its way. Source: RFC 9110 15.5, 15.6; RFC 6585 4.
"""

from __future__ import annotations

import json
from typing import Any

from services.notifier.channels.gateway.file import AnswerPart, GatewayPart, SuccessPart
from services.notifier.delivery.states import (
    MailAccepted,
    MailDeferred,
    MailRefused,
    MailUncertain,
    SendResult,
)

#: 401, 403, 404, 405, 407, 415: the file or the contract is wrong, not the text
SET_UP = frozenset({401, 403, 404, 405, 407, 415})
#: certainly not taken: not now
NOT_NOW = frozenset({408, 425, 429, 503})


def judge(gateway: GatewayPart, status: int, answer: str) -> SendResult:
    """The result of an attempt that was answered. `answer`: the beginning of the body."""
    members = _members(answer)
    means = next((part.means for part in gateway.answers if _is(part, status, members)), None)
    said = answer[:300]
    match means:
        case "later":
            return MailDeferred("rcpt", status, said)
        case "refused":
            return MailRefused("body", status, said)
        case "bad_address":
            return MailRefused("rcpt", status, said)
        case "set_up":
            return MailDeferred("mail", status, said)
    success = gateway.success
    if status in success.status and (not success.member or _same(success, members)):
        return MailAccepted(status, said)
    if 300 <= status < 400 or status in SET_UP or status in NOT_NOW:
        return MailDeferred("mail", status, said)
    if 400 <= status < 500:
        return MailDeferred("rcpt", status, said)
    return MailUncertain(f"{status} {said}")


def rests(result: SendResult) -> bool:
    """Whether the answer is about the gateway rather than this text: no other text is tried now."""
    return isinstance(result, MailDeferred) and result.stage == "mail"


def _is(part: AnswerPart, status: int, members: Any) -> bool:
    return part.status == status and (not part.member or _same(part, members))


def _same(part: AnswerPart | SuccessPart, members: Any) -> bool:
    found = members
    for name in part.member.split("."):
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            return False
    return _plain(found) == _plain(part.value)


def _plain(value: object) -> str:
    """As text: gateways write a code as 0 or as "0"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _members(answer: str) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None

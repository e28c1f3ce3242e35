"""What asker and addressees read of information requests. Every query names the agencies that the key reads for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text

from services.intake.information.answers import Answer, Standing, answer_of
from services.intake.information.views import InformationRequestView, request_view
from services.intake.pages import fetched
from services.intake.registry.records import record_of
from services.intake.submissions.store import NOT_TAKEN_BACK, UPHELD
from shared.contract.events import RequestIssued, obligation_key
from shared.postgres.database import ReadTransaction

Role = Literal["asker", "addressee"]

_ASKER = "record ->> 'asked_by' = ANY(CAST(:own AS text[]))"
_ADDRESSEE = "record -> 'agencies' ?| CAST(:own AS text[])"
_ROLES: Mapping[Role | None, str] = {
    "asker": _ASKER,
    "addressee": f"record ->> 'asked_by' IS NOT NULL AND {_ADDRESSEE}",
    None: f"record ->> 'asked_by' IS NOT NULL AND ({_ASKER} OR {_ADDRESSEE})",
}
_WITHDRAWN = "record ->> 'withdrawn_at' IS NOT NULL"
_DUE = "CAST(record ->> 'deadline' AS timestamptz) < :now"
_STATES = {
    "open": f"NOT {_WITHDRAWN} AND NOT {_DUE}",
    "due": f"NOT {_WITHDRAWN} AND {_DUE}",
    "withdrawn": _WITHDRAWN,
}
_ISSUED = "CAST(record ->> 'issued_at' AS timestamptz)"
_ONE = text("SELECT version, record FROM registry WHERE key = :key AND record ->> 'asked_by' IS NOT NULL")
_STANDINGS = text("""
    SELECT agency, standing, owed, overdue, deadline, CAST(document ->> 'on_time' AS boolean),
           CAST(document ->> 'last_received_at' AS timestamptz), document ->> 'transferred_to'
      FROM standings WHERE obligation = ANY(CAST(:obligations AS text[]))
""")
# A report goes before a refusal, as it does for the score. A refusal is short: a body beyond this is padded, and so
# many of them would fill the memory.
_MAX_BODY_BYTES = 32_768
_ANSWERS = text(f"""
    SELECT found.agency, found.submission_id, found.version, found.received_at, found.nil, found.body
      FROM unnest(CAST(:obligations AS text[])) AS owed (obligation)
     CROSS JOIN LATERAL (
        SELECT submission.agency, submission.submission_id, submission.version, submission.received_at, submission.nil,
               CASE WHEN :whole OR (submission.nil AND octet_length(submission.body) <= :most) THEN submission.body END
                   AS body
          FROM submissions AS submission JOIN verdicts USING (submission_id)
         WHERE submission.obligation = owed.obligation
           AND (verdicts.outcome = 'accepted' OR {UPHELD}) AND {NOT_TAKEN_BACK}
           AND (NOT :certified OR EXISTS (SELECT FROM steps
                   WHERE steps.submission_id = submission.submission_id AND steps.kind = 'certified'))
         ORDER BY submission.nil, submission.version DESC LIMIT 1
     ) AS found
""")  # noqa: S608 - constants


async def listed(
    tx: ReadTransaction,
    own: Sequence[str],
    *,
    role: Role | None,
    state: str | None,
    now: datetime,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[InformationRequestView]:
    """Requests that an agency made, or that were made of it, the newest first, behind `before`.

    own: the agency and those whose duties it has inherited.
    """
    conditions = [_ROLES[role], *([_STATES[state]] if state else [])]
    if before is not None:
        conditions.append(f"({_ISSUED}, key) < (CAST(:before_at AS timestamptz), CAST(:before_key AS text))")
    query = text(
        "SELECT key, version, record FROM registry WHERE kind = 'request' AND "  # noqa: S608 - constants
        + " AND ".join(f"({condition})" for condition in conditions)
        + f" ORDER BY {_ISSUED} DESC, key DESC LIMIT :limit"
    )
    given: dict[str, Any] = {"own": list(own), "now": now, "limit": limit}
    given |= {"before_at": before[0] if before else None, "before_key": before[1] if before else None}
    used = {name: value for name, value in given.items() if f":{name}" in query.text}
    return await fetched(
        tx, query, used, lambda row: request_view(_request(row["key"], row["version"], row["record"]), now)
    )


async def one(tx: ReadTransaction, request_id: str) -> RequestIssued | None:
    """An information request; None for any other."""
    key = f"request/{request_id}"
    row = (await tx.execute(_ONE, {"key": key})).first()
    return None if row is None else _request(key, *row)


async def standings(tx: ReadTransaction, request: RequestIssued, agencies: Sequence[str]) -> dict[str, Standing]:
    """What scoring has told of these agencies' obligations, by agency."""
    rows = await tx.execute(_STANDINGS, {"obligations": _obligations(request, agencies)})
    return {row[0]: Standing(*row) for row in rows}


async def answers(
    tx: ReadTransaction, request: RequestIssued, agencies: Sequence[str], *, certified: bool, whole: bool = False
) -> dict[str, Answer]:
    """The accepted answers of these agencies, by agency. `whole`: with what they say, not only why they decline.

    certified: the request's regime counts only what is certified.
    """
    given = {"obligations": _obligations(request, agencies), "certified": certified, "whole": whole}
    rows = await tx.execute(_ANSWERS, given | {"most": _MAX_BODY_BYTES})
    found = {}
    for agency, submission_id, version, received_at, nil, body in rows:
        if body is not None:
            found[agency] = answer_of(agency, submission_id, version, received_at, bytes(body))
        else:
            kind: Literal["answered", "nothing"] = "nothing" if nil else "answered"
            found[agency] = Answer(agency, submission_id, version, received_at, kind)
    return found


def _request(key: str, version: int, record: Mapping[str, Any]) -> RequestIssued:
    request = record_of(key, version, record)
    assert isinstance(request, RequestIssued), "by its key"
    return request


def _obligations(request: RequestIssued, agencies: Sequence[str]) -> list[str]:
    return [obligation_key(agency, request.regime, request.request_id) for agency in agencies]

"""`/v1/registry`: records are read, and changed one at a time; lists of what needs a look."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel, Field

from services.intake import pages, problems
from services.intake.administration import attention, changing, records
from services.intake.administration.attention import ReviewList, UnstaffedAgency, UnstaffedPage
from services.intake.administration.callers import Reaching
from services.intake.administration.changing import Checked, Refused, Stale
from services.intake.administration.reach import Reach
from services.intake.administration.records import RecordPage, RecordView, VersionView, stored_key
from services.intake.audit.domain import Author
from services.intake.parameters import Page, version_of_etag
from services.intake.registry import load as loading
from services.intake.registry.cache import RegistryCache
from services.intake.registry.records import Kind, audited_content, record_of
from services.intake.registry.regimes import Addressed
from shared.postgres.database import Database
from shared.runtime.clock import LOCAL_ZONE, Clock, SystemClock
from shared.runtime.file_errors import FileError
from shared.web.app import Application
from shared.web.authentication import Operators
from shared.web.errors import FieldError, Problem, bad_request, conflict, forbidden, not_found, unprocessable
from shared.web.media import must_be_json
from shared.web.paging import paginate

_KEY = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}(@[1-9][0-9]{0,3})?")

_Why = Annotated[
    str | None,
    Query(
        min_length=1, max_length=2000, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$",
        description="Lý do, vào nhật ký thay đổi; bắt buộc khi thay đổi / why; required for a change",
    ),
]  # fmt: skip
_DryRun = Annotated[bool, Query(description="Chỉ xem sẽ đổi gì, nghĩa là gì / only show what would change")]
_IfMatch = Annotated[str | None, Header(description="ETag của bản đang sửa / of the version that is edited")]
_IfNoneMatch = Annotated[str | None, Header(description="`*`: chỉ tạo mới / only create")]


class ChangeView(BaseModel):
    """What a change does. `description`: as `registry plan` shows it."""

    kind: Kind
    key: str = Field(examples=["H99.131"])
    version: int = Field(description="Sau thay đổi; không đổi thì như cũ / after the change; as before if nothing does")
    changed: bool
    stored: bool = Field(description="false: chỉ xem thử / a dry run, or nothing changes")
    before: dict[str, Any] | None = Field(examples=[None])
    after: dict[str, Any] = Field(examples=[records.EXAMPLE])
    description: list[str] = Field(examples=[["+ agency/H99.131  Ủy ban nhân dân xã Thượng Nguyên"]])
    remarks: list[str] = Field(
        description="Điều nên xem lại trong bản ghi, không ngăn việc lưu / what to look at; nothing is refused for it",
        examples=[["/form/rules/0/when\n  Điều kiện luôn đúng: bỏ đi được. → …"]],
    )


def mount(
    app: Application,
    *,
    cache: RegistryCache,
    database: Database,
    clock: Clock,
    neighbours: Sequence[str],
    administrators: Reaching,
    operators: Operators,
) -> None:
    """Add the routes. neighbours: services whose own checks a change must pass."""
    reaching = Depends(administrators)
    addressed = Addressed()
    # each change starts processes of the neighbours, and each reading of all verdicts is long
    changes, readings = asyncio.Semaphore(1), asyncio.Semaphore(1)
    _mount_records(app, database, reaching)

    @app.get(
        "/v1/regimes/review-due",
        tags=["registry"],
        summary="Chế độ báo cáo cần rà soát / regimes to be reviewed",
        dependencies=[Depends(operators)],
    )
    async def review_due() -> ReviewList:
        await cache.be_fresh()
        now = clock.now()
        async with readings, database.read_transaction() as tx:
            failing = await attention.failing_rules(tx, now)
        return attention.review_due(cache.registry, failing, now)

    @app.get(
        "/v1/agencies/without-officer",
        tags=["registry"],
        summary="Cơ quan chưa có cán bộ đầu mối / agencies without a reporting officer",
        response_model=UnstaffedPage,
    )
    async def without_officer(request: Request, page: Page, reach: Reach = reaching) -> Response:
        position = page.position("without-officer", (str,))
        await cache.be_fresh()
        addressed.be_of(cache.registry, cache.revision)
        today = clock.now().astimezone(LOCAL_ZONE).date()
        after = str(position[0]) if position else ""
        codes = (code for code in cache.registry.unstaffed(today) if code > after and reach.covers(code))
        rows = [
            attention.unstaffed_agency(code, cache.registry, addressed, today) for code in islice(codes, page.limit + 1)
        ]
        return await pages.answer(
            request, paginate("without-officer", rows, page.limit, lambda row: (row.code,)), UnstaffedAgency
        )

    @app.put(
        "/v1/registry/{kind}/{key}",
        tags=["registry"],
        summary="Thêm hoặc sửa một bản ghi / add or change a record",
        description=(
            "Qua cùng các kiểm tra như tệp danh mục. Sửa: `If-Match` với ETag đã đọc; tạo mới: `If-None-Match: *`. / "
            "It passes the checks that files pass. To change: `If-Match` with the ETag that was read; to add: "
            "`If-None-Match: *`."
        ),
        responses={201: {"model": ChangeView, "description": "Đã thêm / added"}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}, "example": records.EXAMPLE}},
            }
        },
    )
    async def put(
        request: Request,
        response: Response,
        kind: Kind,
        key: str,
        reach: Reach = reaching,
        why: _Why = None,
        dry_run: _DryRun = False,
        if_match: _IfMatch = None,
        if_none_match: _IfNoneMatch = None,
    ) -> ChangeView:
        expected = _expected(if_match, if_none_match)
        if why is None and not dry_run:
            raise unprocessable([FieldError("/why", *_WHY, where="query")])
        stored = stored_key(kind, _known(key))
        value = await _value(request)
        async with changes:
            for _ in range(changing.ATTEMPTS):
                now = clock.now()
                async with database.read_transaction() as tx:
                    registry = await loading.stored_records(tx)
                if cache.revision < registry[0]:
                    await cache.refresh()  # the reach follows from the records that are checked, not from older ones
                _must_read(reach, registry, stored, key)
                checked = _must(await changing.check(registry, kind, stored, value, expected, now))
                if not reach.changes(checked.before, checked.after):
                    raise forbidden(
                        "Bản ghi này liên quan đến cơ quan ngoài phạm vi quản trị của khóa.",
                        "The record concerns agencies that this key does not administer.",
                    )
                made = _must(await changing.ask_neighbours(checked, neighbours, now))
                words = await changing.described(made, now)
                if dry_run or not made.changes:
                    return _answer(response, kind, key, made, words, stored=False)
                author = Author(reach.principal.id, why or "", "api")
                async with database.transaction() as tx:
                    done = await changing.save(tx, made, author, SystemClock().now())
                if done:
                    response.status_code = 200 if made.before else 201
                    return _answer(response, kind, key, made, words, stored=True)
        raise conflict(
            "Danh mục đang được người khác thay đổi liên tục. Hãy thử lại.",
            "Somebody else keeps changing the registry. Try again.",
        )


def _must_read(reach: Reach, stored: changing.StoredRecords, key: str, asked: str) -> None:
    """What there is and lies outside the reach is not found: raises 404."""
    kind, _, name = key.partition("/")
    # an officer and a person of one id are one human being: the checks would tell who that is
    keys = {f"officer/{name}", f"person/{name}"} if kind in ("officer", "person") else {key}
    if not reach.everywhere and any(record.key in keys and not reach.reads(record) for record in stored[1]):
        raise _unknown(asked)


def _must(found: Checked | Stale | Refused) -> Checked:
    match found:
        case Stale(version):
            raise Problem.of(
                problems.PRECONDITION_FAILED,
                extensions={"version": version},
                headers={"ETag": f'"{version}"'} if version else None,
            )
        case Refused(errors):
            raise unprocessable([_field_error(error) for error in errors])
        case Checked():
            return found


def _field_error(error: FileError) -> FieldError:
    return FieldError(error.place, error.message, error.message_en, error.fix, error.fix_en)


def _answer(response: Response, kind: Kind, key: str, made: Checked, words: list[str], *, stored: bool) -> ChangeView:
    version = made.after.version if made.changes else made.before.version if made.before else 0
    if stored or not made.changes:
        response.headers["ETag"] = f'"{version}"'
    return ChangeView(
        kind=kind,
        key=key,
        version=version,
        changed=made.changes,
        stored=stored,
        before=changing.document(made.before),
        after=changing.document(made.after) or {},
        description=words,
        remarks=list(map(str, made.remarks)),
    )


def _mount_records(app: Application, database: Database, reaching: Any) -> None:
    """Add the routes that read records."""

    @app.get(
        "/v1/registry/{kind}",
        tags=["registry"],
        summary="Bản ghi của một loại, theo mã / records of a kind, by key",
        response_model=RecordPage,
    )
    async def listed(request: Request, kind: Kind, page: Page, reach: Reach = reaching) -> Response:
        listing = f"registry/{kind}"
        position = page.position(listing, (str,))
        async with database.read_transaction() as tx:
            rows = await records.page(tx, kind, str(position[0]) if position else "", page.limit + 1, reach)
        return await pages.answer(
            request, paginate(listing, rows, page.limit, lambda row: (stored_key(row.kind, row.key),)), RecordView
        )

    @app.get(
        "/v1/registry/{kind}/{key}",
        tags=["registry"],
        summary="Một bản ghi, với ETag / one record, with its ETag",
    )
    async def one(response: Response, kind: Kind, key: str, reach: Reach = reaching) -> RecordView:
        async with database.read_transaction() as tx:
            found = await records.one(tx, kind, _known(key), reach)
        if found is None:
            raise _unknown(key)
        response.headers["ETag"] = f'"{found.version}"'
        return found

    @app.get(
        "/v1/registry/{kind}/{key}/versions/{version}",
        tags=["registry"],
        summary="Bản ghi như sau một lần đổi / a record as it was after one of its changes",
    )
    async def version(kind: Kind, key: str, version: str, reach: Reach = reaching) -> VersionView:
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0
        async with database.read_transaction() as tx:
            current = await records.one(tx, kind, _known(key), reach)
            found = None
            if current is not None:
                audited = audited_content(record_of(stored_key(kind, key), current.version, current.record))
                found = await records.version(tx, current, audited, number)
        # it may have belonged to other agencies then
        if found is None or not reach.reads(record_of(stored_key(kind, key), number, found.record)):
            raise not_found(f"phiên bản {version[:20]} của {key[:80]}", f"version {version[:20]} of {key[:80]}")
        return found


def _known(key: str) -> str:
    """A key that there may be; any other is not found."""
    if not _KEY.fullmatch(key):
        raise _unknown(key)
    return key


def _unknown(key: str) -> Problem:
    return not_found(f"bản ghi {key[:80]}", f"record {key[:80]}")


_WHY = (
    "Thiếu lý do thay đổi.",
    "The reason for the change is missing.",
    "Thêm ?why=…, hoặc dry_run=true để xem thử.",
    "Add ?why=…, or dry_run=true to look only.",
)


def _expected(if_match: str | None, if_none_match: str | None) -> int:
    """The version that the client replaces; 0: it adds the record. Raises 428 where it says neither, else 400."""
    if if_match is None and if_none_match is None:
        raise Problem.of(problems.PRECONDITION_REQUIRED)
    if if_match is None and if_none_match == "*":
        return 0
    version = version_of_etag(if_match or "") if if_none_match is None else None
    if version is None:
        raise bad_request(
            'If-Match phải là ETag đã đọc, ví dụ "3"; If-None-Match phải là *; chỉ dùng một trong hai.',
            'If-Match must be the ETag that was read, such as "3"; If-None-Match must be *; give one of them.',
        )
    return version


async def _value(request: Request) -> Any:
    """The body. Raises 415, 400."""
    must_be_json(request.scope["headers"])
    try:
        return changing.parsed(await request.body())
    except (ValueError, RecursionError):
        raise bad_request(
            "Nội dung không phải JSON mã hóa UTF-8.",
            "The body is not JSON in UTF-8.",
        ) from None

"""HTTP routes on which an agency reads its own record, the regimes that bind it, and reference tables."""

from __future__ import annotations

from datetime import date
from typing import Annotated, cast

from fastapi import Depends, Query, Request, Response

from services.intake import pages
from services.intake.access.callers import Access, AnyKey, Reading, ReadingById
from services.intake.parameters import Page
from services.intake.registry import agency_queries, reference_queries, regime_queries
from services.intake.registry.agency_queries import Me
from services.intake.registry.cache import RegistryCache
from services.intake.registry.records import Agency
from services.intake.registry.reference_queries import ReferenceDetail, ReferencePage, ReferenceView
from services.intake.registry.regime_queries import Examples, RegimeDetail, RegimePage, RegimeView
from services.intake.registry.regimes import Addressed
from shared.access import Principal
from shared.postgres.database import Database
from shared.reports.limits import is_code
from shared.runtime.clock import LOCAL_ZONE, Clock
from shared.web.app import Application
from shared.web.errors import not_found
from shared.web.paging import paginate

_Version = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Phiên bản / the version")]
_Day = Annotated[date | None, Query(description="Bản áp dụng ngày này, mặc định hôm nay / in force on this day, today")]


def mount(app: Application, *, access: Access, cache: RegistryCache, database: Database, clock: Clock) -> None:
    """Add the routes that read the agency and its regimes."""
    agency_of_key, reading_of_key, anybody = Depends(access), Depends(ReadingById(access)), Depends(AnyKey(access))
    addressed, examples = Addressed(), Examples()

    async def own_agency(code: str) -> Agency:
        await cache.be_fresh()
        found = cache.registry.agencies.get(code)
        if found is None:
            raise not_found(f"cơ quan {code} trong danh mục", f"agency {code} in the registry")
        return found

    @app.get("/v1/me", tags=["agency"], summary="Cơ quan của khóa này / the agency of this key")
    async def me(reading: Reading = reading_of_key) -> Me:
        agency = reading.agency
        own = await own_agency(agency)
        above = own.above.on(clock.now().astimezone(LOCAL_ZONE).date())
        async with database.read_transaction() as tx:
            found = await agency_queries.me(tx, agency, above, cache.registry)
        if found is None:
            raise not_found(f"cơ quan {agency} trong danh mục", f"agency {agency} in the registry")
        return found

    @app.get(
        "/v1/regimes",
        tags=["regimes"],
        summary="Chế độ báo cáo áp dụng / regimes that bind the agency",
        response_model=RegimePage,
    )
    async def list_regimes(request: Request, page: Page, reading: Reading = reading_of_key) -> Response:
        position = page.position("regimes", (str, int))
        own = await own_agency(reading.agency)
        addressed.be_of(cache.registry, cache.revision)
        async with database.read_transaction() as tx:
            rows = await regime_queries.page(
                tx,
                own,
                cache.registry,
                addressed,
                clock.now(),
                after=cast("tuple[str, int]", position) if position else None,
                limit=page.limit + 1,
            )
        found = paginate("regimes", rows, page.limit, _regime_position)
        return await pages.answer(request, found, RegimeView)

    @app.get(
        "/v1/reference-tables",
        tags=["regimes"],
        summary="Danh mục tra cứu mà quy tắc dùng / reference tables that rules look up",
        response_model=ReferencePage,
    )
    async def list_references(request: Request, page: Page, _: Principal = anybody) -> Response:
        position = page.position("reference-tables", (str, int))
        async with database.read_transaction() as tx:
            rows = await reference_queries.page(tx, cast("tuple[str, int] | None", position), page.limit + 1)
        found = paginate("reference-tables", rows, page.limit, lambda row: (row.code, row.table_version))
        return await pages.answer(request, found, ReferenceView)

    @app.get(
        "/v1/reference-tables/{code}",
        tags=["regimes"],
        summary="Một danh mục tra cứu, theo phiên bản hoặc theo ngày / a reference table, by version or by day",
    )
    async def reference(
        code: str, _: Principal = anybody, version: _Version = None, on: _Day = None
    ) -> ReferenceDetail:
        await cache.be_fresh()
        day = on or clock.now().astimezone(LOCAL_ZONE).date()
        found = None
        if is_code(code):
            async with database.read_transaction() as tx:
                found = await reference_queries.detail(tx, cache.registry, code, version=version, day=day)
        if found is None:
            which, which_en = (
                (f"phiên bản {version}", f"version {version}") if version else (f"ngày {day}", f"on {day}")
            )
            raise not_found(f"danh mục {code}, {which}", f"reference table {code}, {which_en}")
        return found

    @app.get("/v1/regimes/{code}", tags=["regimes"], summary="Biểu mẫu, thời hạn, ví dụ / form, deadlines, example")
    async def regime(code: str, agency: str = agency_of_key, version: _Version = None) -> RegimeDetail:
        own = await own_agency(agency)
        addressed.be_of(cache.registry, cache.revision)
        found = None
        if is_code(code):
            async with database.read_transaction() as tx:
                people = await agency_queries.officers(tx, agency, regime=code, limit=1)
                found = await regime_queries.detail(
                    tx,
                    own,
                    cache.registry,
                    addressed,
                    clock.now(),
                    [officer for officer in people if officer.active],
                    examples,
                    code=code,
                    version=version,
                )
        if found is None:
            what = code if version is None else f"{code}, {version}"
            raise not_found(f"chế độ báo cáo {what} của cơ quan này", f"regime {what} of this agency")
        return found


def _regime_position(row: RegimeView) -> tuple[str, int]:
    return row.code, row.regime_version

"""For which agency a key sends reports, the same wherever a report is given: an agency's own, or a person's office."""

from __future__ import annotations

from datetime import date

from shared.access import Principal, may, may_anywhere
from shared.access.rights import Tree
from shared.web.errors import forbidden


def sends_for(principal: Principal, on: date) -> str:
    """The agency for which the principal sends reports. Raises 403 where it sends none."""
    if principal.kind == "agency" and "submit" in principal.scopes:
        return principal.id
    if principal.agency is None or not may_anywhere(principal, "submit", on):
        raise forbidden("Khóa này không có quyền gửi báo cáo.", "This key may not send reports.")
    return principal.agency


def must_send(principal: Principal, agency: str, regime: str, tree: Tree, on: date) -> None:
    """Raise 403 unless the principal may send the agency's reports under this regime; empty: under every one."""
    if not may(principal, "submit", agency, tree, on, regime):
        which, which_en = (f" {regime}", f" under {regime}") if regime else ("", " under every regime")
        raise forbidden(
            f"Khóa này không có quyền gửi báo cáo{which} của {agency}.",
            f"This key may not send reports of {agency}{which_en}.",
        )

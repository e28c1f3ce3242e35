"""Calendars and policies never change under their version: people were judged by them."""

from __future__ import annotations


def other_contents(vi: str, en: str, remedy: tuple[str, str], stored_sha256: str, given_sha256: str) -> str:
    """Why a version that is loaded with other contents is refused: what was judged by it may not change."""
    return (
        f"{vi} đã nạp với nội dung khác và không được sửa: {remedy[0]} / {en} is loaded with other contents and may "
        f"not change: {remedy[1]} (sha256 đã nạp / loaded: {stored_sha256}; tệp / file: {given_sha256})"
    )

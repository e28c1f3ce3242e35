"""Signed receipts and the keys that check them, over HTTP."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from services.intake.access.callers import Access, AnyKey, Reading, ReadingById
from services.intake.parameters import no_submission, submission_id_of
from services.intake.receipts import store
from services.intake.receipts.signer import Signer
from services.intake.receipts.signing import jwk
from services.intake.views import Moment
from shared.postgres.database import Database
from shared.web.app import Application
from shared.web.errors import unavailable

_AN_ID = "01a21ccf-a243-706a-be01-195a99769dfb"


class Statement(BaseModel):
    """What is signed, as RFC 8785 canonical JSON."""

    type: Literal["vn.thongsuot.receipt.v1"]
    submission_id: UUID
    agency: str
    obligation: str
    version: int
    received_at: str = Field(description="Giờ tiếp nhận / the moment of receipt (ISO 8601, +07:00)")
    sha256: str = Field(description="SHA-256 của nội dung đã gửi / of the exact bytes that were sent")
    content_sha256: str = Field(description="SHA-256 của dạng chuẩn tắc / of the canonical form (docs/receipts.md)")


class SignedReceipt(BaseModel):
    """Biên nhận có chữ ký / a signed receipt."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "receipt": {
                        "type": "vn.thongsuot.receipt.v1",
                        "submission_id": _AN_ID,
                        "agency": "H99.31",
                        "obligation": "H99.31/KTXH-THANG/2026-M10",
                        "version": 1,
                        "received_at": "2026-10-16T09:30:00.125000+07:00",
                        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                        "content_sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
                    },
                    "algorithm": "Ed25519",
                    "key_id": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                    "signature": "…",
                }
            ]
        }
    )

    receipt: Statement
    algorithm: Literal["Ed25519"]
    key_id: str = Field(description="Tên khóa (RFC 7638) / name of the key")
    signature: str = Field(description="base64url")


class ReceiptKey(BaseModel):
    """Khóa công khai (RFC 8037) / a public key."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    use: Literal["sig"]
    alg: Literal["EdDSA"]
    kid: str
    x: str
    registered_at: Moment = Field(description="Giờ máy chủ khi khóa bắt đầu ký / when it began to sign")
    withdrawn_at: str | None = Field(default=None, description="Không tin khóa này nữa / not to be trusted any more")
    reason: str | None = None


class ReceiptKeys(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[ReceiptKey]


def mount(app: Application, *, access: Access, signer: Signer, database: Database) -> None:
    """Add the routes of receipts."""
    reading_of_key, any_key = Depends(ReadingById(access)), Depends(AnyKey(access))

    @app.get(
        "/v1/submissions/{submission_id}/receipt",
        tags=["receipts"],
        summary="Biên nhận có chữ ký / the signed receipt",
    )
    async def receipt(submission_id: str, reading: Reading = reading_of_key) -> SignedReceipt:
        wanted = submission_id_of(submission_id)
        async with database.read_transaction() as tx:
            received = await store.received(tx, reading.agency, wanted)
        if received is None or not reading.covers(received.obligation.split("/")[1]):
            raise no_submission(wanted)
        key = await signer.key()
        if key is None:
            raise unavailable(
                60,
                "Hệ thống chưa có khóa ký biên nhận; báo cáo vẫn đã được lưu. Hãy gọi lại sau; quản trị viên đặt "
                "INTAKE_RECEIPT_KEY_FILE (xem docs/receipts.md).",
                "There is no key to sign receipts with; the report is stored all the same. Ask again later; an "
                "operator sets INTAKE_RECEIPT_KEY_FILE (see docs/receipts.md).",
            )
        return SignedReceipt.model_validate(key.sign(received))

    @app.get(
        "/v1/receipt-keys",
        tags=["receipts"],
        summary="Khóa công khai để kiểm tra biên nhận / public keys that check receipts",
        response_model_exclude_none=True,
        dependencies=[any_key],
    )
    async def receipt_keys(response: Response) -> ReceiptKeys:
        async with database.read_transaction() as tx:
            kept = await store.public_keys(tx)
        response.headers["Cache-Control"] = "private, max-age=300"
        return ReceiptKeys(keys=[ReceiptKey(**jwk(key), registered_at=registered_at) for key, registered_at in kept])

"""Operator commands of intake; each room has its own.

Exit codes: 0 done, 1 refused (what to correct is on stderr), 2 wrong use, 3 the database cannot be reached.
"""

from __future__ import annotations

from services.intake.access import commands as access
from services.intake.personal_data.commands import personal_data
from services.intake.receipts import commands as receipts
from services.intake.registry.commands import registry
from services.intake.webhooks.commands import webhook_keys
from shared.service.command import Command

COMMANDS: dict[str, tuple[str, Command]] = {
    "registry": ("danh mục: xem trước, thay đổi, công bố lại / registry: plan, apply, republish", registry),
    "keys": ("khóa API / API keys", access.api_keys),
    "personal-data": ("dữ liệu cá nhân: bản sao, xóa liên hệ / personal data: a copy, blank contacts", personal_data),
    "receipt-keys": ("khóa ký biên nhận / keys that sign receipts", receipts.receipt_keys),
    "webhook-keys": ("khóa gốc của webhook / master keys of webhooks", webhook_keys),
    "receipt": ("kiểm tra biên nhận / check a receipt", receipts.receipt),
}

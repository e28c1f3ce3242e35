"""Settings that would do harm are refused at start."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.notifier.settings import NotifierSettings


def settings(**changes: object) -> NotifierSettings:
    return NotifierSettings.model_validate({"database_url": "postgresql://x@127.0.0.1/x", **changes})


def test_the_defaults_are_consistent() -> None:
    assert settings().message_id_domain == "thongsuot.example"
    assert settings().pace().lease_seconds >= 2 * settings().server().data_timeout_seconds


@pytest.mark.parametrize(
    "changes",
    [
        {"sender_address": "nobody"},
        {"sender_address": "a@h99.example\r\nBcc: x@y"},
        {"reply_to": "a b@h99.example"},
        {"sender_name": "Thông\r\nSuốt"},
        {"smtp_tls": "ssl"},
        {"lease_seconds": 30, "smtp_data_timeout_seconds": 60},
        {"smtp_pool_size": 0},
        {"smtp_port": 70000},
        {"refusals": 0},
    ],
)
def test_a_setting_that_would_do_harm_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(settings(smtp_password="hunter2"))

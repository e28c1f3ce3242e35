"""Mailing rules (quy tắc gửi thư): when a notice goes out, with which others, and what keeps it back."""

"""Digests (thư tổng hợp): a daily and a weekly letter about what a person answers for, to those who want them."""

"""Ladders (thang chuyển cấp): who hears of a late report after whom, and when; data in versions that never change."""

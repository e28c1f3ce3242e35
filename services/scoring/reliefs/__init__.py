"""Reliefs (gia hạn, miễn trừ): spans in which people could not report, whom they cover, and who decided."""

"""Shared reports (chia sẻ báo cáo): an agency reads the accepted reports of others, as far as the registry allows."""

"""Waivers that are asked for (đề nghị miễn áp dụng quy tắc): an agency asks, another person above it decides."""

"""Xiaomi's scales that only advertise: Mi Scale and Mi Body Composition Scale (README.md)."""

"""Glucose Service 0x1808: codec, session, the device's side. Frame tables and sources: README.md."""

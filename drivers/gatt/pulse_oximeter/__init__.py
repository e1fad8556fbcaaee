"""Pulse Oximeter Service 0x1822: codec, memory, session, the device's side. Frame tables and sources: README.md."""

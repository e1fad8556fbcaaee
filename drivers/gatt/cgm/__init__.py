"""Continuous Glucose Monitoring Service 0x181F: codec, session, the device's side. Frame tables and sources: README.md."""

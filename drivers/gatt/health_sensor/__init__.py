"""Generic Health Sensor Service 0x1840: codec, session, the device's side. Frame tables and sources: README.md."""

"""Heart Rate Service 0x180D: codec, session, the device's side. Frame tables and sources: README.md."""

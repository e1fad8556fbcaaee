"""Blood Pressure Service 0x1810: codec, session, the device's side. Frame tables and sources: README.md."""

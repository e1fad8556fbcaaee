"""LifeScan OneTouch Ultra 2 and Ultra by cable: codec, session, the meter's side. Frame tables and sources: README.md."""

"""Protocols: how each kind of device is talked to. No I/O; what a model's numbers are stands in its profile."""

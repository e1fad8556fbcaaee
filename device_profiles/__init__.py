"""Devices as data: schema, loader, identification, lint. May not know how any device is talked to."""

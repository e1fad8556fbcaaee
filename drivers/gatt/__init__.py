"""Drivers for standard Bluetooth health services. Pure: bytes in, readings out."""

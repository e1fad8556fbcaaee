"""The virtual world: a radio, devices on it and serial ports, for tests and demos. Imports nothing of the product."""

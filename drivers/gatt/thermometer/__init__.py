"""Health Thermometer Service 0x1809."""

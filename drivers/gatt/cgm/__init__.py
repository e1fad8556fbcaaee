"""Continuous Glucose Monitoring Service 0x181F. Pure."""

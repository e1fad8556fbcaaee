"""Weight Scale Service 0x181D, and the visit that it shares with body composition."""

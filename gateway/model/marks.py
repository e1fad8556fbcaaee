"""Marks that change what the cloud makes of a reading. Any other mark is kept and shown. Pure data."""

# Kept and shown, never an alarm: a test liquid, a value that can't be, a byte that the memory garbled.
WITHHELD = frozenset({"control", "implausible", "memory_parity"})
# The device itself says that the measurement failed (status bits of Glucose Measurement, GATT 0x2A18). The value may still be
# true, and a low one dangerous: somebody is to look and measure again, but nobody is paged for it as for a fact.
DOUBTED = frozenset(
    {
        "sensor_malfunction",
        "sample_size_insufficient",
        "strip_insertion_error",
        "strip_type_incorrect",
        "temperature_too_high",
        "temperature_too_low",
        "read_interrupted",
        "general_device_fault",
        # Of a maker that did not say who it is: a word that one maker uses for ketone, which would be a grave low of glucose.
        "context_perhaps_ketone",
    }
)
# Computed over a stretch of a stream: its interval says of which.
SUMMARY = "summary"

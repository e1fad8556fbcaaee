"""Body Composition Service 0x181B."""

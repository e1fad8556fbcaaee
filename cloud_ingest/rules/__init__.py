"""Clinical rules: data with sources, and pure functions over one reading and its subject's state. No clock, no store."""

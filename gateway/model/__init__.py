"""What a measurement is: quantities, moments, identity, observations, alerts. Pure and frozen; no clock, no I/O."""

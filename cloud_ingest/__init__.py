"""The cloud's side: takes envelopes from the broker, keeps them, judges them, shows them. Knows nothing of devices' protocols."""

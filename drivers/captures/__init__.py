"""Captures as files: read with the profile and the driver that they name, and freed of identities. What one holds is `gateway.contract.capture`."""

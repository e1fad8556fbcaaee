"""A stand-in for bluetoothd: org.bluez on a private D-Bus, over the virtual radio. No product code may import it."""

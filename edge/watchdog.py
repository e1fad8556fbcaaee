"""Signs of life for the service manager (sd_notify), which starts an agent anew that no longer gives any. Knows no agent."""

import os
import socket

READY = b"READY=1"
ALIVE = b"WATCHDOG=1"
STOPPING = b"STOPPING=1"


def tell(sign: bytes) -> None:
    """Tell the service manager where there is one; without one, nothing happens. Never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # An abstract address is written with @ for its leading zero octet.
            channel.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            channel.send(sign)
    except OSError:
        return  # a service manager that is gone needs no sign

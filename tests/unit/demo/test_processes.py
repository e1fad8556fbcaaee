"""Ports for servers that are about to start."""

import secrets
import socket

import pytest

from demo.processes import PORTS, free_port


def test_a_port_that_was_given_is_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    given = free_port()
    drawn = iter((given, PORTS.start, *PORTS))
    monkeypatch.setattr(secrets, "choice", lambda _: next(drawn))

    assert free_port() != given


def test_a_server_can_listen_on_a_port_that_was_given() -> None:
    socket.create_server(("127.0.0.1", free_port())).close()

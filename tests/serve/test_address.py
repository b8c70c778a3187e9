"""Where the server listens, and which names it answers to."""

from __future__ import annotations

import socket

import pytest

from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.serve.address import Address, address_of, bind
from attnviz_video.serve.settings import ServeSettings


def test_a_free_port_is_found_and_named() -> None:
    with bind(ServeSettings(port=0)) as bound:
        address = address_of(ServeSettings(port=0), bound)
    assert address.port > 0
    assert address.url == f"http://127.0.0.1:{address.port}/"
    assert address.token is None


def test_fault30_a_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EnvironmentFault) as caught:
            bind(ServeSettings(port=port))
    assert str(caught.value) == (
        f"port {port} of 127.0.0.1 is taken by another program; choose another with --port (0 is any free one)"
    )
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.77", "a b", "x" * 300])
def test_a_host_that_is_not_this_machine(host: str) -> None:
    with pytest.raises(
        UsageError, match=r"^--host .* is no address of this machine; expected one such as 127\.0\.0\.1"
    ):
        bind(ServeSettings(host=host, port=0))


def test_beyond_this_machine_there_is_always_a_token() -> None:
    with bind(ServeSettings(host="0.0.0.0", port=0)) as bound:
        one, other = (address_of(ServeSettings(host="0.0.0.0"), bound) for _ in range(2))
        given = address_of(ServeSettings(host="0.0.0.0", token="abc"), bound)
    assert one.token
    assert len(one.token) >= 20
    assert one.token != other.token
    assert one.url == f"http://127.0.0.1:{one.port}/?token={one.token}"
    assert given.token == "abc"
    assert one.hosts is None


@pytest.mark.parametrize("token", ["", "a b", "ä", "a&b"])
def test_a_token_that_no_address_can_carry(token: str) -> None:
    with bind(ServeSettings(port=0)) as bound, pytest.raises(UsageError, match="--token: expected letters, digits and"):
        address_of(ServeSettings(token=token), bound)


def test_names_of_an_address() -> None:
    assert Address("::1", 80, None).url == "http://[::1]:80/"
    assert Address("10.0.0.2", 80, "t").hosts == {"10.0.0.2", "127.0.0.1", "localhost", "::1"}

"""Where the server listens: its socket, taken before the model loads, and the names under which it may be asked."""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
from dataclasses import dataclass

from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.serve.settings import ServeSettings

#: Names of this machine that no other machine can reach.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Address:
    """What the server listens on, and who may ask it under which name."""

    host: str
    port: int
    #: None: whoever reaches the port may ask.
    token: str | None

    @property
    def hosts(self) -> frozenset[str] | None:
        """Host names that a request may name; None is any, where the server listens on all addresses.

        A page of somebody else whose name was pointed at this machine (DNS rebinding) names its own host. Where any is
        allowed, a token is needed, and its cookie belongs to one host name.
        """
        return None if is_every_address(self.host) else frozenset({*LOOPBACK, self.host.lower()})

    @property
    def url(self) -> str:
        """What to open in a browser, the token included."""
        host = "127.0.0.1" if is_every_address(self.host) else self.host
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{self.port}/" + ("" if self.token is None else f"?token={self.token}")


def address_of(settings: ServeSettings, bound: socket.socket) -> Address:
    """The address of a bound socket, with the token that the settings name or need.

    Raises:
        UsageError: a token that no address can carry.
    """
    token = settings.token
    if token is not None and not (
        token and all(letter.isascii() and (letter.isalnum() or letter in "-_.~") for letter in token)
    ):
        raise UsageError(f"--token: expected letters, digits and -_.~ only, got {token[:20]!r}")
    if token is None and not is_loopback(settings.host):
        token = secrets.token_urlsafe(18)
    return Address(settings.host, int(bound.getsockname()[1]), token)


def bind(settings: ServeSettings) -> socket.socket:
    """A socket bound to host and port; it listens once the server runs.

    Raises:
        EnvironmentFault: the port is taken or not allowed.
        UsageError: the host is no address of this machine.
    """
    host, port = settings.host, settings.port
    try:
        kind, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host!r} is no address of this machine; expected one such as 127.0.0.1") from error
    bound = socket.socket(kind, socket.SOCK_STREAM)
    try:
        # Or the port of a server that has just ended would be taken for a minute.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise _refused(error, host, port) from error
    return bound


def _refused(error: OSError, host: str, port: int) -> EnvironmentFault | UsageError:
    if error.errno == errno.EADDRINUSE:
        return EnvironmentFault(
            f"port {port} of {host} is taken by another program; choose another with --port (0 is any free one)"
        )
    if error.errno == errno.EACCES:
        return EnvironmentFault(f"port {port} may not be used by this user; choose one above 1023 with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"--host {host} is no address of this machine; expected one such as 127.0.0.1 or 0.0.0.0")
    return EnvironmentFault(
        f"cannot listen on {host}, port {port}: {error.strerror or error}; choose others with --host and --port"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_every_address(host: str) -> bool:
    """Whether `host` stands for all addresses of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""

"""Who may ask at all: requests with another host name, from another site, without the token, or too large are refused.

wrong host      400   a page elsewhere whose name was pointed at this machine (DNS rebinding)
wrong origin    403   a page elsewhere that sends its own requests here
wrong token     401   somebody on the network, where the server listens beyond this machine
too large       413   said before the rest is read
"""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from attnviz_video.serve.address import Address

#: A header that no form and no picture of another site can send without being asked for permission first.
OWN_HEADER = "x-attnviz"
#: What every answer carries. The page has a stricter policy of its own; who may frame it can be said here only.
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "frame-ancestors 'self'",
    "cross-origin-resource-policy": "same-origin",
}
#: How long (seconds) the rest of a body that is too large is still taken, unread: a browser that is cut off while it
#: sends never looks at the answer.
_LINGER = 2.0


class TooLargeError(Exception):
    """More of a body came than is taken."""


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, address: Address, max_bytes: int) -> None:
        self._app = app
        self._address = address
        self._max_bytes = max_bytes
        self._cookie = f"attnviz_token_{address.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    own.setdefault(name, value)
            await send(message)

        refused = self._refused(scope, headers)
        if refused is not None:
            refused.headers["connection"] = "close"
            await refused(scope, receive, send_with_headers)
            return
        await self._within_size(scope, headers, receive, send_with_headers)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that may not go on."""
        host = headers.get("host", "")
        hosts = self._address.hosts
        if hosts is not None and host_name(host) not in hosts:
            return sentence(
                400, f"this server is not called {host[:100]!r}; open {self._address.url.partition('?')[0]}"
            )
        refused = self._without_token(scope, headers)
        if refused is not None:
            return refused
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return sentence(403, f"requests of {origin[:100]!r} are not taken: this is another site's page")
        if headers.get(OWN_HEADER) != "1":
            return sentence(403, "the request lacks the header X-Attnviz: 1, which the live page sends")
        return None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that has not shown the token, or shows it for the first time."""
        token = self._address.token
        if token is None:
            return None
        shown = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and same(shown, token):
            return self._first_visit(scope, token)
        if same(cookie_of(headers, self._cookie), token):
            return None
        return sentence(401, "this page needs the token: open the address that `serve` printed when it started")

    def _first_visit(self, scope: Scope, token: str) -> Response:
        """Keep the token in a cookie that no program and no other site can see, and take it out of the address."""
        rest = parse_qs(scope["query_string"].decode("latin-1"))
        del rest["token"]
        response = RedirectResponse("/" + (f"?{urlencode(rest, doseq=True)}" if rest else ""), status_code=303)
        response.set_cookie(self._cookie, token, path="/", httponly=True, samesite="strict")
        response.headers["cache-control"] = "no-store"
        return response

    async def _within_size(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Hand the request on; stop where its body grows beyond what is taken."""
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await self._too_large(receive, send, more=True)
            return
        n_bytes, answered, exceeded, more = 0, False, False, True

        async def counted() -> Message:
            nonlocal n_bytes, exceeded, more
            message = await receive()
            more = message.get("more_body", False)
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._max_bytes:
                exceeded = True
                raise TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal answered
            if exceeded and not answered:
                return  # what the application says about the exception; the answer is ours
            answered = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except Exception:
            if not exceeded:
                raise
        if exceeded and not answered:
            await self._too_large(receive, send, more=more)

    async def _too_large(self, receive: Receive, send: Send, *, more: bool) -> None:
        response = sentence(
            413, f"this is larger than {self._max_bytes / 1e6:g} MB; take smaller pictures, or raise --max_upload_mb"
        )
        response.headers["connection"] = "close"
        await send({"type": "http.response.start", "status": 413, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
        if more:
            with suppress(TimeoutError):
                await asyncio.wait_for(_unread(receive), _LINGER)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _unread(receive: Receive) -> None:
    """Take the rest of a body and forget it."""
    while (await receive()).get("more_body", False):
        pass


def sentence(status: int, error: str) -> JSONResponse:
    """A refusal as the page shows it."""
    return JSONResponse({"error": error}, status)


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def cookie_of(headers: Headers, name: str) -> str:
    """The value of a cookie, "" where there is none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def same(shown: str, token: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode("utf-8"))

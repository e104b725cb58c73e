"""Who may talk to the dashboard, and what a browser may do with its pages.

- Host: a page of somebody else's can point its own name at 127.0.0.1 and read answers as its own
  (DNS rebinding). Names that are not this server's are refused; ports may differ, because SSH
  tunnels change them.
- Origin: browsers say where a request comes from. Writes from other origins are refused, and so
  is every call of the API that a browser marks as cross-site.
- Token: every user of this machine reaches its loopback interface, so callers show a token, as a
  cookie, as ``Authorization: Bearer``, or once in the link (``/?token=…``), which sets the cookie.
  The browser is opened with a ticket in its place, which is good for once: other users can read
  the arguments of the program that is started for it.
- Bodies are bounded, uploads by a limit of their own.
- Content-Security-Policy: scripts, styles, pictures and requests of this server only, none inline.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from starlette.exceptions import HTTPException

from atlas_scaling.errors import InputError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE: Final = "atlas_token"
"""And the port: browsers keep the cookies of a machine's ports together."""

WITHOUT_TOKEN: Final = frozenset(
    {"/theme.css", "/css/base.css", "/css/parts.css", "/fonts/inter.woff2", "/icon.svg"}
)
"""How the page that asks for the token looks."""

TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,200}")
"""What a token may be: it stands in links and cookies as it is, and is too long to be guessed."""

MAX_BODY_BYTES: Final = 2_000_000
"""Of a request that is no upload: a plan of 400 languages with all its options is a tenth of it."""

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer browsers send forms from Origin: null
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Access:
    """Who may talk to the server.

    Attributes:
        host: the interface it listens on.
        token: what callers must show; None where none is asked for.
        ticket: is taken for the token once.
        names: further host names that it is called by.
        upload_path: where uploads go; their size is bounded there.
    """

    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)
    ticket: str | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset()
    upload_path: str = "/api/uploads"

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                "listening beyond this machine needs a token",
                value=self.host,
                where="--host",
                remedy="leave --no-token out: a token is made, or give one with --token",
            )
        if self.token is not None and not TOKEN.fullmatch(self.token):
            raise InputError(
                "a token is 16 to 200 letters, digits, - and _, so that nobody guesses it",
                value="*" * len(self.token),
                where="--token",
                remedy="python -c 'import secrets; print(secrets.token_urlsafe(24))'",
            )

    def is_own_name(self, host: str) -> bool:
        """Whether a ``Host`` header names this server.

        Beyond the loopback interface any address is accepted: rebinding needs a name.
        """
        name = host_name(host)
        if name in LOOPBACK_NAMES or name in self.names or name == self.host.lower():
            return True
        return not is_loopback(self.host) and _is_address(name)

    def accepts(self, shown: str | None) -> bool:
        """Whether ``shown`` is the token, or none is asked for."""
        return self.token is None or _same(shown, self.token)


class Guard:
    """ASGI middleware: refuses what ``Access`` does not allow and adds ``HEADERS``."""

    def __init__(self, app: App, access: Access) -> None:
        self.app = app
        self.access = access
        self._ticket = access.ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] != "http":
            if scope["type"] != "lifespan":
                return  # nothing here speaks websocket
            await self.app(scope, receive, send)
            return
        headers = _headers(scope)
        reply = _with_headers(send)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(reply, *refusal)
        elif scope["path"] not in WITHOUT_TOKEN and not self.access.accepts(_token_of(headers)):
            await self._ask_for_token(scope, receive, reply, _cookie_name(headers))
        elif self.access.token is not None and "token" in _query(scope):
            await _redirect(reply, _path_without_token(scope))
        else:
            is_upload = scope["path"] == self.access.upload_path
            await self.app(
                scope, receive if is_upload else _bounded(receive, MAX_BODY_BYTES), reply
            )

    def _refusal(
        self, scope: Scope, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]] | None:
        host = headers.get("host", "")
        if not self.access.is_own_name(host):
            return 400, _document(
                "this server is not called by that name",
                value=host,
                where="Host",
                remedy="open the address that atlas serve printed; another name is allowed with "
                "--allow-name",
            )
        if scope["path"].startswith("/api/") and headers.get("sec-fetch-site") in (
            "cross-site",
            "same-site",
        ):
            return 403, _foreign(headers.get("origin") or headers["sec-fetch-site"])
        if scope["method"] not in SAFE_METHODS:
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                return 403, _foreign(origin)
        length = headers.get("content-length", "0")
        if scope["path"] != self.access.upload_path and (
            not length.isdigit() or int(length) > MAX_BODY_BYTES
        ):
            return 413, _too_large(MAX_BODY_BYTES)
        return None

    async def _ask_for_token(
        self, scope: Scope, receive: Receive, send: Send, cookie_name: str
    ) -> None:
        """Take the token from the link or the form, or show the form."""
        is_api = scope["path"].startswith("/api/")
        shown = _query(scope).get("token", [""])[0]
        if scope["method"] == "POST" and not is_api:
            form = parse_qs((await _whole(receive, 4096)).decode("ascii", "replace"))
            shown = form.get("token", [""])[0].strip()
        if self.access.accepts(shown) or self._takes_ticket(shown):
            cookie = f"{cookie_name}={self.access.token}; HttpOnly; SameSite=Lax; Path=/"
            await _redirect(send, _path_without_token(scope), cookie)
        elif is_api:
            document = _document(
                "this server asks for its token",
                value=None,
                where="Authorization",
                remedy="send the header Authorization: Bearer TOKEN; atlas serve printed it",
            )
            await _answer(send, 401, document)
        else:
            page = LOGIN_PAGE.replace("<!-- wrong -->", WRONG_TOKEN if shown else "")
            await _send(send, 401, "text/html; charset=utf-8", page.encode())

    def _takes_ticket(self, shown: str) -> bool:
        if self._ticket is None or not _same(shown, self._ticket):
            return False
        self._ticket = None
        return True


# A form without an action is sent to the address that it stands at, with its #fragment: whoever
# gives the token there comes back to the same view.
LOGIN_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>atlas</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/theme.css"><link rel="stylesheet" href="/css/base.css">
<link rel="stylesheet" href="/css/parts.css"></head>
<body><main class="login"><h1>atlas</h1>
<p>This dashboard asks for its token, because others who use this machine or its network could open
this address too. The token stands in the link that <code>atlas serve</code> printed; every start of
the server makes a new one.</p><!-- wrong -->
<form method="post" class="stack"><div class="field"><label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus></div>
<div class="row"><button class="button primary">Open</button></div></form></main></body></html>
"""
WRONG_TOKEN: Final = (
    '<p role="alert" class="notice fail"><strong>That is not the token of this server</strong>, or '
    "the link was one that opens it once.</p>"
)


def is_loopback(host: str) -> bool:
    """Whether an interface is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without the port.

    >>> host_name("[::1]:8000"), host_name("LocalHost:80"), host_name("10.0.0.3")
    ('::1', 'localhost', '10.0.0.3')
    """
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _same(shown: str | None, secret: str) -> bool:
    return shown is not None and hmac.compare_digest(shown.encode(), secret.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _headers(scope: Scope) -> dict[str, str]:
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("latin-1"))


def _path_without_token(scope: Scope) -> str:
    rest = {name: values for name, values in _query(scope).items() if name != "token"}
    # one slash: "//other.example" would be another server; a line's end, a header of its own
    path = "/" + quote(str(scope["path"]).lstrip("/\\"))
    return path + ("?" + urlencode(rest, doseq=True) if rest else "")


def _cookie_name(headers: Mapping[str, str]) -> str:
    """By the port that the browser sees, which a tunnel may have changed."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"{COOKIE}_{port if port.isdecimal() else 80}"


def _token_of(headers: Mapping[str, str]) -> str | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value:
        return value.strip()
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(headers))
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _bounded(receive: Receive, most: int) -> Receive:
    """``receive`` that counts, because a length need not be stated or true."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, f"a request has at most {most / 1e6:g} MB")
        return message

    return counted


async def _whole(receive: Receive, most: int) -> bytes:
    bounded = _bounded(receive, most)
    body = b""
    try:
        while True:
            message = await bounded()
            body += bytes(message.get("body", b""))
            if not message.get("more_body"):
                return body
    except HTTPException:
        return b""


def _with_headers(send: Send) -> Send:
    added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return sent


async def _answer(send: Send, status: int, document: Mapping[str, Any]) -> None:
    await _send(send, status, "application/json", json.dumps(document).encode())


async def _redirect(send: Send, where: str, cookie: str | None = None) -> None:
    extra = [] if cookie is None else [("set-cookie", cookie)]
    await _send(send, 303, "text/plain", b"", [("location", where), *extra])


async def _send(
    send: Send, status: int, kind: str, body: bytes, extra: Iterable[tuple[str, str]] = ()
) -> None:
    headers = [
        ("content-type", kind),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        *extra,
    ]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _document(problem: str, *, value: object, where: str, remedy: str) -> dict[str, Any]:
    return InputError(problem, value=value, where=where, remedy=remedy).to_dict()


def _foreign(origin: str) -> dict[str, Any]:
    return _document(
        "this request comes from another site",
        value=origin,
        where="Origin",
        remedy="use the dashboard's own page, or a program that sends no Origin",
    )


def _too_large(most: int) -> dict[str, Any]:
    return _document(
        f"a request has at most {most / 1e6:g} MB", value=None, where="body", remedy="send less"
    )

"""What every request has to pass: only reading, only from this machine or with the token, and what browsers are told.

Non-obvious behaviour:
- A page of another site can make a browser ask a server on the same machine, by a name that leads there (DNS
  rebinding). Without a token only the names of this machine itself are answered.
- A page of another site may have a link to a page here, but what it asks for by itself would begin to render videos.
- The token of the address becomes a cookie, so that it stays out of links, logs and screenshots.
"""

import secrets
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "simeval_view"
TOKEN = "token"
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS = {
    # Figures of the report have styles in them; scripts are ours alone.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Refuses requests before the application sees them."""

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        """Wrap an application.

        Args:
            app: the application.
            token: what a request has to know; `None` for a server that only this machine can reach.
        """
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            return
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("this page only reads", 405, {"Allow": "GET, HEAD"})
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and (
            headers.get("sec-fetch-mode") != "navigate" or headers.get("sec-fetch-dest") != "document"
        ):
            return PlainTextResponse("pages of other sites cannot ask here", 403)
        if self._token is None:
            if _name(headers.get("host", "")) not in LOCAL:
                return PlainTextResponse("open this page as localhost or 127.0.0.1", 421)
            return None
        query = QueryParams(scope["query_string"])
        if _equal(query.get(TOKEN, ""), self._token):
            return self._signed_in(scope, query)
        known = cookie_parser(headers.get("cookie", "")).get(self._cookie(scope), "")
        if not _equal(known, self._token):
            return PlainTextResponse("the address needs the token that simeval view printed", 403)
        return None

    def _signed_in(self, scope: Scope, query: QueryParams) -> Response:
        """The same address without the token, which is now a cookie."""
        rest = urlencode([(name, value) for name, value in query.multi_items() if name != TOKEN])
        # Of the path one slash at the start: two would be the address of another host.
        path = "/" + str(scope["path"]).lstrip("/")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        response.set_cookie(self._cookie(scope), str(self._token), httponly=True, samesite="strict")
        return response

    @staticmethod
    def _cookie(scope: Scope) -> str:
        # Browsers keep one set of cookies for all ports of a host.
        return f"{COOKIE}_{(scope.get('server') or ('', 0))[1]}"


def _equal(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def _name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending

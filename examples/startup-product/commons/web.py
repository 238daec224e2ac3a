"""What every page needs: templates, who is signed in, and where a form is from.

Each visitor has a random cookie that scripts cannot read and other sites cannot send.
Every form carries its keyed digest; a form without it is refused (CSRF).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from commons import place, store

COOKIE = "commons"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_templates = Jinja2Templates(Path(__file__).parent / "templates")


class SignedOut(Exception):
    """Nobody is signed in: the start page asks who it is."""


def page(request: Request, name: str, status: int = 200, **more: Any) -> HTMLResponse:
    """A page; everything put into it is escaped by the template."""
    token = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
    more |= {"member": store.member_of(token), "csrf": _proof(token)}
    answer = _templates.TemplateResponse(request, name, more, status)
    if COOKIE not in request.cookies:
        _give(answer, token)
    return answer


def go(path: str) -> RedirectResponse:
    """Look at another page."""
    return RedirectResponse(path, 303)


def welcome(member: store.Member) -> RedirectResponse:
    """Begin a session under a fresh token."""
    answer = go("/directory")
    _give(answer, store.begin_session(member))
    return answer


def signed_in(request: Request) -> store.Member:
    """Who is signed in.

    Raises:
        SignedOut: Nobody is.
    """
    member = store.member_of(request.cookies.get(COOKIE, ""))
    if member is None:
        raise SignedOut
    return member


async def sent(request: Request) -> dict[str, str]:
    """The fields of a form that came from one of our own pages.

    Raises:
        HTTPException: 403: it did not.
    """
    form = {key: str(value) for key, value in (await request.form()).items()}
    proof = _proof(request.cookies.get(COOKIE, ""))
    if not hmac.compare_digest(form.pop("csrf", "").encode(), proof.encode()):
        raise HTTPException(403, "This form is out of date; go back and reload it.")
    return form


Me = Annotated[store.Member, Depends(signed_in)]
Sent = Annotated[dict[str, str], Depends(sent)]


def _give(answer: HTMLResponse | RedirectResponse, token: str) -> None:
    answer.set_cookie(
        COOKIE, token, max_age=int(store.LIFE), httponly=True, samesite="strict"
    )


def _proof(token: str) -> str:
    file = place.data() / "form-key"
    if not file.exists():
        place.keep(file, secrets.token_hex(32))
    return hmac.new(file.read_bytes(), token.encode(), hashlib.sha256).hexdigest()

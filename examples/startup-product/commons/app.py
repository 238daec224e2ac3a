"""The product: sign in, see the people of your company, connect your company."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse, RedirectResponse, Response  # noqa: TC002 - FastAPI reads it
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from commons import bridges, connect, store, web
from commons.web import Me, Sent  # noqa: TC001 - FastAPI reads it

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHORTEST = 10


@asynccontextmanager
async def _life(_: FastAPI) -> AsyncIterator[None]:
    for name in ("", "uvicorn", "uvicorn.access"):
        bridges.keep_secrets_out(logging.getLogger(name))
    yield
    bridges.close_all()


app = FastAPI(title="Commons", lifespan=_life, docs_url=None, openapi_url=None)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
app.include_router(connect.router)


@app.middleware("http")
async def _guarded(request: Request, go_on: Any) -> Response:
    answer: Response = await go_on(request)
    answer.headers.update(web.HEADERS)
    return answer


@app.exception_handler(web.SignedOut)
def _to_the_start(_: Request, __: web.SignedOut) -> RedirectResponse:
    return web.go("/")


@app.exception_handler(HTTPException)
async def _wrong(request: Request, error: HTTPException) -> Response:
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    words = "There is no such page." if error.status_code == 404 else error.detail  # noqa: PLR2004 - HTTP's own
    return web.page(request, "wrong.html", error.status_code, words=words)


@app.get("/")
def start(request: Request) -> Response:
    """Who are you?"""
    if store.member_of(request.cookies.get(web.COOKIE, "")):
        return web.go("/directory")
    return web.page(request, "start.html")


@app.post("/sign-up")
def sign_up(request: Request, form: Sent) -> Response:
    """Found a company."""
    name, email = form.get("company", "").strip(), form.get("email", "").strip()
    problem = ""
    if not name or "@" not in email:
        problem = "Give the name of your company and your e-mail address."
    elif len(form.get("password", "")) < SHORTEST:
        problem = f"Take a password of at least {SHORTEST} characters."
    else:
        member = store.sign_up(name, email, form["password"])
        if member is not None:
            return web.welcome(member)
        problem = "Somebody has signed up with this e-mail address already."
    shown = {"company": name, "email": email}
    return web.page(request, "start.html", 422, problem=problem, given=shown)


@app.post("/sign-in")
def sign_in(request: Request, form: Sent) -> Response:
    """Come back."""
    member = store.sign_in(form.get("email", ""), form.get("password", ""))
    if member is not None:
        return web.welcome(member)
    words = "E-mail address or password are not right."
    return web.page(request, "start.html", 403, refused=words)


@app.post("/sign-out")
def sign_out(request: Request, _: Sent) -> Response:
    """Leave."""
    store.end_session(request.cookies.get(web.COOKIE, ""))
    answer = web.go("/")
    answer.delete_cookie(web.COOKIE)
    return answer


@app.get("/colleagues")
def colleagues(request: Request, me: Me) -> Response:
    """Who else may sign in for one's company."""
    return _colleagues(request, me)


@app.post("/colleagues")
def add_colleague(request: Request, me: Me, form: Sent) -> Response:
    """Let a colleague in, who may agree to what one cannot agree to alone."""
    email, password = form.get("email", "").strip(), form.get("password", "")
    if "@" not in email or len(password) < SHORTEST:
        words = f"Give an e-mail address and a password of {SHORTEST} characters."
        return _colleagues(request, me, words)
    if not store.add_colleague(me, email, password):
        return _colleagues(request, me, "That e-mail address is taken.")
    return web.go("/colleagues")


def _colleagues(request: Request, me: store.Member, problem: str = "") -> Response:
    everybody = store.colleagues(me.company)
    status = 422 if problem else 200
    return web.page(
        request, "colleagues.html", status, colleagues=everybody, problem=problem
    )


@app.get("/directory")
def directory(request: Request, me: Me, q: str = "") -> HTMLResponse:
    """The people of one's own company."""
    everybody = store.people(me.company)
    wanted = q.strip().casefold()
    found = [
        each
        for each in everybody
        if wanted in " ".join(str(v) for v in each.values()).casefold()
    ]
    return web.page(request, "directory.html", people=found, q=q, all=len(everybody))

"""The page "Connect your company": from nothing to people in the directory.

Each step shows what the next one needs and says in words what is wrong. Nothing is
written before somebody has read the plan and typed its number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response  # noqa: TC002 - FastAPI reads it

from commons import bridges, forms, jobs, place, store, web
from commons.connection import ATTRIBUTES, Connection
from commons.web import Me, Sent  # noqa: TC001 - FastAPI reads it
from moatbridge import ConfigurationError, MoatbridgeError
from moatbridge.run import check, discover, preview

if TYPE_CHECKING:
    from moatbridge.run.looking import Discovered, FoundStream

router = APIRouter(prefix="/connect")
LONGEST = 200
_NEEDED = frozenset({"fields", "key"})


@router.get("")
def where(request: Request, me: Me) -> Response:
    """Go to the step that comes next; the first one is to choose a system."""
    known = Connection.of(me.company)
    if not known.adapter:
        return web.page(
            request, "system.html", step=1, names=bridges.NAMES, about=bridges.ABOUT
        )
    if not known.checked:
        return web.go("/connect/settings")
    if not known.stream:
        return web.go("/connect/data")
    return web.go("/connect/plan" if jobs.of(me.company) else "/connect/mapping")


@router.post("/system")
def choose(me: Me, form: Sent) -> Response:
    """This kind of system; or another one than before, from the beginning."""
    if jobs.busy(me.company):
        return web.go("/connect/plan")
    chosen = form.get("adapter", "")
    place.forget_secrets(me.company)
    _change(me, Connection(adapter=chosen if chosen in bridges.NAMES else ""))
    return web.go("/connect")


@router.get("/settings")
def settings(request: Request, me: Me) -> Response:
    """The form that the adapter describes."""
    known = Connection.of(me.company)
    return _form(request, known) if known.adapter else web.go("/connect")


@router.post("/settings")
def save(request: Request, me: Me, form: Sent) -> Response:
    """Keep the settings, say what is wrong with them, then try them."""
    known = Connection.of(me.company)
    if not known.adapter or jobs.busy(me.company):
        return web.go("/connect")
    asked = forms.inputs(bridges.schema(known.adapter))
    plain, typed = forms.settings(asked, form, known.settings)
    for name, value in typed.items():
        place.keep(place.of_company(me.company) / "secrets" / name, value)
    fresh = Connection(adapter=known.adapter, settings=plain)
    _change(me, fresh)
    try:
        bridges.check_settings(me.company, fresh)
    except ConfigurationError as error:
        return _form(request, fresh, wrong=forms.wrong_settings(error.message))
    return web.go("/connect/check")


@router.get("/check")
def look(request: Request, me: Me) -> Response:
    """Connect and log in, for real; say who we are there, or what is wrong."""
    known = Connection.of(me.company)
    if not known.adapter:
        return web.go("/connect")
    try:
        found = check(bridges.bridge(me.company)).systems[0]
    except MoatbridgeError as error:
        return web.page(request, "check.html", 409, step=3, problem=error)
    if found.problem is None and not known.checked:
        known.checked = True
        known.save(me.company)
    return web.page(request, "check.html", step=3, found=found, problem=found.problem)


@router.get("/data")
def data(request: Request, me: Me) -> Response:
    """What the system holds."""
    known = Connection.of(me.company)
    if not known.checked:
        return web.go("/connect")
    try:
        found = discover(bridges.bridge(me.company), "company")
    except MoatbridgeError as error:
        return web.page(request, "check.html", 409, step=3, problem=error)
    return web.page(request, "data.html", step=4, found=_usable(found), known=known)


@router.post("/data")
def take(request: Request, me: Me, form: Sent) -> Response:
    """This collection holds our people."""
    known = Connection.of(me.company)
    if not known.checked or jobs.busy(me.company):
        return web.go("/connect")
    try:
        found = discover(bridges.bridge(me.company), "company")
        chosen = next((f for f in _usable(found) if f.name == form.get("stream")), None)
        if chosen is None:
            return web.go("/connect/data")
        known.stream, known.mapping = chosen.name, {}
        known.stream_settings = chosen.settings
        _change(me, known)
        described = bridges.bridge(me.company).describe(f"company/{known.stream}")
    except MoatbridgeError as error:
        return web.page(request, "check.html", 409, step=4, problem=error)
    known.columns = {each.name: each.multi for each in described.stream.fields}
    known.mapping = _guessed(chosen.fields or dict(described.stream.suggested), known)
    _change(me, known)
    return web.go("/connect/mapping")


@router.get("/mapping")
def mapping(request: Request, me: Me) -> Response:
    """Which field is what, with the first records side by side."""
    known = Connection.of(me.company)
    if not known.stream:
        return web.go("/connect")
    seen, problem = None, None
    if all(path in known.mapping for path, (_, _, must) in ATTRIBUTES.items() if must):
        try:
            seen = preview(
                bridges.bridge(me.company), f"company/{known.stream}", most=3
            )
        except MoatbridgeError as error:
            problem = error
    shown = {"known": known, "attributes": ATTRIBUTES, "seen": seen}
    return web.page(request, "mapping.html", step=5, problem=problem, **shown)


@router.post("/mapping")
def map_fields(me: Me, form: Sent) -> Response:
    """Remember it, and show the records again."""
    known = Connection.of(me.company)
    if known.stream and not jobs.busy(me.company):
        chosen = {path: form.get(path, "") for path in ATTRIBUTES}
        known.mapping = {p: name for p, name in chosen.items() if name in known.columns}
        _change(me, known)
    return web.go("/connect/mapping")


@router.get("/plan")
def plan(request: Request, me: Me) -> Response:
    """What would happen, or how far it is, or what became of it."""
    job = jobs.of(me.company)
    if job is None:
        return web.go("/connect")
    if not job.over:
        return web.page(request, "working.html", step=6, job=job, refresh=1)
    shown: dict[str, Any] = {"job": job, "labels": ATTRIBUTES}
    if job.problem:
        return web.page(request, "failed.html", step=6, **shown)
    name = "plan.html" if job.kind == "plan" else "done.html"
    return web.page(
        request,
        name,
        step=6,
        **shown,
        number=len(store.people(me.company)),
        agreed=job.digest and store.agreement(me.company, job.digest),
    )


@router.post("/plan")
def make_plan(me: Me, _: Sent) -> Response:
    """Work it out. Nothing is written."""
    job = jobs.of(me.company)
    if job is not None and job.over and job.problem:
        bridges.close(me.company)  # a person says: try again, the cause is mended
    jobs.plan(me.company, me.email)
    return web.go("/connect/plan")


@router.post("/apply")
def carry_out(request: Request, me: Me, form: Sent) -> Response:
    """Carry out the plan that was shown, if the typed number is the plan's."""
    job = jobs.of(me.company)
    if job is None or not job.over or job.kind != "plan" or job.problem:
        return web.go("/connect/plan")
    verdict, typed = job.result.verdict, form.get("confirm", "").strip()
    if verdict.decision == "confirm" and typed != str(verdict.count):
        words = f"Type the number {verdict.count} to agree to exactly this plan."
        shown = {"job": job, "labels": ATTRIBUTES, "wrong": words}
        return web.page(request, "plan.html", 422, step=6, **shown)
    if verdict.decision == "approve" and (wrong := _second(me, job, form)):
        shown = {"job": job, "labels": ATTRIBUTES, "wrong": wrong}
        return web.page(request, "plan.html", 422, step=6, **shown)
    confirm = verdict.count if verdict.decision == "confirm" else None
    jobs.apply(me.company, me.email, form.get("digest", ""), confirm)
    return web.go("/connect/plan")


def _second(me: store.Member, job: jobs.Job, form: dict[str, str]) -> str:
    """Keep a second person's agreement; why it does not count, if it does not."""
    reason = " ".join(form.get("reason", "").split())[:LONGEST]
    if job.who == me.email:  # moatbridge would refuse it as well
        return "Somebody else than the one who made the plan must agree to it."
    if form.get("digest") != job.result.digest:
        return "The plan was replaced meanwhile; this is the new one."
    if not reason:
        return "Say why, so that it can be understood later."
    store.agreed(me, job.result.digest, reason)
    return ""


def _change(me: store.Member, fresh: Connection) -> None:
    """From now on it is this connection; what was planned before is void."""
    bridges.close(me.company)
    jobs.forget(me.company)
    fresh.save(me.company)


def _form(
    request: Request, known: Connection, wrong: dict[str, str] | None = None
) -> Response:
    asked = forms.inputs(bridges.schema(known.adapter))
    values = {each.name: forms.value_of(known.settings, each.name) for each in asked}
    about = {"kind": bridges.NAMES[known.adapter]}
    shown = {"asked": asked, "values": values, "wrong": wrong or {}, **about}
    return web.page(request, "settings.html", 422 if wrong else 200, step=2, **shown)


def _usable(found: Discovered) -> list[FoundStream]:
    """What can be read, people first; the company says what a doubtful field means."""
    usable = []
    for each in found.streams:
        doubtful = {k: v for k, v in each.doubtful.items() if k in _NEEDED and v}
        settings = doubtful | each.settings
        fields = settings.get("fields", ())  # those that point to other records stay
        settings["fields"] = [name for name in fields if isinstance(name, str)]
        if settings["fields"] and each.doubtful.get("key") != []:
            usable.append(replace(each, settings=settings))
    return sorted(
        usable, key=lambda one: one.entity != "Person" and one.name != "people"
    )


def _guessed(suggested: dict[str, Any], known: Connection) -> dict[str, str]:
    """The adapter's suggestions, as far as they name one of the fields."""
    guessed: dict[str, str] = {}
    for path in ATTRIBUTES:
        source = suggested.get(path, suggested.get(path.partition("[")[0]))
        name = (
            source.get("from") or source.get("each")
            if isinstance(source, dict)
            else source
        )
        if name in known.columns:
            guessed[path] = name
    return guessed

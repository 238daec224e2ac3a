"""What the page shows: read from the servers themselves, never from the bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from moatbridge.demo.world import World

_NEWEST: Final = 30


@dataclass(frozen=True, slots=True)
class Shown:
    """One post of the timeline.

    Args:
        ident: Its id on the platform.
        author: Display name.
        handle: Account name.
        moment: When it was written, as the platform says.
        markup: Its HTML, as the platform gives it: not clean yet.
        edited: When it was edited last, or None.
        versions: HTML of earlier versions, oldest first.
        visibility: The platform's word.
        answers: Replies, oldest first.
    """

    ident: str
    author: str
    handle: str
    moment: str
    markup: str
    edited: str | None
    versions: tuple[str, ...]
    visibility: str
    answers: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """What one system holds."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = "nothing yet"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything on the page at one moment."""

    posts: tuple[Shown, ...]
    tables: tuple[Table, ...]
    people: tuple[str, ...]


def take(world: World) -> Snapshot:
    """Look at every system."""
    platform = world.town
    roots = [s for s in platform.statuses() if not s.get("in_reply_to_id")]
    posts = tuple(_root(world, status) for status in roots[:_NEWEST])
    people = tuple(name for name in platform.tokens if name != platform.bot)
    return Snapshot(posts, _tables(world), people)


def _root(world: World, status: dict[str, Any]) -> Shown:
    platform = world.town
    context = platform.call("GET", f"/api/v1/statuses/{status['id']}/context")
    answers = tuple(_shown(each, ()) for each in context["descendants"])
    versions: tuple[str, ...] = ()
    if status.get("edited_at"):
        history = platform.history(status["id"])
        versions = tuple(each["content"] for each in history[:-1])
    return _shown(status, versions, answers)


def _shown(
    status: dict[str, Any], versions: tuple[str, ...], answers: tuple[Shown, ...] = ()
) -> Shown:
    account = status["account"]
    return Shown(
        ident=status["id"],
        author=account.get("display_name") or account["acct"],
        handle=account["acct"],
        moment=status["created_at"],
        markup=status["content"],
        edited=status.get("edited_at"),
        versions=versions,
        visibility=status["visibility"],
        answers=answers,
    )


def _tables(world: World) -> tuple[Table, ...]:
    orders = Table(
        "Orders in the ERP system (SOAP)",
        ("order", "state", "total", "decided by", "comment"),
        tuple(world.orders_shown()),
    )
    folders = Table(
        "Drop folders (SFTP)",
        ("folder", "file"),
        tuple(
            (folder, str(path.relative_to(world.files.folder / folder)))
            for folder in world.files.folders
            for path in world.files.below(folder, "*")
            if path.is_file() and path.parent.name != "sent"
        ),
    )
    events = Table(
        "Events at the webhook receiver",
        ("type", "about"),
        tuple(
            (str(event.get("type")), _about(event))
            for event in reversed(list(world.events.events.values())[-_NEWEST:])
        ),
    )
    accounts = Table(
        "People on the platform (SCIM)",
        ("accounts", "groups"),
        ((f"{world.social.count_users():,}", f"{len(world.social.groups()):,}"),),
    )
    return orders, folders, events, accounts


def _about(event: dict[str, Any]) -> str:
    data = event.get("data")
    if not isinstance(data, dict):
        return ""
    return str(data.get("content") or data.get("name") or data.get("id") or "")

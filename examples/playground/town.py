"""A practice platform with Mastodon's API, and the people on it.

    python town.py serve                 # until Ctrl-C; also a page for a browser
    python town.py posts                 # what our own account published
    python town.py reply ada PO-1001 "approve, looks good"
    python town.py inbox ada             # posts that name somebody

Needs the package ``mastodon-mock``. Our account is ``erp``; ``ada``, ``bo`` and
``visitor`` follow it. Secrets lie in the folder ``playground``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from serving import FOLDER, fresh, keep, kept, serve

from moatbridge.demo.servers import MastodonServer, Missing

PEOPLE = {"ada": "Ada Berg", "bo": "Bo Costa", "visitor": "A visitor"}


def main() -> int:
    """Run one of the commands."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("command", choices=("serve", "posts", "reply", "inbox"))
    asked.add_argument("values", nargs="*", help="reply: who, a word of a post, text")
    asked.add_argument("--port", type=int, default=8400)
    given = asked.parse_args()
    try:
        town = MastodonServer(FOLDER.absolute() / "town", PEOPLE)
    except Missing as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    town.port = given.port
    if given.command == "serve":
        return serve(lambda: start(town), town.stop)
    town.tokens = json.loads(kept("town-tokens.json"))
    if given.command == "posts":
        show(town.statuses())
    elif given.command == "inbox":
        show(town.inbox(*given.values))
    else:
        reply(town, *given.values)
    return 0


def start(town: MastodonServer) -> None:
    """Start it empty and say where it is."""
    fresh("town")
    town.start()
    keep("town-tokens.json", json.dumps(town.tokens))
    keep("town-token", town.token)
    print(f"platform: {town.url}")
    print(f"our account: {town.bot}, token in {FOLDER / 'town-token'}")


def reply(town: MastodonServer, who: str, about: str, text: str) -> None:
    """Somebody answers the newest of our posts that holds this word."""
    found = next((post for post in town.statuses() if about in post["content"]), None)
    if found is None:
        raise SystemExit(f"No post holds {about}.")
    town.reply(who, found["id"], text)


def show(posts: list[dict[str, Any]]) -> None:
    """Print posts by audience and text."""
    for post in sorted(
        posts, key=lambda each: (each["visibility"], plain(each["content"]))
    ):
        edited = ", edited" if post.get("edited_at") else ""
        print(f"[{post['visibility']}{edited}] {plain(post['content'])}")
        for media in post.get("media_attachments") or ():
            print(f"  {media['type']}: {media['description']}")
    print(f"{len(posts)} posts")


def plain(markup: str) -> str:
    """The text of a post, its lines apart by slashes."""
    lines = re.sub(r"<br ?/?>|</p><p>", " / ", markup)
    return re.sub(r"<[^>]+>", "", lines)


if __name__ == "__main__":
    sys.exit(main())

"""A platform with Mastodon's API as a real process, with faults on demand."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Self

from moatbridge.demo.servers.mastodon import MastodonServer
from moatbridge.testing.stage import intent
from servers.scripted_http import Answer

ORG = {"kind": "org", "refs": []}


class Mastodon(MastodonServer):
    """`MastodonServer` with its own folder, cleared between tests.

    Usable outside pytest::

        with Mastodon({"ada": "Ada"}) as platform:
            ...  # platform.url, platform.token, platform.reply("ada", ident, "approve")
    """

    def __init__(self, people: Any = None, **more: Any) -> None:
        self._folder = tempfile.TemporaryDirectory()
        names = people or {"ada": "Ada", "grace": "Grace"}
        super().__init__(Path(self._folder.name), names, **more)

    @property
    def endpoint(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._folder.cleanup()

    def clear(self) -> None:
        """Back to the seeded accounts, without faults."""
        self.call("DELETE", "/api/v1/_mock/faults")
        for status in self.statuses():
            self.call("DELETE", f"/api/v1/statuses/{status['id']}")

    def fault(self, method: str, path: str, *, count: int = 1, **effect: Any) -> None:
        """Make the next matching requests fail (``type``, ``status`` ...)."""
        rule = {"match": {"methods": [method], "path": path}, "effect": effect}
        self.call("POST", "/api/v1/_mock/faults", {**rule, "count": count})


def note(content, audience=ORG, **more):
    """A record of the stream of posts."""
    return {"type": "Note", "content": content, "audience": audience, **more}


def publish(adapter, record, **more):
    """Publish one record; its receipt."""
    return adapter.write("posts", [intent("create", None, record, **more)])[0]


def status(text, **more):
    """A status as the API shows it, for scripted peers."""
    account = {"id": "1", "acct": "erp", "username": "erp"}
    base = {"id": "77", "content": f"<p>{text}</p>", "account": account, "mentions": []}
    return {**base, **more}


def opening(asked):
    """What a scripted peer answers while an adapter opens."""
    if asked.path.endswith("/api/v2/instance"):
        return Answer(200, {"domain": "social.test", "version": "4.4.0"})
    if asked.path.endswith("/verify_credentials"):
        return Answer(200, {"id": "1", "acct": "erp", "locked": True})
    return Answer(404, {})

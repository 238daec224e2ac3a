"""A platform with Mastodon's API (``mastodon-mock``, in memory), and plain calls to it.

Everything here goes round our own Mastodon adapter on purpose: what people write in the
demo, and what it verifies, goes through the standard library's HTTP.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import secrets
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moatbridge.demo.servers.programs import Missing, Program, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAIN: Final = "from mastodon_mock.cli import main; main()"
_ERROR: Final = 400
_PAGE: Final = 40


class MastodonServer:
    """``mastodon-mock`` as a child process on a free loopback port.

    Args:
        home: Folder for its log, configuration and media.
        people: User name -> display name of the accounts besides our own.
        bot: User name of our own account.
        limit: Requests in five seconds before it answers 429; None for no limit.

    Raises:
        Missing: The package is not installed.
    """

    def __init__(
        self,
        home: Path,
        people: Mapping[str, str] | None = None,
        *,
        bot: str = "erp",
        limit: int | None = None,
    ) -> None:
        if importlib.util.find_spec("mastodon_mock") is None:
            raise Missing("mastodon-mock", "mastodon-mock from PyPI")
        self._home = home
        self._limit = limit
        self.bot = bot
        self._names = {bot: bot.upper(), **(people or {})}
        self.tokens: dict[str, str] = {
            name: secrets.token_hex(16) for name in self._names
        }
        self.port: int = free_port()
        self._program: Program | None = None

    @property
    def url(self) -> str:
        """Base URL of the API, and of its own page for people."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """Token of our own account."""
        return self.tokens[self.bot]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._home.mkdir(parents=True, exist_ok=True)
        settings = self._home / "mastodon.toml"
        settings.write_text(self._settings())
        command = [
            sys.executable, "-c", _MAIN, "serve", "--in-memory",
            "--config", str(settings), "--host", "127.0.0.1",
            "--port", str(self.port), "--log-level", "warning",
        ]  # fmt: skip
        self._program = Program(
            command,
            log=self._home / "mastodon.log",
            answers=self._answers,
            folder=self._home,
        )

    def stop(self) -> None:
        """Stop it; what it held is gone."""
        if self._program is not None:
            self._program.stop()

    def post(self, author: str, text: str, **more: Any) -> dict[str, Any]:
        """What a person writes."""
        body = {"status": text, "visibility": "public", **more}
        return dict(self.call("POST", "/api/v1/statuses", body, who=author))

    def reply(self, author: str, to: str, text: str) -> dict[str, Any]:
        """A person answers one of our posts; the platform puts our name before it."""
        return self.post(
            author, f"@{self.bot} {text}", in_reply_to_id=to, visibility="direct"
        )

    def statuses(self) -> list[dict[str, Any]]:
        """All posts of our own account, newest first."""
        me = self.call("GET", "/api/v1/accounts/verify_credentials")
        found: list[dict[str, Any]] = []
        while True:
            query: dict[str, Any] = {"limit": _PAGE}
            if found:
                query["max_id"] = found[-1]["id"]
            page = self.call(
                "GET", f"/api/v1/accounts/{me['id']}/statuses?{urlencode(query)}"
            )
            if not page:
                return found
            found += page

    def history(self, status: str) -> list[dict[str, Any]]:
        """Every version of a post."""
        return list(self.call("GET", f"/api/v1/statuses/{status}/history"))

    def inbox(self, who: str) -> list[dict[str, Any]]:
        """Posts that name a person, newest first."""
        notices = self.call(
            "GET", "/api/v1/notifications?types[]=mention&limit=40", who=who
        )
        return [each["status"] for each in notices if each.get("status")]

    def call(
        self, method: str, path: str, body: Any = None, *, who: str | None = None
    ) -> Any:
        """One plain request as somebody; the parsed answer.

        Raises:
            OSError: It was refused, or nobody answers.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with closing(connection):
            headers = {
                "Authorization": f"Bearer {self.tokens[who or self.bot]}",
                "Content-Type": "application/json",
            }
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= _ERROR:
            raise OSError(f"{method} answered {answer.status}")
        return json.loads(text) if text else None

    def _settings(self) -> str:
        lines = [f"media_storage_path = {json.dumps(str(self._home / 'media'))}"]
        if self._limit is not None:
            lines += ["[ratelimit]", "enabled = true", "window_seconds = 5"]
            lines.append(f"limit = {self._limit}")
        lines += ["[streaming]", "heartbeat_seconds = 1.0"]
        for name, token in self.tokens.items():
            lines += ["[[seed.accounts]]", f"username = {json.dumps(name)}"]
            lines.append(f"access_token = {json.dumps(token)}")
            lines.append(f"display_name = {json.dumps(self._names[name])}")
            lines.append(f"locked = {json.dumps(name == self.bot)}")
        for name in self.tokens:
            if name != self.bot:
                lines += ["[[seed.follows]]", f"follower = {json.dumps(name)}"]
                lines.append(f"following = {json.dumps(self.bot)}")
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        try:
            self.call("GET", "/api/v2/instance")
        except OSError:
            return False
        return True

"""Logging in: which of our credentials, in what order, and what a refusal means.

The server names the methods it takes; after each partial success it names those of the
next step. Each of ours is tried once. A wrong password and an unknown user read the
same, on purpose.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from paramiko import (
    AuthenticationException,
    BadAuthenticationType,
    Message,
    SSHException,
)
from paramiko.auth_handler import AuthHandler

from moatbridge.errors import MoatbridgeError
from moatbridge_sftp.wire import faults
from moatbridge_sftp.wire.faults import misconfigured
from moatbridge_sftp.wire.keys import load_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.adapter import Net
    from moatbridge_sftp.storage.base import SshAuth

AUTH: Final = 30.0
_STEPS: Final = 6
_METHODS: Final = ("publickey", "password", "keyboard-interactive")


def log_in(transport: Any, user: str, auth: SshAuth, net: Net) -> str:
    """Authenticate on a transport whose host key has been compared.

    Returns:
        The methods that were accepted, joined with ``+``.

    Raises:
        ConfigurationError: ``sftp.auth`` or ``sftp.key``.
        NotApplied: ``sftp.unreachable`` or ``sftp.deadline``.
    """
    login = _Login(transport, user, auth, net)
    try:
        return login.run()
    finally:
        login.forget()


class _Handler(AuthHandler):  # type: ignore[misc] # paramiko has no types
    """Asks for the service ``ssh-userauth`` once, not before each attempt.

    paramiko asks every time, which RFC 4252 does not foresee: servers in Go and
    asyncssh hang up, so key + password, or a second attempt, would never work there.
    Its other transport, which asks once, waits for the answer without end.
    """

    def __init__(self, transport: Any) -> None:
        super().__init__(transport)
        self._asked = False

    def _request_auth(self) -> None:
        if not self._asked:
            self._asked = True
            super()._request_auth()
            return
        accepted = Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        self._parse_service_accept(accepted)


class _Login:
    def __init__(self, transport: Any, user: str, auth: SshAuth, net: Net) -> None:
        self._transport = transport
        self._user = user
        self._auth = auth
        self._net = net
        self._handler = _Handler(transport)
        transport.auth_handler = self._handler
        self._trouble: MoatbridgeError | None = None
        self._left = [name for name in _METHODS if self._has(name)]
        self._accepted: list[str] = []

    def run(self) -> str:
        allowed = self._ask_methods()
        for _ in range(_STEPS):
            if self._transport.is_authenticated():
                return "+".join(self._accepted) or "none"
            method = next((name for name in self._left if name in allowed), None)
            if method is None:
                raise self._refused(allowed)
            self._left.remove(method)
            allowed = self._try(method, allowed)
        raise self._refused(allowed)

    def forget(self) -> None:
        """Make paramiko drop what it sent: a repr or a dump must not find it."""
        handler = self._handler
        handler.password = handler.private_key = handler.interactive_handler = None

    def _has(self, method: str) -> bool:
        auth = self._auth
        if method == "publickey":
            return auth.key is not None
        if method == "password":
            return auth.password is not None
        return auth.password is not None or bool(auth.answers)

    def _ask_methods(self) -> list[str]:
        try:
            return self._guarded(self._handler.auth_none) or []
        except BadAuthenticationType as error:
            return list(error.allowed_types)

    def _try(self, method: str, allowed: Sequence[str]) -> list[str]:
        """One attempt; returns the methods for the next one."""
        try:
            following = self._attempt(method)
        except BadAuthenticationType as error:
            return list(error.allowed_types)
        except AuthenticationException:
            return list(allowed)
        self._accepted.append(method)
        return following

    def _attempt(self, method: str) -> list[str]:
        handler, auth = self._handler, self._auth
        if method == "publickey":
            return self._guarded(handler.auth_publickey, load_key(auth))
        if method == "password" and auth.password is not None:
            secret = auth.password
            return self._guarded(handler.auth_password, secret.get_secret_value())
        return self._guarded(handler.auth_interactive, self._answer)

    def _guarded(self, start: Any, *proof: Any) -> list[str]:
        """One request and its answer; what is no refusal becomes our error."""
        left = min(AUTH, self._net.remaining())
        self._transport.auth_timeout = left
        until, answered = time.monotonic() + left, threading.Event()
        try:
            start(self._user, *proof, answered)
            return list(self._handler.wait_for_response(answered))
        except BadAuthenticationType:
            raise
        except (SSHException, OSError, EOFError) as error:
            if self._trouble is not None:
                raise self._trouble from None
            if time.monotonic() >= until or self._net.remaining() <= 0:
                raise faults.too_slow("logging in") from None
            if isinstance(error, AuthenticationException):
                if self._transport.is_active():
                    raise
            elif isinstance(error, SSHException):
                words = f"{type(error).__name__} while logging in"
                raise faults.broken_protocol(words) from error
            words = "closed the connection during the login"
            raise faults.unreachable(words) from error

    def _answer(
        self, _title: str, _text: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str]:
        """Answers to keyboard-interactive; called in paramiko's thread."""
        try:
            return [self._answer_one(*prompt) for prompt in prompts]
        except MoatbridgeError as error:
            self._trouble = error  # a secret that cannot be read; told by our thread
            raise SSHException from None

    def _answer_one(self, prompt: str, echoed: object) -> str:
        found = None if echoed else self._auth.password
        for pattern, secret in self._auth.answers.items():
            if re.search(pattern, prompt[:200]):
                found = secret
        return "" if found is None else found.get_secret_value()

    def _refused(self, allowed: Sequence[str]) -> Exception:
        takes = ", ".join(sorted(set(allowed) & {*_METHODS, "hostbased"})) or "nothing"
        have = [name for name in _METHODS if self._has(name)]
        said = f"; it accepted {' and '.join(self._accepted)}" if self._accepted else ""
        return misconfigured(
            "auth",
            f"The server refused the login{said}. It takes {takes}; configured is "
            f"{', '.join(have) or 'nothing'}. Check the user in `url` and the `auth` "
            "table: an unknown user, a wrong password and a key that is not listed "
            "look the same from here.",
        )

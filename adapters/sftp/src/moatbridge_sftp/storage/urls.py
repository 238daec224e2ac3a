"""The url of a system, taken apart and checked."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from moatbridge.errors import ConfigurationError

_SSH_PORT: Final = 22
_SCHEMES: Final = ("sftp", "ssh", "file")


class Place(NamedTuple):
    """Where the base folder is."""

    scheme: Literal["sftp", "file"]
    user: str
    host: str
    port: int
    path: str


def parse_url(url: str) -> Place:
    """Take a url apart.

    Raises:
        ConfigurationError: ``sftp.url``: another scheme, a password in it, no user, a
            query or fragment. The message holds no part of a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise _bad("must start with sftp:// or file://")
    if parts.query or parts.fragment:
        raise _bad("must not hold `?` or `#`; write them as %3F and %23")
    path = unquote(parts.path, errors="strict") if "%" in parts.path else parts.path
    if "\0" in path:
        raise _bad("must not hold a NUL")
    if parts.scheme == "file":
        return _local(parts.netloc, path)
    if parts.password is not None:
        raise _bad("must not hold a password; set `auth.password` to a reference")
    if not parts.hostname or not parts.username:
        raise _bad("must name user and host: sftp://user@host/folder")
    try:
        port = parts.port or _SSH_PORT
    except ValueError:
        raise _bad("has a port that is no number from 1 to 65535") from None
    return Place("sftp", unquote(parts.username), parts.hostname, port, path or "/~")


def _local(host: str, path: str) -> Place:
    if host not in {"", "localhost"}:
        raise _bad("must have three slashes for a local folder: file:///srv/drop")
    if not path.startswith("/"):
        raise _bad("must hold an absolute path")
    return Place("file", "", "", 0, path)


def _bad(words: str) -> ConfigurationError:
    return ConfigurationError(f"The setting `url` {words}.", code="sftp.url")

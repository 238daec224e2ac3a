"""Addresses: one base URL, path templates, and links that peers hand us."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from urllib.parse import SplitResult

_PORTS: Final = {"https": 443, "http": 80}
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """The one place a system's requests may go: scheme, host, port, path prefix."""

    scheme: str
    host: str
    port: int
    path: str

    @staticmethod
    def parse(text: str, *, insecure_cleartext: bool = False) -> BaseUrl:
        """Check a configured base URL.

        Raises:
            ConfigurationError: ``http.base-url``: not an absolute http(s) URL, or with
                user information, a query or a fragment, or clear text that was not
                asked for.
        """
        parts = _split(text)
        if parts is None or parts.scheme not in _PORTS or not parts.hostname:
            raise _refused("is not an absolute https URL")
        if parts.username is not None or parts.query or parts.fragment:
            raise _refused("must have no user information, query or fragment")
        if parts.scheme == "http" and not insecure_cleartext:
            raise _refused("is not encrypted; use https, or insecure_cleartext = true")
        return BaseUrl(
            parts.scheme,
            _ascii(parts.hostname),
            _port(parts),
            parts.path.rstrip("/"),
        )

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials are bound to."""
        return (self.scheme, self.host, self.port)

    @property
    def text(self) -> str:
        """The URL again, in one canonical spelling without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    def build(
        self,
        template: str,
        params: Mapping[str, str] | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
    ) -> str:
        """Fill a path template; every parameter is percent-encoded whole.

        Args:
            template: Such as ``/Users/{id}``; the only text taken as it is.
            params: Values for the braces. ``.`` and ``..`` are refused, because
                normalisation on the way would move the request elsewhere.
            query: Query parameters; a sequence repeats its name (``id[]``).

        Raises:
            ConfigurationError: ``http.path``: a parameter is missing or unusable.
        """
        given = params or {}

        def fill(match: re.Match[str]) -> str:
            value = given.get(match[1], "")
            if value in {"", ".", ".."}:
                message = (
                    f"Parameter {match[1]} of path {template} is empty or a dot "
                    f"segment; no request was made."
                )
                raise ConfigurationError(message, code="http.path")
            return quote(value, safe="")

        tail = "?" + urlencode(query, doseq=True, quote_via=quote) if query else ""
        return self.text + _PARAMETER.sub(fill, template) + tail

    def accept(self, link: str) -> str:
        """Take a link from an answer (``next``, ``meta.location``), or refuse it.

        Returns:
            The link's path below the base, with its query, ready for `follow`.

        Raises:
            ConfigurationError: ``http.other-origin``: another scheme, host or port, or
                outside the base path.
        """
        parts = _split(link)
        if parts is None or _CONTROL.search(link) or parts.username is not None:
            raise _foreign("an unreadable address")
        if parts.scheme or parts.netloc:
            here = (parts.scheme, _ascii(parts.hostname or ""), _port(parts))
            if here != self.origin:
                raise _foreign(f"host {_clean(parts.hostname)}")
        path = parts.path
        if not path.startswith(self.path + "/") or _climbs(path):
            raise _foreign("a path outside base_url")
        below = path[len(self.path) :]
        return f"{below}?{parts.query}" if parts.query else below


def host_of(link: str) -> str:
    """The host a link names, cleaned for messages; ``?`` if there is none."""
    parts = _split(link)
    return _clean(parts.hostname if parts else None)


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 0)


def _ascii(host: str) -> str:
    host = host.rstrip(".").lower()
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise _refused("has a host name that is not valid") from None


def _climbs(path: str) -> bool:
    decoded = unquote(unquote(path))
    return any(part in {".", ".."} for part in re.split(r"[/\\]", decoded))


def _clean(host: str | None) -> str:
    return re.sub(r"[^A-Za-z0-9.:-]", "?", host or "?")[:100]


def _refused(why: str) -> ConfigurationError:
    return ConfigurationError(f"Setting base_url {why}.", code="http.base-url")


def _foreign(where: str) -> ConfigurationError:
    message = (
        f"An answer points to {where}, which is not below base_url; links are followed "
        f"only on the configured origin and path. If the platform moved, change that."
    )
    return ConfigurationError(message, code="http.other-origin")

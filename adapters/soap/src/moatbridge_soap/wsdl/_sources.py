"""Where documents may come from: listed copies, stubs, own folder, listed origins.

Anything else is refused, ``file://`` included: a WSDL must not make us read files or
call hosts (soap 2, security 28).
"""

from __future__ import annotations

import hashlib
import os
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zeep.loader import absolute_location

from moatbridge.errors import ConfigurationError, MoatbridgeError, NotApplied
from moatbridge_soap.config.system import origin_of
from moatbridge_soap.http import Endpoint
from moatbridge_soap.wsdl._cache import DocumentCache
from moatbridge_soap.wsdl._stubs import location_of, stub
from moatbridge_soap.wsdl._xml import Checked, refused, shown

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge_soap.config import SoapConfig


class Sources:
    """Loads the documents of one WSDL, within all limits.

    Args:
        config: The system's settings.
        net: The way to the network; None where nothing may be downloaded.

    Attributes:
        files: Local files read: path -> (time of change, size).
        digests: Document -> digest of its content.
        addressing: A document announces WS-Addressing.
        substitutions: Elements that may stand for another: (head, element).
        last: The document that was asked for last, for messages.
    """

    def __init__(self, config: SoapConfig, net: Net | None) -> None:
        self.files: dict[str, tuple[int, int]] = {}
        self.digests: dict[str, str] = {}
        self.last: str = config.wsdl
        self.addressing = False
        self.substitutions: set[tuple[str, str]] = set()
        self.remote = config.wsdl.startswith("http")
        self.root: str = config.wsdl
        if not self.remote:
            self.root = str(Path(config.wsdl).absolute())
        self._config = config
        self._net = net
        self._size = 0
        self._depth = {self.root: 0}
        self._endpoints: dict[tuple[str, str, int], Endpoint] = {}
        self._cache = DocumentCache(config.cache) if config.cache else None
        self._origins = {origin_of(url) for url in config.import_origins}
        self._folder = ""
        if self.remote:
            self._origins.add(origin_of(config.wsdl))
        else:
            self._folder = os.path.realpath(Path(self.root).parent)

    def load(self, url: str) -> bytes:
        """The content of a document, checked and with safe import locations.

        Raises:
            ConfigurationError: ``soap.import-refused``, ``soap.wsdl``.
            NotApplied: It cannot be downloaded now.
        """
        self.last = url
        first = not self.digests
        if len(self.digests) >= self._config.max_wsdl.documents:
            raise refused(url, "is one document more than max_wsdl allows")
        depth = self._depth.get(url, 0)
        if depth > self._config.max_wsdl.depth:
            raise refused(url, "is imported deeper than max_wsdl allows")
        content = self._content(url)
        self._size += len(content)
        if self._size > self._config.max_wsdl.size:
            raise refused(url, "makes the WSDL larger than max_wsdl allows")
        self.digests[url] = hashlib.sha256(content).hexdigest()
        checked = Checked(content, url, first=first)
        self.addressing = self.addressing or checked.announces_addressing()
        self.substitutions.update(checked.substitutions())
        checked.relocate(lambda ns, location: self._relocated(ns, location, url))
        for location in checked.imports():
            child = absolute_location(location, url)  # type: ignore[no-untyped-call] # zeep is untyped
            self._depth.setdefault(child, depth + 1)
        return checked.content()

    def close(self) -> None:
        """Close the connections that downloads used, and forget the net."""
        while self._endpoints:
            self._endpoints.popitem()[1].close()
        self._net = None

    @property
    def digest(self) -> str:
        """Digest over all documents: another one means another WSDL."""
        whole = "\n".join(f"{u} {d}" for u, d in sorted(self.digests.items()))
        return hashlib.sha256(whole.encode()).hexdigest()

    def _relocated(
        self, namespace: str | None, location: str | None, base: str
    ) -> str | None:
        if namespace and namespace in self._config.documents:
            return self._config.documents[namespace]
        if namespace is None or (spare := location_of(namespace)) is None:
            return None
        usable = location is not None and self._usable(
            absolute_location(location, base)  # type: ignore[no-untyped-call] # zeep is untyped
        )
        return None if usable else spare

    def _usable(self, url: str) -> bool:
        if url in self._config.documents:
            return True
        if urlsplit(url).scheme in {"http", "https"}:
            return _origin(url) in self._origins
        return self._inside(url) and Path(url).is_file()

    def _content(self, url: str) -> bytes:
        listed = self._config.documents.get(url)
        if listed is not None and not listed.startswith("http"):
            return self._file(listed)
        if listed is None and url in self._config.documents.values():
            return self._file(url)
        spare = stub(url)
        if spare is not None:
            return spare
        target = listed or url
        if urlsplit(target).scheme in {"http", "https"}:
            if _origin(target) not in self._origins:
                raise _import_refused(target)
            return self._download(target)
        if "://" in target or not self._inside(target):
            raise _import_refused(target)
        return self._file(target)

    def _inside(self, path: str) -> bool:
        if not self._folder or "\0" in path:
            return False
        return Path(os.path.realpath(path)).is_relative_to(self._folder)

    def _file(self, path: str) -> bytes:
        try:
            with Path(path).open("rb") as file:
                found = os.fstat(file.fileno())
                self.files[path] = (found.st_mtime_ns, found.st_size)
                return file.read(self._config.max_wsdl.size + 1)
        except OSError as error:
            kind = type(error).__name__
            raise refused(path, f"cannot be read ({kind})") from None

    def _download(self, url: str) -> bytes:
        kept = self._cache.read(url) if self._cache else None
        if kept is not None and kept.fresh:
            return kept.content
        try:
            content, etag = self._get(url, kept.etag if kept else None)
        except NotApplied:
            if kept is None:
                raise
            return kept.content  # the server is down: what it said last still holds
        if content is None and kept is not None:
            content, etag = kept.content, kept.etag
        if content is None:
            raise refused(url, "was answered with nothing")
        if self._cache is not None:
            self._cache.write(url, content, etag)
        return content

    def _get(self, url: str, etag: str | None) -> tuple[bytes | None, str | None]:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"If-None-Match": etag} if etag else {}
        answer = self._endpoint(url).send("GET", None, headers, target=target)
        if answer.status == HTTPStatus.NOT_MODIFIED:
            return None, etag
        if answer.status != HTTPStatus.OK:
            words = f"was answered with HTTP {answer.status}"
            if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise NotApplied(f"{shown(url)} {words}.", code="soap.unreachable")
            raise refused(url, words)
        return b"".join(answer.chunks()), answer.headers.get("etag")

    def _endpoint(self, url: str) -> Endpoint:
        origin = origin_of(url)
        if self._net is None:
            raise NotApplied("There is no connection.", code="soap.closed")
        if origin not in self._endpoints:
            self._endpoints[origin] = Endpoint(
                self._net,
                url,
                proxy=self._config.proxy,
                limit=self._config.max_wsdl.size,
            )
        return self._endpoints[origin]


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        return origin_of(url)
    except ValueError:
        return None


def _import_refused(url: str) -> MoatbridgeError:
    origin = _origin(url)
    if origin is None:
        place = "a local file outside the WSDL's folder"
    else:
        place = "{}://{}:{}".format(*origin)
    return ConfigurationError(
        f"The WSDL imports a document from {place}, which is refused. If it belongs "
        "there, list a local copy in documents, or its origin in import_origins.",
        code="soap.import-refused",
    )

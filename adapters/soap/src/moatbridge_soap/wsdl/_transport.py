"""The only door between zeep and the world: `load` for documents, `post` for calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeep import Transport

from moatbridge.errors import NotApplied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge_soap.wsdl._sources import Sources


class LoadingTransport(Transport):
    """Loads the documents of a WSDL, and nothing else.

    zeep's own constructor is not called: it would make a ``requests`` session that
    opens ``file://``.
    """

    _close_session = False  # zeep's destructor asks

    def __init__(self, sources: Sources) -> None:
        self._load: Callable[[str], bytes] = sources.load

    def load(self, url: str) -> bytes:
        """See `Sources.load`."""
        return self._load(url)

    def post(self, address: Any, message: Any, headers: Any) -> Any:
        """Loading never posts."""
        del address, message, headers
        raise NotApplied("A document is read; nothing is sent.", code="soap.closed")


class PostingTransport(Transport):
    """Hands each envelope to one function; loads nothing.

    Args:
        post: Envelope and headers -> what zeep shall return to the caller.
    """

    _close_session = False  # zeep's destructor asks

    def __init__(self, post: Callable[[bytes, Mapping[str, str]], Any]) -> None:
        self._post = post

    def load(self, url: str) -> bytes:
        """A call never loads documents."""
        del url
        raise NotApplied("A message is sent; nothing is loaded.", code="soap.closed")

    def post(self, address: str, message: bytes, headers: Mapping[str, str]) -> Any:
        """Give the message away; ``address`` is the configured one already."""
        del address
        return self._post(message, headers)

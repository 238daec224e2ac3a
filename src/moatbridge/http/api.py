"""A JSON API in two words, `get` and `send`: the ``connect`` of most HTTP adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.http.client import HttpClient
from moatbridge.http.status import check_read, check_write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.adapter import Net
    from moatbridge.changes import Op
    from moatbridge.http.settings import HttpConfig

PAGE: Final = 500
"""Records in a page where the configuration has no ``page_size``."""

_OPS: Final[dict[str, Op]] = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "update",
    "DELETE": "delete",
}


class JsonApi:
    """One connection to a JSON API, whose answers are either good or typed errors.

    Args:
        config: Base URL, credentials, limits; its ``page_size``, if it has one.
        net: The adapter's way to the network.
        area: First word of the codes of errors. As the ``connect`` of `make_adapter`
            it is told the adapter's name.

    Used by one thread at a time; see `HttpClient` for what it raises beside the errors
    named below.
    """

    def __init__(self, config: HttpConfig, net: Net, *, area: str = "api") -> None:
        self.client: HttpClient = HttpClient(net, config)
        self.page_size: int = getattr(config, "page_size", PAGE)
        self._area = area

    def get(
        self,
        template: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        **params: str,
    ) -> Any:
        """The parsed answer of a read.

        Args:
            template: Path below the base URL, such as ``/people/{id}``.
            query: Query parameters; a sequence repeats its name.
            params: Values for the template's braces.

        Raises:
            NotApplied: ``AREA.busy`` or ``AREA.server``: it can be asked again.
            Rejected: ``AREA.gone``, ``AREA.rights``, ``AREA.data``.
            ConfigurationError: ``http.auth``.
        """
        answer = self.client.request("GET", template, params=params, query=query)
        check_read(answer, area=self._area)
        return answer.body

    def send(
        self,
        method: str,
        template: str,
        json: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **params: str,
    ) -> dict[str, Any]:
        """Carry a write out; the JSON object of its answer, or an empty one.

        Args:
            method: ``POST`` (creates), ``PUT`` or ``PATCH`` (update), or ``DELETE``.
            template: Path below the base URL, such as ``/people/{id}``.
            json: Body; None sends none.
            headers: More headers, such as ``Idempotency-Key``.
            params: Values for the template's braces.

        Raises:
            NotApplied: ``AREA.busy`` or ``AREA.stale``: certainly nothing happened.
            OutcomeUnknown: ``AREA.server``: a 5xx says nothing about what happened.
            Rejected: ``AREA.gone``, ``AREA.conflict``, ``AREA.rights``, ``AREA.data``.
            ConfigurationError: ``http.auth``.
        """
        answer = self.client.request(
            method, template, params=params, json=json, headers=headers
        )
        check_write(answer, _OPS[method], area=self._area)
        return answer.mapping

    def close(self) -> None:
        """Release the connection."""
        self.client.close()

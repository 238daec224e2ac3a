"""Operation tables of a stream: which operation, its request, what its answer holds."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from moatbridge.adapter import AdapterConfig
from moatbridge_soap.config._units import Duration  # noqa: TC001 - pydantic reads it
from moatbridge_soap.config.rules import Rule, Test  # noqa: TC001 - pydantic reads it


class PageConfig(AdapterConfig):
    """``OP.page``: how the pages of an answer follow each other (soap 54).

    Args:
        kind: The pattern.
        size: Items asked for in one page (``{page.size}``).
        first: Number of the first page.
        total: Path of the total number of items.
        next: ``cursor``: path of the next page's cursor.
        token: ``more``: path of the token for ``next_operation``.
        next_operation: ``more``: the operation that continues.
        next_request: ``more``: its request; ``{page.cursor}`` is the token.
        next_items: ``more``: path of its items; None is the first one's with the other
            operation's wrapper.
        done: ``more``: says that there is no more.
        by: ``last``: field whose last value starts the next page.
        start: ``window``: where the first window begins (also written ``from``).
        to: ``window``: where the last one ends; None: the server's time now.
        step: ``window``: length of a window.
        min: ``window``: shortest length a full window is halved to.
        cap: Items that the server gives at most in one answer.
        resumable: Whether a page can be asked for again in a later session.
    """

    kind: Literal["none", "page", "offset", "cursor", "more", "last", "window"] = "none"
    size: int = Field(default=500, ge=1, le=100_000)
    first: Literal[0, 1] = 1
    total: str | None = None
    next: str | None = None
    token: str | None = None
    next_operation: str | None = None
    next_request: dict[str, Any] = Field(default_factory=dict)
    next_items: str | None = None
    done: Test | None = None
    by: str | None = None
    start: str | int | None = Field(default=None, alias="from")
    to: str | int | None = None
    step: Duration | None = None
    min: Duration = 1.0
    cap: int | None = Field(default=None, ge=1)
    resumable: bool | None = None

    @model_validator(mode="after")
    def _needs(self) -> PageConfig:
        needed = {
            "cursor": ("next",),
            "more": ("token", "next_operation"),
            "last": ("by",),
            "window": ("start", "step", "cap"),
        }
        for name in needed.get(self.kind, ()):
            if getattr(self, name) is None:
                msg = f"kind {self.kind!r} needs {'from' if name == 'start' else name}"
                raise ValueError(msg)
        return self

    @property
    def resumes(self) -> bool:
        """True if a later session may go on from a page's state."""
        if self.resumable is not None:
            return self.resumable
        return self.kind in {"page", "offset", "last", "window"}


class Idempotency(AdapterConfig):
    """``OP.idempotency``: where our key goes.

    Args:
        path: Input element (a path of local names below the wrapper).
        header: ``wsa:MessageID``, or the name of an HTTP header.
        key_ttl: Seconds that the server remembers a key; None: for ever.
    """

    path: str | None = None
    header: str | None = None
    key_ttl: Duration | None = None

    @model_validator(mode="after")
    def _one(self) -> Idempotency:
        if (self.path is None) == (self.header is None):
            msg = "give path or header"
            raise ValueError(msg)
        return self


class BatchConfig(AdapterConfig):
    """``OP.batch``: several records or keys in one call.

    Args:
        size: At most so many.
        result: Path of the repeated result line (writes).
        key: Field path of the key inside a line (writes).
        by: ``position`` if the lines stand in the order of the request.
        ok: Success of one line; None: a line is success.
        atomic: The service applies all or nothing.
    """

    size: int = Field(default=50, ge=1, le=500)
    result: str | None = None
    key: str | None = None
    by: Literal["key", "position"] = "key"
    ok: Test | None = None
    atomic: bool = False


class OperationConfig(AdapterConfig):
    """What all operation tables share.

    Args:
        operation: Name in the port.
        request: Input elements by local name; values are literals or placeholders.
        items: Path of the repeated record element in the answer.
        item: Path of the single record element.
        ok: Success test of a 200 answer.
        rules: What faults and results mean; the first that matches.
    """

    operation: str
    request: dict[str, Any] = Field(default_factory=dict)
    items: str | None = None
    item: str | None = None
    ok: Test | None = None
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.items is not None and self.item is not None:
            msg = "give items or item, not both"
            raise ValueError(msg)
        return self


class SplitConfig(AdapterConfig):
    """``list.split``: one partition per value, such as a country.

    Args:
        param: Input element that takes the value; None: ``{split}`` in the request.
        values: All of them.
    """

    param: str | None = None
    values: tuple[str | int, ...] = Field(min_length=1)


class ListConfig(OperationConfig):
    """``.list``: a complete pass."""

    page: PageConfig = PageConfig()
    split: SplitConfig | None = None


class SinceConfig(AdapterConfig):
    """``changes.since``: how the change-since parameter is made and advanced.

    Args:
        format: ``strftime`` pattern for services that take text; None: XML's own.
        overlap: Seconds that each poll reads again.
        as_of: Path of the server's own time in the answer.
        window: Seconds that one pass covers at most (``{until}``).
    """

    format: str | None = None
    overlap: Duration = 300.0
    as_of: str | None = None
    window: Duration | None = None


class ChangesConfig(OperationConfig):
    """``.changes``: what changed since.

    Args:
        page: As in ``list``.
        since: The parameter of time.
        thin: Items carry only the key.
        deleted: Which items mean delete.
    """

    page: PageConfig = PageConfig()
    since: SinceConfig = SinceConfig()
    thin: bool = False
    deleted: Test | None = None


class DeletesConfig(OperationConfig):
    """``.deletes``: keys deleted since, with the bounds of ``changes``."""

    page: PageConfig = PageConfig()


class GetConfig(OperationConfig):
    """``.get``: one record by key, or several with ``{refs.FIELD}`` and ``batch``."""

    batch: BatchConfig | None = None


class FindConfig(OperationConfig):
    """``.find``: records by something else than the key (``{query.FIELD}``)."""


class WriteConfig(OperationConfig):
    """``.create .update .upsert .delete``.

    Args:
        result: Path of the new key in the answer; one per key field.
        result_version: Path of the new version in the answer.
        mode: ``full``: the service replaces the whole record, so the present one is
            read and merged; ``partial``: it changes only what is sent.
        batch: Several intents in one call.
        idempotency: Where our key goes.
    """

    result: str | tuple[str, ...] | None = None
    result_version: str | None = None
    mode: Literal["full", "partial"] | None = None
    batch: BatchConfig | None = None
    idempotency: Idempotency | None = None

    @property
    def results(self) -> tuple[str, ...]:
        """Paths of the new key's parts."""
        if self.result is None:
            return ()
        return (self.result,) if isinstance(self.result, str) else self.result

"""The smallest way to an adapter: plain functions, no class.

An author writes how to connect, how to read one thing and, if wanted, how to write it;
`make_adapter` builds the `Adapter` round these functions. Abilities follow from which
functions there are. Everything the core and the conformance suite ask of an adapter
holds for what is built, without a line of the author's:

* records hold the declared fields and nothing else; one that does not fit is a reject
  and the rest goes on; a field that a record does not have at all "says nothing"
  (it is never taken for a cleared one: say None for that);
* a pass is complete only when the reading function has come to its own end; whatever
  it raises means "not complete", never "the end";
* a record is validated before a writing function sees it; each intent has its own
  receipt, and an outcome that nobody knows is told as unknown (`write_each`).

A stream with several key fields, its own settings, deltas or a batch request needs the
class form (`Adapter`).
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

from moatbridge.adapter.abilities import CanFetch, CanFind, CanScan, CanWrite
from moatbridge.adapter.base import Adapter, AdapterConfig
from moatbridge.adapter.each import EACH_BATCH
from moatbridge.adapter.functions_class import Fetching, Finding, Scanning, Writing
from moatbridge.adapter.streams import Field, Stream, WriteTraits
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moatbridge.adapter.net import Net
    from moatbridge.adapter.streams import Probe
    from moatbridge.changes import Data, Reject

C = TypeVar("C", bound=AdapterConfig)
H = TypeVar("H")
Row: TypeAlias = "Mapping[str, Any] | Reject"
"""What a reading function yields for one record."""

_ABILITIES: Final = {
    CanScan: Scanning,
    CanFetch: Fetching,
    CanFind: Finding,
    CanWrite: Writing,
}


@dataclass(frozen=True, kw_only=True)
class StreamFunctions(Generic[H]):
    """One stream, as functions over whatever ``connect`` returned.

    Args:
        name: Local name of the stream (``people``).
        key: The field that identifies a record for ever; its values are text or whole
            numbers.
        fields: What records hold, as names (of text fields) or `Field` objects. A key
            that is only named is chosen by the target: it cannot be written.
        read: Yields every record as a dict, or a `Reject` for one that cannot be read.
            It comes to its end only at the end of the stream; otherwise it raises.
            An interrupted pass begins again.
        read_after: Instead of ``read``, for sources sorted by key: the same for the
            records after this key (None: from the start). A pass can then be resumed.
        fetch: The records with these keys, in any order; what is gone is left out. At
            most 500 keys a call.
        find: The records whose field has this value; hits are compared again.
        create: Makes a record and returns its key. Its last argument is the
            idempotency key: hand it on if the target knows such a thing.
        update: Sets these fields of the record with that key; None clears; others stay.
        delete: Removes the record with that key. That it is gone already is no error.
        dedup: What a repeated ``create`` with the same idempotency key does at the
            target: ``keyed`` (no second effect), ``lookup`` (``find`` tells whether the
            first arrived) or ``none``. See `WriteTraits`.
        key_ttl: Seconds the target remembers idempotency keys; None = for ever.
        snapshot: One call of ``read`` sees one consistent state (a single file, one
            database snapshot), so what it lacks is gone.
        entity: Canonical type that fits (``Person``), if that is clear.

    Every function is called under a deadline of the core, by one thread at a time. It
    raises `moatbridge.errors`; a bare `OSError` counts as "not applied" when reading
    and as "unknown" when writing. None may sleep or repeat.
    """

    name: str
    key: str
    fields: Sequence[str | Field]
    read: Callable[[H], Iterable[Row]] | None = None
    read_after: Callable[[H, str | None], Iterable[Row]] | None = None
    fetch: Callable[[H, Sequence[str]], Iterable[Row]] | None = None
    find: Callable[[H, str, str], Iterable[Row]] | None = None
    create: Callable[[H, Data, str], str | int] | None = None
    update: Callable[[H, str, Data], None] | None = None
    delete: Callable[[H, str], None] | None = None
    dedup: Literal["keyed", "lookup", "none"] = "none"
    key_ttl: float | None = None
    snapshot: bool = False
    entity: str | None = None

    @property
    def abilities(self) -> frozenset[str]:
        """What these functions can do together."""
        reads = self.read is not None or self.read_after is not None
        writes = self.create or self.update or self.delete
        has = {
            CanScan: reads,
            CanFetch: self.fetch is not None,
            CanFind: self.find is not None,
            CanWrite: writes is not None,
        }
        return frozenset(ability.__name__ for ability, so in has.items() if so)

    def described(self) -> Stream:
        """The stream, as the core sees it.

        Raises:
            ConfigurationError: ``adapter.functions``: a wrong declaration, a bug of
                the adapter's author.
        """
        fields = tuple(
            Field(f, writable=f != self.key) if isinstance(f, str) else f
            for f in self.fields
        )
        if self.key not in {field.name for field in fields}:
            raise _wrong(f"the key '{self.key}' of {self.name} is none of its fields")
        if self.read is not None and self.read_after is not None:
            raise _wrong(f"{self.name} has both `read` and `read_after`")
        if not self.abilities:
            raise _wrong(f"{self.name} has no function")
        return Stream(
            self.name,
            fields,
            key=(self.key,),
            abilities=self.abilities,
            entity=self.entity,
            snapshot_scan=self.snapshot,
        )

    def traits(self) -> WriteTraits:
        """What the target promises about writes."""
        return WriteTraits(
            self.dedup,
            key_scope="request",
            key_ttl=self.key_ttl,
            max_batch=EACH_BATCH,
        )


def make_adapter(
    name: str,
    config: type[C],
    *streams: StreamFunctions[H],
    connect: Callable[[C, Net], H],
    probe: Callable[[H], Probe | str],
) -> type[Adapter[C]]:
    """Build an adapter class from functions; put it behind the entry point.

    Args:
        name: The adapter's name, the same as the entry point's.
        config: Model of ``[systems.NAME]``. What it dials is its ``dialled`` (as of
            `moatbridge.http.HttpConfig`); a field ``page_size`` says how many records
            make a batch (default 500).
        streams: What there is.
        connect: Connects and returns what the streams' functions get. Dials through
            the `Net` only. Something with a ``close`` method is closed at the end.
        probe: Asks the server who it is: a stable identity of its data, or a whole
            `Probe`. Called at each opening, so it also proves the credentials.

    Raises:
        ConfigurationError: ``adapter.functions``: the declaration contradicts itself.
    """
    known = {each.name: each.described() for each in streams}
    if len(known) != len(streams) or not known:
        raise _wrong("streams need names of their own")
    able = frozenset().union(*(each.abilities for each in streams))
    bases = tuple(b for ability, b in _ABILITIES.items() if ability.__name__ in able)
    members = {
        "name": name,
        "Config": config,
        "functions": {each.name: each for each in streams},
        "described": known,
        "connector": staticmethod(connect),
        "prober": staticmethod(probe),
        "__module__": config.__module__,
        "__doc__": f"{name}: built from functions.",
    }
    title = "".join(word.title() for word in name.split("-"))
    return types.new_class(
        f"{title}Adapter", bases, exec_body=lambda namespace: namespace.update(members)
    )


def _wrong(words: str) -> ConfigurationError:
    return ConfigurationError(
        f"The adapter's functions do not fit: {words}.", code="adapter.functions"
    )

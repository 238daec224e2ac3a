"""The mandatory interface: small, and the same for legacy systems and platforms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
)

from pydantic import BaseModel, ConfigDict, Field

from moatbridge.adapter.abilities import Ability
from moatbridge.errors import ConfigurationError, CursorTooOld

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from moatbridge.adapter.net import Net
    from moatbridge.adapter.streams import Probe, Stream
    from moatbridge.changes import Cursor


class AdapterConfig(BaseModel):
    """Base of every adapter's ``Config`` and ``StreamConfig``.

    Frozen, and an unknown setting is an error. Secrets have the type
    `moatbridge.adapter.Secret`: a reference, resolved at each ``open``.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True
    )

    @property
    def dialled(self) -> tuple[str, int] | None:
        """Host and port that this configuration makes us dial; None if none.

        `moatbridge.http.HttpConfig` knows its own. Where there are several, override
        `Adapter.endpoints` instead.
        """
        return None


PageSize: TypeAlias = Annotated[int, Field(ge=1)]
"""Type of a setting ``page_size``: records in a page or batch, at least one.

Where the system has a maximum of its own (here 50), say so as well, so that a larger
one is refused when the configuration is read::

    import pydantic

    class RotaConfig(HttpConfig):
        page_size: PageSize = pydantic.Field(default=50, le=50)
"""

C = TypeVar("C", bound=AdapterConfig)
P = TypeVar("P", str, int)


class Adapter(ABC, Generic[C]):
    """The code that speaks to one kind of system.

    One instance is one connection, used by one thread at a time. The core owns
    pooling, retries, deadlines, rate limits, logging and audit: an adapter never loops
    on errors, never sleeps, and maps every driver error to one of `moatbridge.errors`.

    Class attributes:
        name: Short name, the same as the entry point's.
        Config: Model of ``[systems.NAME]`` (without the core's common settings).
        StreamConfig: Model of ``[streams."SYSTEM/STREAM"]`` (without ``translator``).
        reach: ``inside`` may dial private networks, ``outside`` public ones only.
        exposure: Whether people outside the company see what is written there.
        abilities: Derived from the bases; never typed by hand.
    """

    name: ClassVar[str]
    Config: ClassVar[type[AdapterConfig]]
    StreamConfig: ClassVar[type[AdapterConfig]] = AdapterConfig
    reach: ClassVar[Literal["inside", "outside"]] = "inside"
    exposure: ClassVar[Literal["internal", "external"]] = "internal"
    abilities: ClassVar[frozenset[str]] = frozenset()

    net: Net

    def __init__(self, config: C, streams: Mapping[str, Any]) -> None:
        """Keep the configuration; no I/O here.

        Args:
            config: An instance of ``Config``.
            streams: Local stream name -> instance of ``StreamConfig``.
        """
        self.config = config
        self.stream_configs = streams

    def __init_subclass__(cls, **more: Any) -> None:
        """Derive the abilities from the bases, so that they are true."""
        super().__init_subclass__(**more)
        cls.abilities = frozenset(
            base.__name__ for base in cls.__mro__ if Ability in base.__bases__
        )

    @classmethod
    def endpoints(cls, config: Any) -> Sequence[tuple[str, int]]:
        """Every host and port the configuration makes us dial, for the egress list.

        The default is what `AdapterConfig.dialled` names, or nothing: an address that
        is not named here cannot be dialled.
        """
        dialled: tuple[str, int] | None = config.dialled
        return () if dialled is None else (dialled,)

    def stream_config(self, stream: str) -> Any:
        """The ``StreamConfig`` of a configured stream.

        Raises:
            ConfigurationError: ``NAME.stream``: no such stream is configured.
        """
        if stream not in self.stream_configs:
            there = ", ".join(self.stream_configs) or "none"
            msg = f"There is no stream {stream!r}; there are: {there}."
            raise ConfigurationError(msg, code=f"{self.name}.stream")
        return self.stream_configs[stream]

    @abstractmethod
    def open(self) -> None:
        """Connect and authenticate. Called once, before anything else.

        Raises:
            ConfigurationError: Wrong credentials, certificate, address, rights.
            NotApplied: Unreachable now.
        """

    @abstractmethod
    def close(self) -> None:
        """Release everything. Idempotent, allowed before ``open``, never raises."""

    def abort(self) -> None:
        """End the call in progress; called from another thread at the deadline.

        Never blocks, never raises. The default does nothing: the core shuts down every
        socket known to ``net``. Override only for libraries that hide their socket
        (SQLite's ``interrupt``).
        """

    def host_keys(self) -> Sequence[str]:
        """Fingerprints of the keys that the server shows before anybody logs in.

        For people to compare with its owner before they pin one. Called on an instance
        that is not open; may dial, sends no credential, keeps nothing. The default is
        none: only protocols with pinned host keys (SSH) have any.

        Raises:
            NotApplied: Unreachable now.
        """
        return ()

    @abstractmethod
    def probe(self) -> Probe:
        """Identity, limits and warnings of the connected server."""

    @abstractmethod
    def streams(self) -> Sequence[Stream]:
        """Describe the configured streams (may ask the server for types)."""

    def notices(self, stream: str | None = None) -> Sequence[str]:  # noqa: ARG002
        """What a person should know about what was read since this was asked last.

        For what is no error and no reject, and still must not pass in silence: a file
        that was set aside, a number that is missing, elements that the schema does not
        know. The core asks at the end of each stretch of reading, keeps the sentences
        with the pass, and shows them in ``plan``, ``run`` and ``status``.

        Name the stream, say what happened and what to do. Whole sentences without
        personal values or secrets; of one stretch 20 are kept, of each 300 characters.
        The same sentence again, word for word, counts as said once. Asking forgets
        them. No I/O, never raises. The default is none.

        Args:
            stream: Local name of the stream that was read: what was said of others
                waits until it is asked for, since another flow reads them over the
                same connection. None for all of them.
        """
        return ()

    def position(self, cursor: Cursor | None, name: str, kind: type[P]) -> P | None:
        """What one of our own cursors says: ``{name: value}``.

        Args:
            cursor: As the core handed it back; None at the start.
            name: The cursor's member.
            kind: Its type: ``str`` or ``int``.

        Returns:
            The member; None at the start.

        Raises:
            CursorTooOld: ``NAME.cursor``: the cursor is not one of ours.
        """
        if cursor is None:
            return None
        found = cursor.get(name) if isinstance(cursor, dict) else None
        if type(found) is not kind:
            words = "The position is not one of ours."
            raise CursorTooOld(words, code=f"{self.name}.cursor", reason="foreign")
        return found

    def __enter__(self) -> Self:
        """Open and return the adapter."""
        self.open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close, whatever happened."""
        self.close()

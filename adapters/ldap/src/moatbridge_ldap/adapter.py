"""The adapter: people, groups and other entries of an LDAP directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from moatbridge.adapter import (
    Adapter,
    CanDiscover,
    CanFetch,
    CanFind,
    CanFollow,
    CanScan,
    CanWrite,
    Partition,
    Probe,
    Stream,
    Suggestions,
    WriteTraits,
)
from moatbridge.changes import Batch
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied
from moatbridge_ldap import inspect, suggest, syncrepl, timestamp
from moatbridge_ldap.config import LdapConfig, LdapStreamConfig
from moatbridge_ldap.directory import ASSERTION, SYNC, Directory, read_directory
from moatbridge_ldap.fetch import Fetcher
from moatbridge_ldap.scan import Pages, Scanner
from moatbridge_ldap.shape import Shape, compile_shape
from moatbridge_ldap.write import Writer

SUPPLIED: Final = frozenset(
    {
        "objectclass", "objectcategory", "instancetype", "ntsecuritydescriptor",
        "objectsid", "samaccountname",
    }
)  # fmt: skip
"""What classes demand and no create has to bring: the adapter writes the classes, and
Active Directory fills the rest where it is missing (MS-ADTS 3.1.1.5.2.4)."""

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter import Query
    from moatbridge.changes import Cursor, Fetched, Intent, Receipt, Record, Ref
    from moatbridge_ldap.wire.session import Session


class LdapAdapter(
    Adapter[LdapConfig],
    CanScan,
    CanFollow,
    CanFetch,
    CanFind,
    CanWrite,
    CanDiscover,
):
    """Reads, follows and writes entries of any LDAPv3 directory.

    Thread rule: one thread at a time; `abort` from any. Blocking rule: every call
    blocks on the network until the core's deadline. A scan or follow may be left
    unfinished; its search is then abandoned.
    """

    name: ClassVar[str] = "ldap"
    Config = LdapConfig
    StreamConfig = LdapStreamConfig
    reach = "inside"
    exposure = "internal"

    def __init__(self, config: LdapConfig, streams: dict[str, Any]) -> None:
        super().__init__(config, streams)
        self._session: Session | None = None
        self._directory: Directory | None = None
        self._shapes: dict[str, Shape] = {}
        self._pages = Pages(config.page_size)

    def __repr__(self) -> str:
        where = self._session.server if self._session else "closed"
        return f"LdapAdapter({where})"

    @classmethod
    def endpoints(cls, config: LdapConfig) -> Sequence[tuple[str, int]]:
        """Hosts and ports of the urls; a local socket is not one."""
        return [(u.host, u.port) for u in config.parsed_urls if u.scheme != "ldapi"]

    def open(self) -> None:
        """Connect to the first url that answers, start TLS, bind.

        Raises:
            NotApplied: ``ldap.unreachable``.
            ConfigurationError: ``net.tls.*``, ``ldap.cleartext``, ``ldap.auth``.
        """
        from moatbridge_ldap.wire.session import (  # noqa: PLC0415 - loads the driver
            open_session,
        )

        self.close()
        self._session = open_session(self.config, self.net)
        self._directory = None
        self._shapes.clear()

    def close(self) -> None:
        """Unbind and close. Idempotent, never raises."""
        session, self._session = self._session, None
        if session is not None:
            session.unbind()

    def abort(self) -> None:
        """Shut the socket down, from any thread."""
        session = self._session
        if session is not None:
            session.abort()

    def probe(self) -> Probe:
        """Identity, limits and warnings; reads the root DSE, schema, whoAmI."""
        shapes = {name: self._shape(name) for name in self.stream_configs}
        abilities = {name: self._abilities(name) for name in shapes}
        return inspect.probe(
            self._port,
            directory=self._known,
            config=self.config,
            shapes=shapes,
            abilities=abilities,
            pages=self._pages,
        )

    def streams(self) -> Sequence[Stream]:
        """The entries below ``bases`` that fit ``filter``, typed by its schema.

        Raises:
            ConfigurationError: ``ldap.field``: the schema lacks a field.
        """
        return [self._stream(name) for name in self.stream_configs]

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """One complete pass, page by page (spec ldap B).

        A cursor names only finished partitions: a pass that was cut starts again.

        Raises:
            NotApplied: The pass could not be finished; nothing was cut short silently.
            ConfigurationError: ``ldap.no-base``, ``ldap.size-limit``, ``ldap.rights``,
                ``ldap.referral``.
            Rejected: ``ldap.paging-loop``.
        """
        if after is not None and partition.key in _finished(after):
            yield Batch(cursor=after, complete=True)
            return
        yield from self._scanner.scan(self._shape(stream), partition.key)

    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """One poll of what changed since (spec ldap D).

        Raises:
            CursorTooOld: The server no longer knows; the core rescans.
            ConfigurationError: ``ldap.follow``: following is off.
        """
        shape, mode = self._shape(stream), self._mode
        if mode == "syncrepl":
            follower = syncrepl.Follower(self._port, shape)
            if after is None:
                yield Batch(cursor=follower.now().to_json())
                return
            position = syncrepl.Position.from_json(after, len(shape.places))
            yield from follower.changes(position)
        elif mode == "timestamp":
            stamps = timestamp.Follower(self._scanner, self._known, shape)
            if after is None:
                yield Batch(cursor=stamps.now())
                return
            yield from stamps.changes(after)
        else:
            raise ConfigurationError(
                'follow = "none": this directory is only scanned.', code="ldap.follow"
            )

    def fetch(self, stream: str, refs: Sequence[Ref]) -> Sequence[Fetched]:
        """Records by id, 200 to a search, in the order asked for."""
        return self._fetcher(stream).fetch(refs)

    def find(self, stream: str, queries: Sequence[Query]) -> Sequence[Sequence[Record]]:
        """Records of the stream by a field's value, or by ``dn``."""
        return self._fetcher(stream).find(queries)

    def traits(self, stream: str) -> WriteTraits:
        """``keyed`` where an attribute holds our key, else ``lookup``."""
        keyed = self._settings(stream).external_id is not None
        return WriteTraits(
            dedup="keyed" if keyed else "lookup",
            key_scope="object",
            max_request_life=60.0,
            max_batch=500,
            conditional=self._session is None or self._conditional,
            retractable=True,
        )

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Carry the intents out in pipelined windows; one receipt each, in order.

        Raises:
            ConfigurationError: ``ldap.rights``, ``ldap.wrong-server``; nothing done.
            NotApplied: The connection broke before the first write.
        """
        shape = self._shape(stream)
        writer = Writer(self._port, self._known, shape, self._fetcher(stream))
        return writer.write(intents)

    def discover(self) -> Suggestions:
        """Propose streams and settings; needs only ``urls`` and ``auth``."""
        return inspect.discover(self._port, self._known, self.config.id_attribute)

    # --- what is known of the server --------------------------------------------------

    @property
    def _port(self) -> Session:
        if self._session is None:
            raise NotApplied("The adapter is not open.", code="ldap.closed")
        return self._session

    @property
    def _known(self) -> Directory:
        if self._directory is None:
            self._directory = read_directory(self._port)
        return self._directory

    @property
    def _scanner(self) -> Scanner:
        return Scanner(self._port, self._known, self._pages, self.config.referrals)

    @property
    def _conditional(self) -> bool:
        known = self._known
        return known.supports(ASSERTION) and known.version_attribute is not None

    @property
    def _mode(self) -> str:
        mode = self.config.follow
        if mode != "auto":
            return mode
        known = self._known
        if known.openldap and known.supports(SYNC):
            return "syncrepl"
        return "timestamp"

    def _fetcher(self, stream: str) -> Fetcher:
        return Fetcher(self._port, self._known, self._shape(stream))

    def _settings(self, stream: str) -> LdapStreamConfig:
        try:
            return cast(LdapStreamConfig, self.stream_configs[stream])
        except KeyError:
            raise ConfigurationError(
                f"There is no stream {stream!r} in this system.", code="ldap.stream"
            ) from None

    def _shape(self, stream: str) -> Shape:
        if stream not in self._shapes:
            self._shapes[stream] = compile_shape(
                stream, self._settings(stream), self._known, self.config.id_attribute,
                fast=self.config.fast_reader,
            )  # fmt: skip
        return self._shapes[stream]

    def _abilities(self, stream: str) -> frozenset[str]:
        settings, gone = self._settings(stream), set()
        if self._mode == "none":
            gone.add("CanFollow")
        if settings.create is None and settings.remove == "refuse":
            writable = any(column.writable for column in self._shape(stream).columns)
            gone |= set() if writable else {"CanWrite"}
        return type(self).abilities - gone - {"CanDiscover"}

    def _stream(self, name: str) -> Stream:
        shape, settings = self._shape(name), self._settings(name)
        create = settings.create
        required: frozenset[str] = frozenset()
        if create is not None:
            named = frozenset(field.lower() for field in create.fields)
            schema = self._known.schema.required(create.object_classes) - SUPPLIED
            required = schema | named
        kind = suggest.kind_of(shape)
        return Stream(
            name=name,
            fields=shape.fields(required),
            abilities=self._abilities(name),
            entity=kind.entity if kind else None,
            suggested=suggest.translator(shape),
            case_insensitive=True,
            sees_deletes=self._mode == "syncrepl",
            query=shape.query,
        )


def _finished(cursor: Cursor) -> list[str]:
    if isinstance(cursor, dict) and cursor.get("mode") == "scan":
        return list(cursor.get("done", ()))
    raise CursorTooOld(
        "The cursor is not one of a scan; a rescan is needed.",
        code="ldap.cursor",
        reason="other-mode",
    )

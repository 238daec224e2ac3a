"""What belongs to one stream: its folder, reader, settler and publisher."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from moatbridge.adapter import Field, Stream, suggested_for
from moatbridge.errors import ConfigurationError
from moatbridge_sftp.parsing import Parser
from moatbridge_sftp.pickup.contents import Contents
from moatbridge_sftp.pickup.folder import Folder
from moatbridge_sftp.pickup.lateness import overdue
from moatbridge_sftp.pickup.notes import Notes
from moatbridge_sftp.pickup.passes import Passes
from moatbridge_sftp.pickup.sighting import Sightings
from moatbridge_sftp.pickup.spool import Spool
from moatbridge_sftp.pickup.turning import groups_of
from moatbridge_sftp.places import matcher, usual_names
from moatbridge_sftp.publish.publishing import Publisher
from moatbridge_sftp.settling.settler import Settler
from moatbridge_sftp.storage import Jump, SshAuth, SshSettings
from moatbridge_sftp.suggest import field_type

_MONTH: Final = 28 * 86_400

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.adapter import Net
    from moatbridge_sftp.config import Auth, JumpHost, SftpConfig, SftpStreamConfig
    from moatbridge_sftp.storage import Storage


@dataclass
class Bound:
    """One configured stream over an open storage. Used by one thread at a time."""

    name: str
    config: SftpStreamConfig
    system: SftpConfig
    storage: Storage
    net: Net

    @property
    def abilities(self) -> frozenset[str]:
        """What this stream can do."""
        return abilities_of(self.config)

    @cached_property
    def folder(self) -> Folder:
        """Its folders."""
        return Folder(self.storage, self.name, self.config, self.system.state_folder)

    @cached_property
    def parser(self) -> Parser:
        """Its format."""
        return Parser(self.config, self.spool)

    @cached_property
    def spool(self) -> Spool:
        """Where its files wait."""
        return Spool(self.system)

    @cached_property
    def contents(self) -> Contents:
        """Opens its files."""
        return Contents(self.folder, self.spool, self.parser, self.net)

    def close(self) -> None:
        """Let go of what is kept from one pass to the next."""
        if "contents" in self.__dict__:
            self.contents.close()

    @cached_property
    def settler(self) -> Settler:
        """Puts its files away."""
        return Settler(self.folder, self.contents, self.notes)

    @cached_property
    def notes(self) -> Notes:
        """What a person should know about its files."""
        return Notes(self.name)

    @cached_property
    def passes(self) -> Passes:
        """Reads its files."""
        return Passes(self.folder, self.contents, Sightings(), self.settler, self.notes)

    @cached_property
    def publisher(self) -> Publisher:
        """Writes its files."""
        return Publisher(self.folder, self.spool, self.parser)

    def newest(self) -> str | None:
        """UTC time of the newest file in the folder, by the server's clock."""
        try:
            entries, _ = self.folder.incoming()
        except ConfigurationError:
            return None  # what is wrong shows when the stream is read
        times = [entry.mtime for entry in entries if entry.kind == "file"]
        if not times:
            return None
        return datetime.fromtimestamp(max(times), UTC).isoformat()

    def overdue(self) -> str:
        """A sentence about a file that is late, by the server's clock; else nothing.

        For `check`, which has no position: files that were archived are looked at too.
        A folder in which nothing ever lay says nothing.
        """
        now, expect = time.time(), self.config.expect
        if expect.every is None or self.config.publish:
            return ""
        last = self.folder.youngest()
        late = last is None or overdue(expect, last, now)
        if late and self.config.after == "archive":
            moments = (now, now - _MONTH)
            older = [self.folder.youngest_archived(moment) for moment in moments]
            last = max((each for each in (last, *older) if each), default=None)
        said = "" if last is None else overdue(expect, last, now)
        return said and f"{self.name}: {said}."


def bind(
    name: str, config: SftpStreamConfig, system: SftpConfig, storage: Storage, net: Net
) -> Bound:
    """A stream over an open storage; its format's settings are checked.

    Raises:
        ConfigurationError: ``sftp.format``, ``sftp.fields``.
    """
    bound = Bound(name, config, system, storage, net)
    try:
        bound.parser.check()
    except ConfigurationError as error:
        raise error.at(stream=name) from None
    return bound


def abilities_of(config: SftpStreamConfig) -> frozenset[str]:
    """Publish: write only; a snapshot is scanned; deltas and records are followed."""
    if config.publish:
        return frozenset({"CanWrite"})
    reads = "CanScan" if config.content == "snapshot" else "CanFollow"
    return frozenset({reads, "CanSettle"})


def describe(name: str, config: SftpStreamConfig) -> Stream:
    """A stream as the core sees it; nothing but the settings is needed."""
    fields = [
        Field(
            field,
            field_type(spec.type),
            required=spec.required or field in config.key,
            unique=config.key == (field,),
            writable=config.publish,
        )
        for field, spec in config.fields.items()
    ]
    if config.content == "records":
        fields += [
            Field(group, "text", writable=False)
            for group in groups_of(config.name_groups)
            if group not in config.fields
        ]
    entity, suggested = suggested_for(fields)
    return Stream(
        name,
        tuple(fields),
        key=config.key,
        abilities=abilities_of(config),
        entity=config.entity or entity,
        suggested=suggested,
        snapshot_scan=config.content == "snapshot",
        settle_destroys=config.after == "delete" and not config.publish,
        sees_deletes=config.action is not None and not config.publish,
        query=_query(config),
    )


def _query(config: SftpStreamConfig) -> str:
    told = [config.folder.strip("/"), config.content, sorted(config.patterns)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def warnings_of(bound: Bound) -> list[str]:
    """What a person should know about a stream's settings."""
    config = bound.config
    said: list[str] = []
    if config.publish and not bound.publisher.keyed:
        said.append(
            f"{bound.name}: the state folder cannot be made, so there are no receipts: "
            "a file that the consumer has taken could be published again. Let the "
            "account make it, or set `state_folder`."
        )
    if config.publish:
        return said
    if config.max_rejects != 0 and config.controls is None:
        said.append(
            f"{bound.name}: no controls: a file that was cut short between two records "
            "looks whole."
        )
    if config.ripe == "settled" and config.settle_for < 1:
        said.append(
            f"{bound.name}: settle_for is under a second: a slow upload may be read "
            "before it is done."
        )
    if config.claim == "none" and config.after != "leave":
        said.append(
            f'{bound.name}: claim = "none": other programs may take the same files.'
        )
    reads = not (config.takes_away or config.ack_file or config.rejects_file)
    if reads and bound.storage.may_write(bound.folder.base):
        said.append(
            f"{bound.name}: the account may write in its folder, and the stream is "
            "only read: an account that can only read is enough."
        )
    if late := bound.overdue():
        said.append(late)
    return said


def rivals(bounds: Iterable[Bound]) -> list[str]:
    """Sentences about streams that take each other's files away."""
    takers = [bound for bound in bounds if bound.config.takes_away]
    return [
        f"{one.name} and {other.name} read the same files of one folder, and each file "
        "goes to only one of them: give them other `files`, or let both leave the "
        'files there (claim = "none" and after = "leave").'
        for one, other in itertools.combinations(takers, 2)
        if one.folder.base == other.folder.base and _meet(one, other)
    ]


def _meet(one: Bound, other: Bound) -> bool:
    """Whether some usual name fits both."""
    here, there = one.config.patterns, other.config.patterns
    mine, theirs = matcher(here), matcher(there)
    return any(mine(n) and theirs(n) for n in usual_names((*here, *there)))


def ssh_settings(config: SftpConfig) -> SshSettings | None:
    """The settings of the connection; None for a local folder."""
    if not config.remote:
        return None
    return SshSettings(
        host_keys=config.host_keys,
        known_hosts=config.known_hosts,
        auth=_auth(config.auth),
        legacy_algorithms=config.legacy_algorithms,
        in_flight=config.in_flight,
        max_rate=config.max_rate,
        jump=_jump(config.jump),
    )


def _jump(jump: JumpHost | None) -> Jump | None:
    if jump is None:
        return None
    return Jump(
        url=jump.url,
        host_keys=jump.host_keys,
        known_hosts=jump.known_hosts,
        auth=_auth(jump.auth) if jump.auth else None,
    )


def _auth(auth: Auth) -> SshAuth:
    return SshAuth(
        key=auth.key,
        passphrase=auth.passphrase,
        certificate=auth.certificate,
        password=auth.password,
        answers=auth.answers,
    )

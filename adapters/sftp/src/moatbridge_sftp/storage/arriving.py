"""From settings to a started SFTP client that stands in its base folder."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from moatbridge.errors import NotApplied
from moatbridge_sftp.storage.base import SshSettings
from moatbridge_sftp.storage.entries import WORLD_WRITABLE
from moatbridge_sftp.storage.urls import Place, parse_url
from moatbridge_sftp.wire import hostkeys, ssh
from moatbridge_sftp.wire.client import FSYNC, LIMITS, STATVFS, Client, StatusError
from moatbridge_sftp.wire.faults import misconfigured
from moatbridge_sftp.wire.packets import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.adapter import Net
    from moatbridge_sftp.storage.base import SshAuth
    from moatbridge_sftp.wire.ssh import Connection


def dial(place: Place, settings: SshSettings, net: Net) -> Connection:
    """Connect and log in, through the jump host if there is one."""

    def peer(place: Place, settings: SshSettings) -> ssh.Peer:
        pins = hostkeys.pins(
            place.host, place.port, settings.host_keys, settings.known_hosts
        )
        return ssh.Peer(
            place.user, place.host, place.port, pins, settings.auth,
            settings.legacy_algorithms,
        )  # fmt: skip

    target = peer(place, settings)
    if settings.jump is None:
        return ssh.connect(target, net)
    jump = settings.jump
    between = SshSettings(
        host_keys=jump.host_keys,
        known_hosts=jump.known_hosts,
        auth=jump.auth or _key_only(settings.auth),
        legacy_algorithms=settings.legacy_algorithms,
    )
    below = ssh.connect(peer(parse_url(jump.url), between), net)
    try:
        return ssh.connect(target, net, below)
    except BaseException:
        below.close()
        raise


def _key_only(auth: SshAuth) -> SshAuth:
    """What may be shown to another host: a key proves, a password is given away."""
    return replace(auth, password=None, answers={})


def start(client: Client, connection: Connection) -> None:
    """Say hello; a channel that ends at once belongs to no SFTP server."""
    try:
        client.start()
    except NotApplied as error:
        if error.code == "sftp.unreachable" and connection.transport.is_active():
            raise ssh.no_subsystem() from error
        raise


def find_base(client: Client, path: str) -> bytes:
    """The real path of the base, so that a link there is followed once, not later."""
    wanted = path[2:].lstrip("/") or "." if path.startswith("/~") else path
    try:
        base = client.real_path(wanted.encode())
        found = client.stat(base, follow=True)
    except StatusError as error:
        if error.status == Status.PERMISSION_DENIED:
            words = "This account may not look into the base folder of `url`."
            raise misconfigured("permission", words) from None
        words = "The base folder of `url` does not exist at the server."
        raise misconfigured("folder", words) from None
    if found.mode is not None and not stat.S_ISDIR(found.mode):
        words = "The base of `url` is not a folder."
        raise misconfigured("folder", words)
    return base


def warnings_of(
    settings: SshSettings,
    connection: Connection,
    client: Client,
    *,
    world_writable: bool,
) -> Iterator[str]:
    """Sentences about the login, the algorithms and what the server lacks."""
    if "password" in connection.methods or "keyboard" in connection.methods:
        yield "The login uses a password; a key is safer."
    if connection.methods == "none":
        yield "The server lets this user in without any proof."
    for name in settings.legacy_algorithms:
        yield f"The outdated algorithm or exception {name} is allowed."
    if world_writable:
        yield WORLD_WRITABLE
    if FSYNC not in client.extensions:
        yield "The server cannot flush files to its disk; a crash may lose one."
    if LIMITS not in client.extensions:
        yield "The server does not say its limits; requests of 32 KiB are used."
    if STATVFS not in client.extensions:
        yield "The server does not say its free space."

"""From a url to a storage: the one place that knows which kinds there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.storage.urls import parse_url

if TYPE_CHECKING:
    from moatbridge.adapter import Net
    from moatbridge_sftp.storage.base import SshSettings, Storage


def open_storage(url: str, *, net: Net, ssh: SshSettings | None = None) -> Storage:
    """Connect, authenticate and stand in the base folder.

    Args:
        url: ``sftp://user@host[:22]/base`` or ``file:///base``. The path of an sftp url
            is absolute at the server; ``/~/x`` is below the account's home.
        net: The core's way to the network, whose deadlines hold for every call.
        ssh: Needed for ``sftp://``, ignored for ``file://``.

    Raises:
        ConfigurationError: ``sftp.url``, ``sftp.host-key``, ``sftp.algorithms``,
            ``sftp.auth``, ``sftp.no-subsystem``, ``sftp.folder``, ``sftp.permission``.
        NotApplied: ``sftp.unreachable``, ``sftp.deadline``, ``sftp.protocol``.
    """
    place = parse_url(url)
    if place.scheme == "file":
        from moatbridge_sftp.storage.local import LocalStorage  # noqa: PLC0415 - lazy

        return LocalStorage(place.path, net=net)
    if ssh is None:
        words = "An sftp:// url needs `host_keys` (or `known_hosts`) and `auth`."
        raise ConfigurationError(words, code="sftp.url")
    # paramiko loads only where SSH is spoken
    from moatbridge_sftp.storage.remote import RemoteStorage  # noqa: PLC0415 - lazy

    return RemoteStorage.connect(place, ssh, net)


def endpoints(url: str, ssh: SshSettings | None = None) -> list[tuple[str, int]]:
    """Hosts and ports that `open_storage` dials: for `Adapter.endpoints`."""
    if ssh is not None and ssh.jump is not None:
        url = ssh.jump.url
    place = parse_url(url)
    return [] if place.scheme == "file" else [(place.host, place.port)]


def host_fingerprints(
    url: str, *, net: Net, legacy_algorithms: tuple[str, ...] = ()
) -> list[str]:
    """What ``check --show-host-key`` prints: every key type the server offers.

    No credential is sent. Nothing is written anywhere: a person compares and copies.

    Returns:
        ``SHA256:...`` and the key's type, such as ``SHA256:4kz0 (ssh-ed25519)``.
    """
    place = parse_url(url)
    if place.scheme == "file":
        return []
    from moatbridge_sftp.wire.ssh import show_host_keys  # noqa: PLC0415 - lazy

    return show_host_keys(place.host, place.port, net, legacy_algorithms)

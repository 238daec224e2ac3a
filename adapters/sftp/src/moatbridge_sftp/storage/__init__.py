"""Drop folders behind one small interface: ``sftp://`` and ``file://``."""

from moatbridge_sftp.storage.base import (
    IN_FLIGHT,
    SMALL,
    Entry,
    Facts,
    Jump,
    SshAuth,
    SshSettings,
    Storage,
    StorageFault,
)
from moatbridge_sftp.storage.opening import endpoints, host_fingerprints, open_storage

__all__ = [
    "IN_FLIGHT",
    "SMALL",
    "Entry",
    "Facts",
    "Jump",
    "SshAuth",
    "SshSettings",
    "Storage",
    "StorageFault",
    "endpoints",
    "host_fingerprints",
    "open_storage",
]

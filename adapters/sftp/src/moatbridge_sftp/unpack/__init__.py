"""Takes a spooled file out of its wrappings: OpenPGP, gz, bz2, zst, zip; and back."""

from __future__ import annotations

from moatbridge_sftp.unpack.layers import Unpacked, unpack
from moatbridge_sftp.unpack.limits import Limits
from moatbridge_sftp.unpack.openpgp import OpenPgp
from moatbridge_sftp.unpack.packing import gzip_spool

__all__ = ["Limits", "OpenPgp", "Unpacked", "gzip_spool", "unpack"]

"""moatbridge adapter: SFTP and local drop folders.

Importing this loads no SSH library; opening a connection does.
"""

from __future__ import annotations

from moatbridge_sftp.adapter import SftpAdapter
from moatbridge_sftp.config import SftpConfig, SftpStreamConfig

__all__ = ["SftpAdapter", "SftpConfig", "SftpStreamConfig"]

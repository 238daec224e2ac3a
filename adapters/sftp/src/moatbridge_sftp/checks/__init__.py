"""Everything that can be said about a file before one record of it leaves."""

from __future__ import annotations

from moatbridge_sftp.checks.controls import Body, Controls, body
from moatbridge_sftp.checks.first_pass import Summary, first_pass
from moatbridge_sftp.checks.named import Named
from moatbridge_sftp.checks.side_files import check_sum
from moatbridge_sftp.formats.base import BadFile

__all__ = [
    "BadFile",
    "Body",
    "Controls",
    "Named",
    "Summary",
    "body",
    "check_sum",
    "first_pass",
]

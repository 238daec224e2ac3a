"""``moatbridge demo``: the main job end to end, on real servers with invented people.

Real servers are started on this machine: OpenLDAP, PostgreSQL (or SQLite), PHP's SOAP
server, OpenSSH, a SCIM server, one with Mastodon's API, a webhook receiver. Whatever
the demo claims, it verifies by reading those servers directly and never by asking the
bridge. Nothing outside a folder of its own is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["main"]


def main(
    *,
    quick: bool = False,
    keep: bool = False,
    serve: bool = False,
    folder: Path | None = None,
) -> int:
    """Run the demo.

    Args:
        quick: A much smaller company.
        keep: Keep the folder with the configuration, the ledger and the servers' data.
        serve: Go on afterwards, with a page to look at, until Ctrl-C.
        folder: Where; None for a fresh folder below the system's temporary one.

    Returns:
        0 if everything that was expected was found, 1 if something was not, 2 if a
        server is not installed.
    """
    from moatbridge.demo.play import play  # noqa: PLC0415 - `moatbridge --help` is quick

    return play(quick=quick, keep=keep, serve=serve, folder=folder)

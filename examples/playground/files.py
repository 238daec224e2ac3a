"""A practice drop folder: a real OpenSSH server that admits one key, to SFTP only.

    python files.py serve                # until Ctrl-C

Needs ``sshd`` (Debian: ``openssh-server``). The folder ``playground/files/files/drop``
is what its clients see; the key they need is ``playground/files-key``.
"""

from __future__ import annotations

import argparse
import sys

from serving import FOLDER, fresh, keep, serve

from moatbridge.demo.servers import Missing, SshServer


def main() -> int:
    """Run the server."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("command", choices=("serve",))
    asked.add_argument("--port", type=int, default=8022)
    given = asked.parse_args()
    try:
        server = SshServer(fresh("files"))
    except Missing as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    server.port = given.port
    return serve(lambda: start(server), server.stop)


def start(server: SshServer) -> None:
    """Start it with one folder and say where it is."""
    server.start(("drop",))
    keep("files-key", server.key)
    print(f"url: {server.url}")
    print(f"host key: {server.fingerprint}")
    print(f"client key: {FOLDER / 'files-key'}")


if __name__ == "__main__":
    sys.exit(main())

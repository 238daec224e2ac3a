"""A real OpenSSH server on a free loopback port: the host of the drop folders.

It runs as whoever runs the demo and admits only the one key made for it, to SFTP and
nothing else.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from moatbridge.demo.servers.programs import Program, find, free_port, run

_PRIVILEGES: Final = Path("/run/sshd")
_CONFIG: Final = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host_key
PidFile none
UsePAM no
UseDNS no
StrictModes no
AuthorizedKeysFile {home}/admitted
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {user}
DisableForwarding yes
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


class SshServer:
    """One sshd in a folder of its own, serving drop folders.

    Args:
        home: Folder of its own; made here.

    Raises:
        Missing: sshd or ssh-keygen are not installed.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._sshd = find("sshd", "openssh-server")
        self._keygen = find("ssh-keygen", "openssh-client")
        self.user: str = getpass.getuser()
        self.port: int = free_port()
        self.folder: Path = home / "files"
        self.folders: tuple[str, ...] = ()
        self._program: Program | None = None

    @property
    def url(self) -> str:
        """Where the drop folders lie."""
        return f"sftp://{self.user}@127.0.0.1:{self.port}{self.folder}"

    @property
    def key(self) -> str:
        """The private key that is admitted, as text."""
        return (self._home / "client_key").read_text()

    @property
    def fingerprint(self) -> str:
        """The host key's fingerprint, as ``ssh-keygen -l`` prints it."""
        blob = base64.b64decode((self._home / "host_key.pub").read_text().split()[1])
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
        return "SHA256:" + digest.rstrip("=")

    def start(self, folders: tuple[str, ...]) -> None:
        """Make keys and folders and start it."""
        self._home.mkdir(parents=True)
        self.folders = folders
        for name in folders:
            (self.folder / name).mkdir(parents=True)
        for name in ("host_key", "client_key"):
            file = self._home / name
            run([self._keygen, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file])
        admitted = self._home / "admitted"
        admitted.write_text((self._home / "client_key.pub").read_text())
        if os.geteuid() == 0:
            _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
        conf = self._home / "sshd_config"
        conf.write_text(_CONFIG.format(port=self.port, home=self._home, user=self.user))
        self._program = Program(
            [self._sshd, "-D", "-e", "-f", conf],
            log=self._home / "sshd.log",
            answers=self._answers,
        )

    def stop(self) -> None:
        """Stop it; the files stay."""
        if self._program is not None:
            self._program.stop()

    def drop(self, folder: str, name: str, text: str) -> None:
        """What a legacy job does: write under another name, then rename."""
        target = self.folder / folder / name
        part = target.with_name(name + ".part")
        part.write_bytes(text.encode())
        part.rename(target)

    def names(self, folder: str) -> list[str]:
        """Names of the plain files in a drop folder, sorted."""
        found = (self.folder / folder).iterdir()
        return sorted(each.name for each in found if each.is_file())

    def below(self, folder: str, pattern: str) -> list[Path]:
        """Files anywhere below a drop folder (archive, failed), sorted."""
        return sorted((self.folder / folder).rglob(pattern))

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as peer:
                return peer.recv(4) == b"SSH-"
        except OSError:
            return False

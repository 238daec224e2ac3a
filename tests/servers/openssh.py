"""A real OpenSSH server on a free loopback port, for tests.

`OpenSsh` starts and stops it without pytest; `openssh` is the fixture. Needs Debian's
``openssh-server`` and ``openssh-client``, and root: it makes accounts of its own (all of
one user id, removed at the end), each with another way to log in.

| account | login | what it may do |
|---|---|---|
| ``key`` | Ed25519 key (its file has a passphrase) | everything below ``drop`` |
| ``password`` | password | the same |
| ``certificate`` | the key's certificate by the server's user authority | the same |
| ``both`` | the key, then the password | the same |
| ``reader`` | the key | ``internal-sftp -R``: read only |
| ``jailed`` | the key | chroot: sees ``/drop`` |
| ``shell`` | the key | no SFTP: every channel ends at once |
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from pydantic import SecretStr

from moatbridge.adapter import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNTS = ("key", "password", "certificate", "both", "reader", "jailed", "shell")
PASSWORD = "legacy-drop-password-7"
PASSPHRASE = "legacy-key-passphrase-7"
USER_ID = 64_321
KEY_TYPES = ("ed25519", "ecdsa", "rsa")

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
{host_keys}
PidFile none
UsePAM no
UseDNS no
StrictModes yes
AuthorizedKeysFile {home}/authorized_keys
TrustedUserCAKeys {home}/user_ca.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers {users}
MaxSessions 20
MaxStartups 50:30:100
LogLevel ERROR
Subsystem sftp internal-sftp -u 0022
{extra}
Match User {password}
  PasswordAuthentication yes
  PubkeyAuthentication no
Match User {certificate}
  AuthorizedKeysFile none
Match User {both}
  PasswordAuthentication yes
  AuthenticationMethods publickey,password
Match User {reader}
  ForceCommand internal-sftp -R
Match User {jailed}
  ChrootDirectory {home}
  ForceCommand internal-sftp -u 0022
Match User {shell}
  ForceCommand /bin/true
"""


class OpenSsh:
    """One server with its own keys, accounts and folder.

    ``with OpenSsh() as server`` starts it; afterwards nothing of it is left.

    Args:
        extra: More lines for its configuration.
    """

    def __init__(self, extra: str = "") -> None:
        # A chroot must be owned by root all the way up, so not below /tmp.
        self.home = Path(tempfile.mkdtemp(prefix="moat-sshd-", dir="/var/lib"))
        self.drop = self.home / "drop"
        self.port = free_port()
        self.extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.port

    @property
    def pid(self) -> int:
        """The listening process."""
        assert self._process is not None
        return self._process.pid

    def user(self, account: str) -> str:
        """The login name of an account."""
        return f"moat{self.port}{ACCOUNTS.index(account)}"

    def url(
        self, account: str = "key", folder: str = "", port: int | None = None
    ) -> str:
        """The url of the account's base: ``drop``, or a folder below it."""
        base = "/drop" if account == "jailed" else str(self.drop)
        path = f"{base}/{folder}".rstrip("/")
        return f"sftp://{self.user(account)}@127.0.0.1:{port or self.port}{path}"

    def auth(self, account: str = "key") -> dict[str, Secret]:
        """What goes into the ``auth`` table (or `SshAuth`) of an account."""
        found = {
            "key": held((self.home / "client").read_text()),
            "passphrase": held(PASSPHRASE),
            "certificate": held((self.home / "client-cert.pub").read_text()),
            "password": held(PASSWORD),
        }
        if account == "password":
            return {"password": found["password"]}
        wanted = ["key", "passphrase"]
        wanted += {"certificate": ["certificate"], "both": ["password"]}.get(
            account, []
        )
        return {name: found[name] for name in wanted}

    def fingerprint(self, kind: str = "ed25519") -> str:
        """``SHA256:...`` of a host key, as ``ssh-keygen -lf`` prints it."""
        shown = self._run("ssh-keygen", "-lf", f"host_{kind}.pub")
        return shown.split()[1]

    def known_hosts(self) -> str:
        """The lines of a ``known_hosts`` file."""
        return "".join(
            f"[127.0.0.1]:{self.port} {(self.home / f'host_{kind}.pub').read_text()}"
            for kind in KEY_TYPES
        )

    def start(self) -> None:
        """Make keys and accounts, and start the server."""
        self.home.chmod(0o755)
        self.drop.mkdir()
        self._make_keys()
        for account in ACCOUNTS:
            self._make_account(self.user(account))
        self._set_passwords()
        shutil.chown(self.drop, USER_ID, USER_ID)
        (self.home / "sshd_config").write_text(self._config())
        Path("/run/sshd").mkdir(exist_ok=True)
        with (self.home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.home / "sshd_config")],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        """Stop the server by its pid and remove accounts and files."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
        for account in ACCOUNTS:
            with contextlib.suppress(RuntimeError):
                # forced: sessions of other servers share the user id
                self._retried("userdel", "-f", self.user(account))
        shutil.rmtree(self.home, ignore_errors=True)

    def put(self, name: str, content: bytes = b"") -> Path:
        """Place a file below ``drop``, as the account would."""
        path = self.drop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for one in (path, *path.relative_to(self.drop).parents):
            shutil.chown(self.drop / one, USER_ID, USER_ID)
        return path

    def empty(self) -> None:
        """Remove everything below ``drop``."""
        for one in self.drop.iterdir():
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink()

    def _make_keys(self) -> None:
        for kind in KEY_TYPES:
            self._run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", f"host_{kind}")
        self._run("ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-a", "1",
                  "-f", "client")  # fmt: skip
        self._run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "user_ca")
        users = ",".join(self.user(account) for account in ACCOUNTS)
        self._run("ssh-keygen", "-q", "-s", "user_ca", "-I", "moat", "-n", users,
                  "client.pub")  # fmt: skip
        keys = self.home / "authorized_keys"
        keys.write_text((self.home / "client.pub").read_text())
        keys.chmod(0o644)

    def _make_account(self, user: str) -> None:
        # One may be left of a server on this port that was killed.
        with contextlib.suppress(RuntimeError):
            self._retried("userdel", user)
        self._retried("useradd", "-o", "-u", str(USER_ID), "-M", "-N", "-d",
                      str(self.drop), "-s", "/bin/sh", user)  # fmt: skip

    def _set_passwords(self) -> None:
        lines = "".join(f"{self.user(name)}:{PASSWORD}\n" for name in ACCOUNTS)
        self._retried("chpasswd", text=lines)

    def _config(self) -> str:
        keys = "\n".join(f"HostKey {self.home}/host_{kind}" for kind in KEY_TYPES)
        users = {account: self.user(account) for account in ACCOUNTS}
        return CONFIG.format(
            port=self.port,
            home=self.home,
            host_keys=keys,
            users=" ".join(users.values()),
            extra=self.extra,
            **users,
        )

    def _wait(self) -> None:
        ends = time.monotonic() + 60
        while True:
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError((self.home / "log").read_text()[-2000:])
            try:
                with socket.create_connection(self.endpoint, timeout=1) as probe:
                    if probe.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.02)

    def _retried(self, *command: str, text: str | None = None) -> None:
        """The password file is locked while another server makes its accounts."""
        ends = time.monotonic() + 60
        while True:
            try:
                self._run(*command, text=text)
            except RuntimeError as error:
                if "lock" not in str(error) or time.monotonic() > ends:
                    raise
                time.sleep(0.05)
            else:
                return

    def _run(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(
            command, cwd=self.home, capture_output=True, check=False, text=True,
            input=text,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return done.stdout


def held(value: str) -> Secret:
    """A secret that is held in memory."""
    return Secret("(held in memory)", SecretStr(value))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def openssh() -> Iterator[OpenSsh]:
    """A running server."""
    if os.geteuid() != 0:
        pytest.fail("tests against OpenSSH make accounts and need root")
    with OpenSsh() as server:
        yield server

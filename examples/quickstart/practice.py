"""A practice company: a real OpenLDAP directory and a real SCIM platform.

    python practice.py serve       # both servers, until Ctrl-C
    python practice.py accounts    # who has an account on the platform, read from it
    python practice.py mobile aberg "+1 202 555 0199"   # what a person edits there

Needs OpenLDAP (Debian: ``slapd ldap-utils``) and the package ``scim2-server``. All
people are invented. Everything lies in the folder ``practice``, made here.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbridge.demo.servers import Missing, OpenLdap, ScimServer

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path("practice")
PEOPLE = "ou=people,dc=example,dc=org"
GIVEN = ("Astrid", "Bilal", "Chiara", "Dmitri", "Esra", "Femi")
FAMILY = ("Berg", "Costa", "Okafor", "Nowak", "Silva")


def main() -> int:
    """Run one of the two commands."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("command", choices=("serve", "accounts", "mobile"))
    asked.add_argument("values", nargs="*", help="mobile: login and number")
    asked.add_argument("--ports", nargs=2, type=int, default=(3890, 8090))
    given = asked.parse_args()
    if given.command == "serve":
        return serve(*given.ports)
    api = Platform(given.ports[1])
    if given.command == "mobile":
        api.set_mobile(*given.values)
    else:
        accounts(api)
    return 0


def serve(directory_port: int, platform_port: int) -> int:
    """Start both servers, say where they are, and wait for a signal."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            directory = OpenLdap(Path(folder) / "directory")
            platform = ScimServer(Path(folder) / "platform")
        except Missing as missing:
            sys.stderr.write(f"{missing}; install it and try again.\n")
            return 2
        directory.port, platform.port = directory_port, platform_port
        keep("hr-password", directory.password)
        keep("social-token", platform.token)
        try:
            directory.start(entries())
            platform.start()
            admin = Path(folder) / "directory" / "admin-password"
            keep("admin-password", admin.read_text())
            print(f"directory: {directory.url}")
            print(f"platform: {platform.url}")
            print("Ctrl-C stops both.", flush=True)
            wait()
        finally:
            platform.stop()
            directory.stop()
    return 0


def entries() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Thirty people: every given name with every family name."""
    yield PEOPLE, {"objectClass": ["organizationalUnit"], "ou": ["people"]}
    for given in GIVEN:
        for family in FAMILY:
            uid = f"{given[0]}{family}".lower()
            person = {
                "objectClass": ["inetOrgPerson"],
                "uid": [uid],
                "cn": [f"{given} {family}"],
                "givenName": [given],
                "sn": [family],
                "mail": [f"{uid}@example.org"],
                "telephoneNumber": ["+1 202 555 0142"],
            }
            yield f"uid={uid},{PEOPLE}", person


class Platform:
    """The platform's own API, as its own front end uses it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._token = (FOLDER / "social-token").read_text()

    def users(self) -> list[dict[str, Any]]:
        """Every account."""
        return list(self._call("GET", "/Users?count=100").get("Resources", []))

    def set_mobile(self, login: str, number: str) -> None:
        """Give one account a mobile number."""
        user = next(each for each in self.users() if each["userName"] == login)
        mobile = [{"type": "mobile", "value": number}]
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "add", "path": "phoneNumbers", "value": mobile}],
        }
        self._call("PATCH", f"/Users/{user['id']}", body)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/scim+json",
        }
        data = None if body is None else json.dumps(body).encode()
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=10)) as connection:
            connection.request(method, f"/v2{path}", data, headers)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise SystemExit(f"The platform answered {answer.status}.")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found


def accounts(api: Platform) -> None:
    """Print the platform's accounts as the platform itself tells them."""
    found = api.users()
    for user in sorted(found, key=lambda each: each["userName"]):
        name = user.get("name", {})
        state = "active" if user.get("active", True) else "disabled"
        parts = (name.get("givenName", ""), name.get("familyName", ""), state)
        print(f"{user['userName']:10} {' '.join(parts)}")
    print(f"{len(found)} accounts")


def keep(name: str, secret: str) -> None:
    """Write a secret to a file that only we may read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(FOLDER / name, flags, 0o600), "w") as file:
        file.write(secret)


def wait() -> None:
    """Return at Ctrl-C or SIGTERM."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.2):
        pass


if __name__ == "__main__":
    sys.exit(main())

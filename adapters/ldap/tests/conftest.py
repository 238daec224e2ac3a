from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from moatbridge.adapter import Partition, TlsSettings
from moatbridge.testing import net
from moatbridge_ldap import LdapAdapter, LdapConfig, LdapStreamConfig
from moatbridge_ldap.wire import layout
from servers.openldap import BASE, PASSWORDS, SYNC, OpenLdap, openldap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.changes import Change

__all__ = ["openldap"]

_NUMBERS = itertools.count(1)
PERSON_FIELDS = [
    "uid",
    "cn",
    "sn",
    "givenName",
    "mail",
    "employeeNumber",
    "description",
]


class Lab:
    """Makes adapters for one test, and reads what they give."""

    def __init__(self, server: OpenLdap) -> None:
        self.server = server
        self._open: list[LdapAdapter] = []

    def place(self) -> str:
        """A container of this test's own, as a DN."""
        dn = f"ou=t{next(_NUMBERS)},{BASE}"
        self.server.add(
            [
                (
                    dn,
                    {
                        "objectClass": ["organizationalUnit"],
                        "ou": [dn[3:].partition(",")[0]],
                    },
                )
            ]
        )
        return dn

    def make(
        self,
        where: str | list[Any],
        who: str = SYNC,
        *,
        stream: dict[str, Any] | None = None,
        tls: dict[str, Any] | None = None,
        **settings: Any,
    ) -> LdapAdapter:
        bases = [{"dn": where}] if isinstance(where, str) else where
        shape: dict[str, Any] = {
            "bases": bases,
            "fields": PERSON_FIELDS,
            "filter": "(objectClass=inetOrgPerson)",
        }
        settings = {
            "urls": [self.server.url],
            "auth": {
                "kind": "simple",
                "bind_dn": who,
                "password": SecretStr(PASSWORDS.get(who, "wrong-password")),
            },
        } | settings
        config = LdapConfig(**settings)
        adapter = LdapAdapter(
            config, {"people": LdapStreamConfig(**(shape | (stream or {})))}
        )
        trust = {"ca_file": self.server.ca_file} if tls is None else tls
        adapter.net = net(LdapAdapter.endpoints(config), tls=TlsSettings(**trust))
        return adapter

    def open(self, *arguments: Any, **more: Any) -> LdapAdapter:
        adapter = self.make(*arguments, **more)
        self._open.append(adapter)
        adapter.open()
        return adapter

    def fake(self, url: str, **more: Any) -> LdapAdapter:
        """An adapter on a scripted directory, without TLS."""
        stream = {"fields": ["cn", "uid", "member"], "filter": "(cn=*)"} | more.pop(
            "stream", {}
        )
        return self.open(
            "dc=fake",
            urls=[url],
            starttls="off",
            insecure_cleartext=True,
            stream=stream,
            **more,
        )

    def close(self) -> None:
        for adapter in self._open:
            adapter.close()

    @staticmethod
    def scan(adapter: LdapAdapter) -> list[Change]:
        batches = list(adapter.scan("people", Partition(), None))
        assert [batch.complete for batch in batches] == [False] * (len(batches) - 1) + [
            True
        ]
        assert [r for batch in batches for r in batch.rejects] == []
        return [change for batch in batches for change in batch.changes]

    @staticmethod
    def now(adapter: LdapAdapter) -> Any:
        (batch,) = adapter.changes("people", None)
        assert (list(batch.changes), batch.complete) == ([], False)
        return json.loads(json.dumps(batch.cursor))

    @staticmethod
    def poll(adapter: LdapAdapter, cursor: Any) -> tuple[list[Change], Any]:
        batches = list(adapter.changes("people", cursor))
        assert [r for batch in batches for r in batch.rejects] == []
        changes = [change for batch in batches for change in batch.changes]
        return changes, json.loads(json.dumps(batches[-1].cursor))


@pytest.fixture(autouse=True, scope="session")
def _learn_at_once() -> Iterator[None]:
    """Few entries make a layout here, so that every test may meet the fast reader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "SAMPLE", 1)
        patch.setattr(layout, "ENOUGH", 2)
        yield


@pytest.fixture
def lab(openldap: OpenLdap) -> Iterator[Lab]:
    made = Lab(openldap)
    yield made
    made.close()

"""Creates: once each, told truly, found again after a lost answer."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from moatbridge.testing import Fault, FaultProxy, net
from moatbridge.testing.stage import intent
from moatbridge_scim import ScimAdapter, ScimConfig
from servers.scim_peers import (
    ADA,
    made,
    outcome,
    write,
)


def test_a_create_tells_id_version_and_what_is_stored(server, connect):
    receipt = made(connect(server))
    stored = server.call("GET", f"/Users/{receipt.ref.id}")
    assert receipt.version == stored["meta"]["version"]
    assert receipt.stored["displayName"] == "Ada"


def test_a_repeated_create_after_a_lost_answer_finds_its_own_record(server, connect):
    config = {
        "auth": {"kind": "bearer", "token": SecretStr(server.token)},
        "insecure_cleartext": True,
    }
    with FaultProxy(*server.endpoint) as proxy:
        host, port = proxy.endpoint
        settings = ScimConfig(base_url=f"http://{host}:{port}/v2", **config)
        adapter = ScimAdapter(settings, {})
        adapter.net = net([proxy.endpoint])
        with adapter:
            create = intent("create", None, ADA)
            proxy.fault = Fault(cut_answer=0)
            lost = write(adapter, create)[0]
            proxy.fault = Fault()
            again = write(adapter, create)[0]
    assert outcome(lost) == ("unknown", "http.broken")
    assert outcome(again) == ("applied", "")
    assert [user["id"] for user in server.all("/Users")] == [again.ref.id]


@pytest.mark.parametrize("after", [*range(0, 200, 12), 400])
def test_a_create_cut_at_any_byte_is_never_lost_nor_doubled(server, connect, after):
    with FaultProxy(*server.endpoint) as proxy:
        host, port = proxy.endpoint
        auth = {"kind": "bearer", "token": SecretStr(server.token)}
        settings = ScimConfig(
            base_url=f"http://{host}:{port}/v2", auth=auth, insecure_cleartext=True
        )
        adapter = ScimAdapter(settings, {})
        adapter.net = net([proxy.endpoint])
        with adapter:
            create = intent("create", None, ADA)
            proxy.fault = Fault(reset_after=after)
            write(adapter, create)
            proxy.fault = Fault()
            assert write(adapter, create)[0].outcome == "applied"
    assert len(server.all("/Users")) == 1


def test_a_taken_name_of_somebody_else_is_a_conflict(server, connect):
    server.call(
        "POST",
        "/Users",
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ada",
            "externalId": "elsewhere",
        },
    )
    assert outcome(write(connect(server), intent("create", None, ADA))[0]) == (
        "rejected",
        "scim.conflict",
    )


@pytest.mark.parametrize(
    ("adopt", "expected"),
    [("never", ("rejected", "scim.conflict")), ("match", ("applied", "scim.adopted"))],
)
def test_an_account_without_external_id_is_adopted_only_on_request(
    server, connect, adopt, expected
):
    server.call(
        "POST",
        "/Users",
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ada",
            "nickName": "kept",
        },
    )
    adapter = connect(server, adopt=adopt)
    assert outcome(write(adapter, intent("create", None, ADA))[0]) == expected
    (now,) = server.all("/Users")
    assert now["nickName"] == "kept"
    assert now.get("externalId") == ("hr-1" if adopt == "match" else None)

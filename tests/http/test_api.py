"""`JsonApi`: good answers come back parsed, all others are typed errors."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown, Rejected
from moatbridge.http import HttpConfig, JsonApi
from moatbridge.testing import net
from servers.scripted_http import Answer, ScriptedHttp

STATUSES = {
    "/v2/busy": 429,
    "/v2/broken": 500,
    "/v2/gone": 404,
    "/v2/taken": 409,
    "/v2/locked": 401,
}


class PagedConfig(HttpConfig):
    page_size: int = 7


def answered(asked):
    return Answer(STATUSES.get(asked.path, 200), {"id": "7"})


@pytest.fixture(scope="module")
def world():
    with ScriptedHttp(answered) as peer:
        token = {"kind": "bearer", "token": SecretStr("a-token")}
        settings = {"base_url": peer.base_url, "insecure_cleartext": True}
        config = PagedConfig(**settings, auth=token)
        api = JsonApi(config, net([config.dialled]), area="crm")
        yield SimpleNamespace(peer=peer, api=api, settings=settings)
        api.close()


def test_a_read_carries_its_query_and_its_place(world):
    assert world.api.get("/people/{id}", {"q": "a b"}, id="x/y") == {"id": "7"}
    asked = world.peer.asked[-1]
    assert (asked.method, asked.path) == ("GET", "/v2/people/x%2Fy")
    assert asked.query == {"q": "a b"}


def test_a_write_carries_its_record_and_its_key(world):
    headers = {"Idempotency-Key": "k"}
    made = world.api.send("PATCH", "/people/{id}", {"a": 1}, headers=headers, id="7")
    asked = world.peer.asked[-1]
    assert made == {"id": "7"}
    assert (asked.method, asked.path, asked.body) == ("PATCH", "/v2/people/7", {"a": 1})
    assert asked.headers["idempotency-key"] == "k"


@pytest.mark.parametrize(
    ("path", "reading", "writing", "code"),
    [
        ("/busy", NotApplied, NotApplied, "crm.busy"),
        ("/broken", NotApplied, OutcomeUnknown, "crm.server"),
        ("/gone", Rejected, Rejected, "crm.gone"),
        ("/taken", Rejected, Rejected, "crm.conflict"),
        ("/locked", ConfigurationError, ConfigurationError, "http.auth"),
    ],
)
def test_what_is_not_well_is_an_error_by_what_was_asked(
    path, reading, writing, code, world
):
    with pytest.raises(reading) as caught:
        world.api.get(path)
    assert caught.value.code == code
    with pytest.raises(writing) as caught:
        world.api.send("PATCH", path, {})
    assert caught.value.code == code


def test_a_delete_of_what_is_gone_is_carried_out(world):
    assert world.api.send("DELETE", "/gone") == {"id": "7"}


def test_the_size_of_a_page_comes_from_the_settings_if_there_is_one(world):
    plain = HttpConfig(**world.settings)
    api = JsonApi(plain, net([plain.dialled]))
    assert (world.api.page_size, api.page_size) == (7, 500)
    api.close()

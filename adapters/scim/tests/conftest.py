"""The real server, shared by the whole session and cleared before each test."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from moatbridge.testing import net
from moatbridge_scim import ScimAdapter, ScimConfig
from servers.scim import ScimServer
from servers.scripted_http import ScriptedHttp


@pytest.fixture(scope="session")
def shared_server():
    with ScimServer() as server:
        yield server


@pytest.fixture
def server(shared_server):
    shared_server.clear()
    return shared_server


@pytest.fixture
def connect():
    """Open adapters on a peer; closed afterwards."""
    made = []

    def open_adapter(peer, streams=None, **settings):
        config = ScimConfig(
            base_url=peer.base_url,
            auth={"kind": "bearer", "token": SecretStr(peer.token)},
            insecure_cleartext=True,
            **settings,
        )
        adapter = ScimAdapter(config, streams or {})
        adapter.net = net(ScimAdapter.endpoints(config))
        made.append(adapter)
        adapter.open()
        return adapter

    yield open_adapter
    for adapter in made:
        adapter.close()


@pytest.fixture
def peer():
    """Start scripted peers."""
    started = []

    def start(service):
        served = ScriptedHttp(service)
        served.__enter__()
        started.append(served)
        return served

    yield start
    for served in started:
        served.__exit__()

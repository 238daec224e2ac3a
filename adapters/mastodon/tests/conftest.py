"""The platform as a real process, shared by the session and cleared before each test."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from moatbridge.testing import net
from moatbridge_mastodon import MastodonAdapter, MastodonConfig
from servers.mastodon import Mastodon
from servers.scripted_http import ScriptedHttp


@pytest.fixture(scope="session")
def shared_platform():
    with Mastodon() as platform:
        yield platform


@pytest.fixture
def platform(shared_platform):
    shared_platform.clear()
    return shared_platform


@pytest.fixture
def connect():
    """Open adapters on a platform; closed afterwards."""
    made = []

    def open_adapter(platform, streams=None, **settings):
        url = platform.url if hasattr(platform, "url") else platform.base_url
        config = MastodonConfig(
            base_url=url,
            auth={"kind": "bearer", "token": SecretStr(platform.token)},
            insecure_cleartext=True,
            **{"followers_are_org": True, **settings},
        )
        adapter = MastodonAdapter(config, streams or {})
        adapter.net = net(MastodonAdapter.endpoints(config))
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

    def start(script):
        served = ScriptedHttp(script)
        served.__enter__()
        started.append(served)
        return served

    yield start
    for served in started:
        served.__exit__()

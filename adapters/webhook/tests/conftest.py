"""The receiving process, shared by the whole session and cleared before each test."""

from __future__ import annotations

import base64
import secrets

import pytest
from pydantic import SecretStr

from moatbridge.testing import net
from moatbridge_webhook import WebhookAdapter, WebhookConfig, WebhookStreamConfig
from servers.webhook_receiver import WebhookReceiver


def new_key():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture(scope="session")
def shared_receiver():
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(shared_receiver):
    shared_receiver.clear()
    return shared_receiver


@pytest.fixture
def connect():
    """Open adapters that send; closed afterwards."""
    made = []

    def open_adapter(base_url, keys=(), *, entity="Post", kind=None, **settings):
        config = WebhookConfig(
            base_url=base_url,
            signing_keys=tuple(SecretStr(key) for key in keys),
            insecure_cleartext=True,
            **settings,
        )
        stream = WebhookStreamConfig(entity=entity, type=kind)
        adapter = WebhookAdapter(config, {"posts": stream})
        adapter.net = net(WebhookAdapter.endpoints(config))
        made.append(adapter)
        adapter.open()
        return adapter

    yield open_adapter
    for adapter in made:
        adapter.close()

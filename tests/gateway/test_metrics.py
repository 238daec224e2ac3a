"""``/metrics``: numbers for a monitoring system, and for nobody else."""

from __future__ import annotations

import asyncio
import re

from fastapi import Depends, FastAPI, HTTPException

from gateway.asgi import ask
from gateway.sending import person, signed
from moatbridge.gateway import Gateway
from moatbridge.gateway.metrics import MEDIA_TYPE, _escaped
from servers.gateway import open_bridge, write_config

SAMPLE = re.compile(
    r"[a-z_]+(\{[a-z]+=\"([^\"\\\n]|\\.)*\"(,[a-z]+=\"([^\"\\\n]|\\.)*\")*\})? [0-9.e+-]+"
)


async def deliver(app, ident, *, forged=False, path="/in/hooks"):
    body, headers = signed(ident, person("canary-ada"))
    pairs = [(k.encode(), v.encode()) for k, v in headers.items()]
    body = body + b" " if forged else body
    return (await ask(app, path, method="POST", headers=pairs, body=body))[0]


def measured(folder, *, headers=(), client="127.0.0.1"):
    with open_bridge(folder) as bridge:
        gateway = Gateway(bridge)

        async def scene():
            async with gateway.lifespan():
                for ident in ("m1", "m2", "m2"):
                    assert await deliver(gateway.app, ident) in {200, 503}
                assert await deliver(gateway.app, "m3", forged=True) == 401
                return await ask(
                    gateway.app, "/metrics", headers=headers, client=client
                )

        return asyncio.run(scene())


def test_what_came_and_what_waits_is_counted(world):
    status, headers, body = measured(world.folder)
    text = body.decode()
    assert (status, headers["content-type"]) == (200, MEDIA_TYPE)
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples), samples
    for line in (
        'moatbridge_requests_total{route="/in/{system}",status="200"} 3',
        'moatbridge_requests_total{route="/in/{system}",status="401"} 1',
        'moatbridge_inbox_rejected_total{reason="webhook.untrusted"} 1',
        'moatbridge_inbox_deliveries_total{kind="new"} 2',
        'moatbridge_inbox_deliveries_total{kind="repeated"} 1',
        'moatbridge_inbox_backlog{system="hooks"} 2',
    ):
        assert line in samples
    assert not [line for line in samples if "not_ready" in line]
    assert "canary" not in text


def test_a_full_inbox_is_told_in_numbers_too(tmp_path):
    write_config(tmp_path, inbox="max_backlog = 1")
    status, _headers, body = measured(tmp_path)
    assert status == 200
    assert 'moatbridge_not_ready{code="gateway.backlog"} 1' in body.decode()


def test_metrics_from_elsewhere_need_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("MB_READY", "a-long-ready-token")
    write_config(tmp_path, gateway='ready_token = "env:MB_READY"')
    token = [(b"authorization", b"Bearer a-long-ready-token")]
    assert measured(tmp_path, client="10.1.2.3")[0] == 401
    assert measured(tmp_path, client="10.1.2.3", headers=token)[0] == 200


def test_labels_are_escaped():
    assert _escaped('a"b\\c\nd') == 'a\\"b\\\\c\\nd'


def test_fastapi_mounts_it_and_its_own_login_does_not_cover_it(world):
    def nobody():
        raise HTTPException(401)

    with open_bridge(world.folder) as bridge:
        gateway = Gateway(bridge)
        product = FastAPI(
            lifespan=gateway.lifespan, dependencies=[Depends(nobody)], openapi_url=None
        )
        product.get("/own")(nobody)
        product.mount("/bridge", gateway.app)

        async def scene():
            async with product.router.lifespan_context(product):
                return [
                    (await ask(product, "/own"))[0],
                    await deliver(product, "m1", path="/bridge/in/hooks"),
                    await deliver(product, "m2", forged=True, path="/bridge/in/hooks"),
                    (await ask(product, "/bridge/metrics"))[0],
                    (await ask(product, "/bridge/metrics", client="10.1.2.3"))[0],
                ]

        assert asyncio.run(scene()) == [401, 200, 401, 200, 401]
    assert [row[1] for row in world.inbox()] == ["m1"]

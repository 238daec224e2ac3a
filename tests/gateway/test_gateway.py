"""`Gateway` inside a host's process: mounting, limits, health."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.asgi import ask
from gateway.conftest import World
from gateway.sending import person, signed
from moatbridge.errors import ConfigurationError
from moatbridge.gateway import Gateway
from moatbridge.gateway.serving import Listen
from servers.gateway import open_bridge, write_config


@pytest.fixture
def bridge(world):
    with world.bridge() as bridge:
        yield bridge


async def send(app, ident, said, path="/in/hooks", **more):
    body, headers = signed(ident, said)
    pairs = [(k.encode(), v.encode()) for k, v in headers.items()]
    return await ask(app, path, method="POST", headers=pairs, body=body, **more)


def test_it_works_mounted_below_a_host(bridge, world):
    gateway = Gateway(bridge)
    host = Starlette(routes=[Mount("/bridge", gateway.app)], lifespan=gateway.lifespan)

    async def scene():
        async with gateway.lifespan():
            return await send(host, "m1", person("ada"), "/bridge/in/hooks/x")

    assert asyncio.run(scene())[0] == 200
    assert [row[1] for row in world.inbox()] == ["m1"]


def test_a_hosts_missing_lifespan_is_made_up_for_and_told(bridge):
    gateway = Gateway(bridge)
    host = Starlette(routes=[Mount("/bridge", gateway.app)])

    async def scene():
        answers = [
            await send(host, f"m{n}", person("ada"), "/bridge/in/hooks")
            for n in range(3)
        ]
        ready = await ask(host, "/bridge/readyz")
        await gateway.stop()
        return answers, ready

    answers, ready = asyncio.run(scene())
    assert {status for status, _headers, _body in answers} == {200}
    assert json.loads(ready[2])["warnings"] == ["gateway.lifespan"]


def test_under_leaves_everything_else_to_the_host(bridge):
    gateway = Gateway(bridge)

    async def host(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = gateway.under("/bridge", host)

    async def scene():
        found = [
            (await ask(app, path))[0]
            for path in ("/bridge/healthz", "/bridgehead", "/", "/bridge")
        ]
        found.append((await send(app, "m1", person("ada"), "/bridge/in/hooks"))[0])
        await gateway.stop()
        return found

    assert asyncio.run(scene()) == [200, 299, 299, 404, 200]


def test_under_answers_the_lifespan_by_itself(bridge):
    gateway = Gateway(bridge)
    told = []

    async def scene():
        messages = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

        async def receive():
            return messages.pop()

        async def send(message):
            told.append(message["type"])

        await gateway.under("/bridge", None)({"type": "lifespan"}, receive, send)

    asyncio.run(scene())
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_two_gateways_do_not_see_each_other(bridge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    write_config(folder)
    with open_bridge(folder) as other:
        one, two = Gateway(bridge), Gateway(other)

        async def scene():
            async with one.lifespan(), two.lifespan():
                await send(one.app, "m1", person("ada"))

        asyncio.run(scene())
        assert World(folder).inbox() == []
    assert one.counters.deliveries["new"] == 1
    assert not two.counters.deliveries


def test_after_its_end_it_takes_nothing(bridge, world):
    gateway = Gateway(bridge)

    async def scene():
        async with gateway.lifespan():
            await send(gateway.app, "m1", person("ada"))
        return await send(gateway.app, "m2", person("bob"))

    status, headers, _body = asyncio.run(scene())
    assert (status, headers["retry-after"]) == (503, "5")
    assert len(world.inbox()) == 1


def test_one_delivery_that_is_no_text_spoils_no_other(bridge, world):
    """They share a commit: all of them were told to come back, for as long as it did."""
    gateway = Gateway(bridge)
    bad = json.dumps(person("bad", given="X")).replace('"X"', '"\\ud800"').encode()

    async def go():
        async with gateway.lifespan():
            others = [send(gateway.app, f"g{n}", person(f"u{n}")) for n in range(20)]
            asked = [*others[:10], send(gateway.app, "bad", bad), *others[10:]]
            return [status for status, _, _ in await asyncio.gather(*asked)]

    statuses = asyncio.run(go())
    assert statuses == [200] * 10 + [400] + [200] * 10
    assert len(world.inbox()) == 20
    assert gateway.counters.refusals == {"gateway.text": 1}


def test_many_deliveries_share_a_commit(bridge, world):
    gateway = Gateway(bridge)

    async def scene():
        async with gateway.lifespan():
            sent = [send(gateway.app, f"m{n}", person(f"u{n}")) for n in range(60)]
            return await asyncio.gather(*sent)

    assert {status for status, _headers, _body in asyncio.run(scene())} == {200}
    assert len(world.inbox()) == 60
    assert gateway._writer.commits < 40


def test_beyond_the_backlog_the_sender_keeps_it(tmp_path):
    write_config(tmp_path, inbox="max_backlog = 3")
    with open_bridge(tmp_path) as bridge:
        gateway = Gateway(bridge)

        async def scene():
            async with gateway.lifespan():
                answers = [
                    await send(gateway.app, f"m{n}", person(f"u{n}")) for n in range(5)
                ]
                return answers, await ask(gateway.app, "/readyz")

        answers, ready = asyncio.run(scene())
    assert [status for status, _headers, _body in answers] == [200, 200, 200, 503, 503]
    assert answers[3][1]["retry-after"] == "30"
    assert ready[0] == 503
    assert json.loads(ready[2])["codes"] == ["gateway.backlog"]
    assert len(World(tmp_path).inbox()) == 3


def test_below_its_share_of_the_disk_the_sender_keeps_it(tmp_path):
    write_config(tmp_path, min_free=0.999999999999)
    with open_bridge(tmp_path) as bridge:
        gateway = Gateway(bridge)

        async def scene():
            async with gateway.lifespan():
                answer = await send(gateway.app, "m1", person("ada"))
                return answer, await ask(gateway.app, "/readyz")

        answer, ready = asyncio.run(scene())
    assert (answer[0], answer[1]["retry-after"]) == (503, "30")
    assert (ready[0], json.loads(ready[2])["codes"]) == (503, ["gateway.disk"])
    assert World(tmp_path).inbox() == []


def test_a_flood_beyond_threads_and_queue_is_told_to_come_back(tmp_path):
    write_config(tmp_path, gateway="threads = 1\nqueue = 2")
    with open_bridge(tmp_path) as bridge:
        gateway = Gateway(bridge)

        async def scene():
            async with gateway.lifespan():
                sent = [send(gateway.app, f"m{n}", person(f"u{n}")) for n in range(20)]
                return await asyncio.gather(*sent)

        statuses = [status for status, _headers, _body in asyncio.run(scene())]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) == len(World(tmp_path).inbox())


def test_a_ledger_that_cannot_grow_refuses_and_loses_nothing(world, bridge):
    gateway = Gateway(bridge)
    ledger_file = world.folder / "ledger.db-wal"

    async def scene():
        async with gateway.lifespan():
            first = await send(gateway.app, "m1", person("ada"))
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)
            size = ledger_file.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
            try:
                full = await send(gateway.app, "m2", person("x" * 5000))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            return first[0], full[0], (await send(gateway.app, "m2", person("bob")))[0]

    assert asyncio.run(scene()) == (200, 503, 200)
    assert [row[1] for row in world.inbox()] == ["m1", "m2"]


def test_nothing_personal_is_logged(bridge, caplog):
    gateway = Gateway(bridge)

    async def scene():
        async with gateway.lifespan():
            await send(
                gateway.app,
                "canary-id-81",
                person("canary-uid-82"),
                "/in/hooks/canary-path-83",
            )
            await send(gateway.app, "canary-id-81", {"data": "canary-body-84"})

    with caplog.at_level(logging.DEBUG):
        asyncio.run(scene())
    assert "canary" not in caplog.text
    assert "/in/{system} 200" in caplog.text


def test_ready_from_elsewhere_needs_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("MB_READY", "a-long-ready-token")
    write_config(tmp_path, gateway='ready_token = "env:MB_READY"')
    with open_bridge(tmp_path) as bridge:
        gateway = Gateway(bridge)

        async def scene():
            async with gateway.lifespan():
                given = [
                    [],
                    [(b"authorization", b"Bearer nope")],
                    [(b"authorization", b"Bearer a-long-ready-token")],
                ]
                return [
                    (await ask(gateway.app, "/readyz", headers=h, client="10.1.2.3"))[0]
                    for h in given
                ]

        assert asyncio.run(scene()) == [401, 401, 200]


def test_content_goes_when_read_and_ids_stay(bridge, world):
    gateway = Gateway(bridge)

    async def scene():
        async with gateway.lifespan():
            await send(gateway.app, "m1", person("ada"))
            await send(
                gateway.app, "m2", {"type": "person.created", "data": {"id": None}}
            )

    world.agree()
    asyncio.run(scene())
    bridge.run("people")
    gateway._inboxes["hooks"].admission.tidy()
    kept = [(ident, content is None) for _seq, ident, content in world.inbox()]
    assert kept == [("m1", True), ("m2", False)]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("[gateway.inbox.hooks]", "[gateway.inbox.social]", "gateway.inbox"),
        ("[gateway.inbox.hooks]", "[gateway.inbox.nobody]", "gateway.inbox"),
        ("[ledger]", '[ledger]\ndurability = "normal"', "gateway.durability"),
    ],
)
def test_an_unusable_configuration_is_refused(world, old, new, code):
    path = world.folder / "moatbridge.toml"
    path.write_text(path.read_text().replace(old, new))
    with world.bridge() as bridge, pytest.raises(ConfigurationError) as caught:
        Gateway(bridge)
    assert caught.value.code == code


def test_ids_are_kept_for_as_long_as_a_signed_time_is_believed(tmp_path):
    """Else an old delivery is sent again and undoes a newer one."""
    write_config(tmp_path, inbox='keep_ids = "119min"')
    with pytest.raises(ConfigurationError, match="keep_ids"):
        open_bridge(tmp_path)
    write_config(tmp_path, inbox='keep_ids = "2h"')
    open_bridge(tmp_path).close()


def test_clear_text_beyond_this_machine_is_refused():
    with pytest.raises(ConfigurationError) as caught:
        Listen(host="0.0.0.0").check()
    assert caught.value.code == "gateway.cleartext"
    Listen(host="0.0.0.0", behind_proxy=True).check()


def test_the_gateway_is_loaded_only_when_used():
    import subprocess
    import sys

    code = (
        "import sys, moatbridge.cli, moatbridge.run; print('starlette' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    assert out.stdout.strip() == "False"

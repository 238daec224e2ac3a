"""Codes begin with the adapter's name, and pages hold one record at least."""

from __future__ import annotations

from functools import partial

import pydantic
import pytest

from moatbridge.adapter import AdapterConfig, PageSize, StreamFunctions, make_adapter
from moatbridge.errors import ConfigurationError, Rejected
from moatbridge.http import HttpConfig, JsonApi
from moatbridge.lines import LineConfig, LineProtocol
from moatbridge.testing import net
from servers.scripted_http import Answer, ScriptedHttp
from servers.scripted_lines import ScriptedLines


def opened(kind, config):
    adapter = kind(config, {})
    adapter.net = net(kind.endpoints(config))
    adapter.open()
    return adapter


def refuses(line):
    line.hear()
    line.say(b"ERR\n")
    line.hear()


def built(config, connect, probe):
    people = StreamFunctions(
        name="people", key="id", fields=["id"], read=lambda _: iter(())
    )
    return make_adapter("rota", config, people, connect=connect, probe=probe)


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        (JsonApi, "rota.gone"),
        (partial(JsonApi, area="own"), "own.gone"),
        (lambda config, way: JsonApi(config, way, area="own"), "own.gone"),
    ],
)
def test_a_json_api_is_told_the_adapters_name_unless_another_is_said(connect, code):
    with ScriptedHttp(lambda _: Answer(404, {})) as peer:
        config = HttpConfig(base_url=peer.base_url, insecure_cleartext=True)
        kind = built(HttpConfig, connect, lambda api: api.get("/about")["server"])
        with pytest.raises(Rejected) as caught:
            opened(kind, config)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("area", "code"), [({}, "rota.auth"), ({"area": "own"}, "own.auth")]
)
def test_a_protocol_of_lines_is_told_the_adapters_name_before_it_logs_in(area, code):
    protocol = LineProtocol(
        **area, refusals={"ERR": "auth"}, login=lambda peer: peer.ask("AUTH x")
    )
    kind = built(LineConfig, protocol.connect, lambda _: "pbx")
    with ScriptedLines(refuses) as peer:
        host, port = peer.endpoint
        config = LineConfig(host=host, port=port, insecure_cleartext=True)
        with pytest.raises(ConfigurationError) as caught:
            opened(kind, config)
    assert caught.value.code == code


def test_a_connect_that_tells_nothing_of_its_parameters_is_called_as_it_is():
    class Compiled:
        __signature__ = "unknown"

        def __call__(self, config, way):
            return config, way

    assert opened(built(AdapterConfig, Compiled(), lambda _: "x"), AdapterConfig())


class FiftyConfig(AdapterConfig):
    page_size: PageSize = pydantic.Field(default=50, le=50)


def test_a_page_holds_one_record_at_least_and_what_the_system_gives_at_most():
    assert FiftyConfig().page_size == 50
    for size in (0, -1, 51):
        with pytest.raises(pydantic.ValidationError):
            FiftyConfig(page_size=size)


class UnboundConfig(AdapterConfig):
    page_size: int = 500


def test_an_adapter_with_a_page_of_nothing_does_not_open():
    kind = built(UnboundConfig, lambda config, _: config, lambda _: "x")
    for size in (0, -1):
        with pytest.raises(ConfigurationError, match=r"at least 1") as caught:
            opened(kind, UnboundConfig(page_size=size))
        assert caught.value.code == "adapter.page-size"

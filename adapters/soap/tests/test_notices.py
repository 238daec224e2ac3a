"""What a service does otherwise than its WSDL says is told, once for each pass."""

from __future__ import annotations

from moatbridge.adapter import Partition
from servers.soap_scripted import ScriptedSoap, Told, item, page
from servers.soap_world import adapter, orders, system


def test_tolerated_deviations_are_told_by_stream_and_element(tmp_path):
    first = page([item(1, surprise="x"), item(2, surprise="y")], "c1")
    script = iter([first, page([item(3)]), page([item(4)])])
    with ScriptedSoap(lambda _: Told(200, next(script))) as peer:
        config = system(peer.in_folder(tmp_path), auth={"kind": "none"})
        with adapter(config, {"orders": orders()}) as made:
            assert list(made.notices()) == []
            assert list(made.scan("orders", Partition(), None))[-1].complete
            (words,) = made.notices()
            assert words.startswith("orders: answers deviate from the WSDL")
            assert "does not know and that are not read: surprise)" in words
            assert list(made.notices()) == []
            assert list(made.scan("orders", Partition(), None))[-1].complete
            assert list(made.notices()) == []  # a pass without any
        assert list(made.notices()) == []  # closed


def test_what_deviates_in_one_stream_is_kept_until_that_stream_is_asked_for(tmp_path):
    script = iter([page([item(1, surprise="x")]), page([item(2)])])
    with ScriptedSoap(lambda _: Told(200, next(script))) as peer:
        config = system(peer.in_folder(tmp_path), auth={"kind": "none"})
        with adapter(config, {"orders": orders(), "bids": orders()}) as made:
            assert list(made.scan("orders", Partition(), None))[-1].complete
            assert list(made.scan("bids", Partition(), None))[-1].complete
            assert list(made.notices("bids")) == []
            (words,) = made.notices("orders")
            assert words.startswith("orders: answers deviate from the WSDL")
            assert list(made.notices()) == []

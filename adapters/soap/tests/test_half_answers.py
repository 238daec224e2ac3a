"""Half an answer is no answer: nothing is taken for done or for all (soap 33, 69)."""

from __future__ import annotations

import re

import pytest

from moatbridge.changes import Ref
from moatbridge.testing.stage import intent
from moatbridge_soap.config.operations import PageConfig
from moatbridge_soap.paging import PageFacts, pager_for
from servers.soap_scripted import ScriptedSoap, Told, one
from servers.soap_world import NOT_FOUND, adapter, orders, system

NONE = {"kind": "none"}


class OneWay(ScriptedSoap):
    """The operation ``CancelOrder`` has no answer."""

    def wsdl_file(self, flavour="erp"):
        path = super().wsdl_file(flavour)
        head, cut, rest = path.read_text().partition(
            '<wsdl:operation name="CancelOrder">'
        )
        abstract, second, bound = rest.partition(cut)
        path.write_text(
            head + cut + _without_output(abstract) + second + _without_output(bound)
        )
        return path


def _without_output(text):
    operation, end, rest = text.partition("</wsdl:operation>")
    kept = re.sub(
        r"<wsdl:(output|fault)\b.*?(/>(?!</)|</wsdl:\1>)",
        "",
        operation,
        flags=re.DOTALL,
    )
    return kept + end + rest


def cancelled(peer, tmp_path, **delete):
    stream = orders(
        delete={
            "operation": "CancelOrder",
            "request": {"orderNr": "{ref.orderNr}"},
            "rules": [NOT_FOUND],
            **delete,
        }
    )
    made = adapter(system(peer.in_folder(tmp_path), auth=NONE), {"orders": stream})
    with made:
        return made.write("orders", [intent("delete", Ref("PO-0001"), None)])[0]


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        (Told(202), "applied"),
        (Told(200), "applied"),
        (Told(200, "", {"Content-Length": "600", "Connection": "close"}), "unknown"),
        (Told(202, "", {"Content-Length": "600", "Connection": "close"}), "unknown"),
    ],
    ids=["202", "200", "200 broken off", "202 broken off"],
)
def test_a_one_way_answer_that_breaks_off_is_not_an_empty_one(tmp_path, told, outcome):
    with OneWay(lambda _: told) as peer:
        receipt = cancelled(peer, tmp_path)
        assert receipt.outcome == outcome
        assert len(peer.posted) == 1


def test_a_record_outside_the_stream_was_not_deleted(tmp_path):
    asks = {"orderNr": "{ref.orderNr}", "expectedVersion": "{version}"}
    with ScriptedSoap(lambda _: Told(200, one(status="archived"))) as peer:
        receipt = cancelled(peer, tmp_path, request=asks)
        assert (receipt.outcome, receipt.code) == ("rejected", "soap.conflict")
        assert "CancelOrder" not in "".join(peer.posted)


@pytest.mark.parametrize(
    ("done", "token", "follows", "complete"),
    [
        ("true", None, False, True),
        ("true", "left over", False, True),
        ("false", "next", True, True),
        ("false", None, False, False),
        (None, None, False, False),
    ],
)
def test_a_pass_that_is_not_done_and_has_no_token_is_not_complete(
    done, token, follows, complete
):
    settings = {"kind": "more", "size": 5, "next_operation": "More", "token": "token"}
    config = PageConfig(**settings, done={"path": "done", "equals": "true"})
    pager = pager_for(config, "x", lambda: None)
    texts = {"done": done, "token": token}
    page = PageFacts(count=5, first="a", last="b", text=texts.get)
    assert (pager.turn(page), pager.complete) == (follows, complete)

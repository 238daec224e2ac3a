"""Half an answer is no answer: nothing is taken for done or for all (soap 33, 69)."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest

from moatbridge.changes import Ref
from moatbridge.testing.stage import intent
from moatbridge_soap.config.operations import PageConfig
from moatbridge_soap.paging import PageFacts, pager_for
from servers.soap_scripted import ScriptedSoap, Told, fault, item, one, page
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


WALK = {
    "operation": "ListOrders",
    "items": "ListOrdersResponse/orders/order",
    "page": {"kind": "cursor", "size": 5, "next": "ListOrdersResponse/nextCursor"},
}


@contextmanager
def served(script, tmp_path, **tables):
    """An open adapter before a peer that follows a script."""
    with ScriptedSoap(script) as peer:
        config = system(peer.in_folder(tmp_path), auth=NONE)
        with adapter(config, {"orders": orders(**tables)}) as made:
            yield made


@pytest.mark.parametrize(("pages", "complete"), [(0, True), (2, False)])
def test_a_cursor_that_is_gone_in_the_middle_is_not_the_end(tmp_path, pages, complete):
    gone = fault("e:Client", "<code>NOT_FOUND</code><retryable>false</retryable>")
    told = [Told(200, page([item(n)], cursor=f"c{n}")) for n in range(pages)]
    script = iter([*told, Told(500, gone)])
    request = {"cursor": "{page.cursor}", "max": "{page.size}"}
    listed = {**WALK, "request": request, "rules": [NOT_FOUND]}
    with served(lambda _: next(script), tmp_path, list=listed) as made:
        batches = list(made.scan("orders", made.split("orders", 1)[0], None))
    assert sum(len(batch.changes) for batch in batches) == pages
    assert batches[-1].complete is complete


def test_an_empty_window_that_is_answered_with_a_fault_ends_nothing(tmp_path):
    gone = fault("e:Client", "<code>NOT_FOUND</code><retryable>false</retryable>")
    window = {
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-04T00:00:00Z",
        "step": "1d",
    }
    listed = {
        **WALK,
        "request": {"since": "{window.from}", "max": 50},
        "page": {"kind": "window", "min": "1h", "cap": 9, **window},
        "rules": [NOT_FOUND],
    }
    script = iter(
        [Told(200, page([item(1)])), Told(500, gone), Told(200, page([item(3)]))]
    )
    with served(lambda _: next(script), tmp_path, list=listed) as made:
        batches = list(made.scan("orders", made.split("orders", 1)[0], None))
    assert sum(len(batch.changes) for batch in batches) == 2
    assert batches[-1].complete


def test_announced_rows_that_did_not_come_make_a_pass_incomplete():
    config = PageConfig(kind="offset", size=5, total="total")
    pager = pager_for(config, "x", lambda: None)
    texts = {"total": "7"}
    assert pager.turn(PageFacts(count=5, first="a", last="b", text=texts.get))
    pager.absent()
    assert not pager.complete


def test_a_date_in_the_future_does_not_carry_the_position_there(tmp_path):
    """Without a time of the server only the records' own dates move it."""
    items = [
        item(1, changed="2099-01-01T00:00:00Z"),
        item(2, changed="2026-02-01T00:00:00Z"),
    ]
    told = Told(200, page(items, as_of=""), bare=True)
    request = {"since": "{since}", "cursor": "{page.cursor}", "max": "{page.size}"}
    changes = {**WALK, "request": request, "since": {"overlap": "1m"}}
    with served(lambda _: told, tmp_path, changes=changes) as made:
        start = {"op": "changes", "since": "2026-01-01T00:00:00Z", "edge": ""}
        batches = list(made.changes("orders", start))
    assert sum(len(batch.changes) for batch in batches) == 2
    assert batches[-1].cursor["since"] == "2026-02-01T00:00:00Z"


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

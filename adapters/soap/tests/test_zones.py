"""Times without a zone: never taken for another time than is meant (soap 47, 72)."""

from __future__ import annotations

import datetime as dt

import pytest

from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, NotApplied
from servers.soap_scripted import ScriptedSoap, Told, item, one, page
from servers.soap_world import adapter, orders, system

START = {
    "op": "changes", "since": "2026-07-01T00:00:00Z", "table": "changes", "page": None,
    "next": None, "edge": "",
}  # fmt: skip
NAIVE = "2026-07-01T12:00:00"


def changed(number):
    return item(number, changed=NAIVE)


def refused(tmp_path, act, *told, **more):
    """The error of an action on a service that says that."""
    script = iter(told)
    with ScriptedSoap(lambda _: Told(200, next(script))) as peer:
        config = system(peer.in_folder(tmp_path), auth={"kind": "none"}, **more)
        with (
            adapter(config, {"orders": orders(only={})}) as made,
            pytest.raises(ConfigurationError) as caught,
        ):
            act(made)
    return caught.value


def scan(made):
    return list(made.scan("orders", made.split("orders", 1)[0], None))


def poll(made):
    return list(made.changes("orders", START))


READS = {
    "scan": (scan, page([changed(1)])),
    "poll": (poll, page([changed(1)])),
    "a poll that goes on": (poll, page([changed(1)], "next")),
    "fetch": (lambda made: made.fetch("orders", [Ref("PO-0001")]), one(changed=NAIVE)),
}


@pytest.mark.parametrize("name", READS)
def test_a_time_of_change_without_zone_names_the_setting_to_add(tmp_path, name):
    error = refused(tmp_path, *READS[name])
    assert error.code == "soap.timezone"
    assert "(changed)" in error.message
    assert "Set timezone" in error.message
    assert "2026" not in error.message


def test_the_time_of_the_answer_without_zone_names_the_setting_too(tmp_path):
    error = refused(tmp_path, poll, page([], as_of=NAIVE))
    assert error.code == "soap.timezone"
    assert "since.as_of" in error.message
    assert "Set timezone" in error.message


def test_with_timezone_both_are_the_times_that_are_meant(tmp_path):
    told = page([changed(1)], as_of="2026-07-01T14:00:00")
    with ScriptedSoap(lambda _: Told(200, told)) as peer:
        config = system(
            peer.in_folder(tmp_path), auth={"kind": "none"}, timezone="Europe/Berlin"
        )
        with adapter(config, {"orders": orders(only={})}) as made:
            found = poll(made)
            (change,) = found[0].changes
    assert change.data["changed"].utcoffset() == dt.timedelta(hours=2)
    assert found[-1].cursor["since"] == "2026-07-01T12:00:00Z"


def test_a_time_of_the_answer_that_is_none_is_no_reason_to_begin_anew(tmp_path):
    with ScriptedSoap(lambda _: Told(200, page([], as_of="soon"))) as peer:
        config = system(peer.in_folder(tmp_path), auth={"kind": "none"})
        with (
            adapter(config, {"orders": orders()}) as made,
            pytest.raises(NotApplied) as caught,
        ):
            poll(made)
    assert caught.value.code == "soap.no-time"

"""What a command logs holds no secret of its bridge."""

from __future__ import annotations

import logging

import pytest

from moatbridge.run import Bridge

CANARY = "canary-5b1d07"


@pytest.fixture
def leaky(make_world, monkeypatch):
    monkeypatch.setenv("HR_PASSWORD", CANARY)
    return make_world(hr='password = "env:HR_PASSWORD"')


@pytest.mark.parametrize("command", [("plan", "people"), ("check",), ("run", "--once")])
def test_a_drivers_warning_is_shown_without_the_password(leaky, command):
    leaky.fault("hr", "chatty")
    ran = leaky.cli(*command)
    assert "bind as reader with [redacted]" in ran.err
    assert CANARY not in ran.out + ran.err


@pytest.mark.parametrize("trace", ["0", "1"])
def test_a_trace_is_shown_without_the_password(leaky, monkeypatch, trace):
    monkeypatch.setenv("MOATBRIDGE_TRACE", trace)
    leaky.fault("hr", "leaks")
    ran = leaky.cli("plan", "people")
    assert ran.code == 75
    assert ("Traceback" in ran.err) is (trace == "1")
    assert ("bind with [redacted]" in ran.err) is (trace == "1")
    assert CANARY not in ran.out + ran.err


def test_the_log_is_given_back_after_each_command(leaky):
    before = list(logging.getLogger().handlers)
    leaky.cli("plan", "people")
    leaky.cli("plan", "nobody")
    assert logging.getLogger().handlers == before


def test_a_product_gets_at_what_knows_the_secrets_of_its_bridge(leaky):
    with Bridge.open(leaky.path) as bridge:
        with bridge.session("hr"):
            pass
        assert bridge.redactor.redact(f"with {CANARY}") == "with [redacted]"


def test_a_dangling_link_as_kill_file_stops_sending(leaky):
    (leaky.folder / "moatbridge.kill").symlink_to(leaky.folder / "nowhere")
    with Bridge.open(leaky.path) as bridge:
        assert bridge.killed("people", "social")
    assert "the kill file is there" in leaky.cli("status").out

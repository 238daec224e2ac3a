from __future__ import annotations

import base64
import io
import json
import logging
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.adapters import DirectoryConfig
from moatbridge.config import RedactionFilter, Redactor, hold_driver_loggers
from moatbridge.config.redaction import BLOT, DRIVER_LOGGERS

SECRET = 'c4nary/"q ü+9'


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.add(SECRET)
    return made


FORMS = {
    "exact": SECRET,
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 url": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "basic auth": base64.b64encode(f"admin:{SECRET}".encode()).decode(),
    "basic auth 2": base64.b64encode(f"root:{SECRET}".encode()).decode(),
    "basic auth 3": base64.b64encode(f"me:{SECRET}".encode()).decode(),
    "url": urllib.parse.quote(SECRET, safe=""),
    "form": urllib.parse.quote_plus(SECRET),
    "json": json.dumps(SECRET)[1:-1],
    "hex": SECRET.encode().hex(),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_blotted_out_4(redactor: Redactor, form: str) -> None:
    text = redactor.redact(f"before {FORMS[form]} after")
    assert BLOT in text
    assert text.startswith("before ")
    assert text.endswith(" after")
    for other in ("c4nary", "YzRuYXJ5"):
        assert other not in text


def test_longest_first_leaves_no_tail_4() -> None:
    redactor = Redactor()
    redactor.add("secret")
    redactor.add("secret-with-a-tail")
    redactor.add("secret-with")
    assert redactor.redact("x secret-with-a-tail y") == f"x {BLOT} y"


def test_secrets_of_settings_are_learned_and_missing_ones_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auth = {"bind_dn": "cn=x", "password": "env:REDACT_ME"}
    settings = DirectoryConfig(urls=("ldaps://x",), auth=auth)
    redactor = Redactor()
    redactor.learn(settings)
    assert redactor.redact("value-55") == "value-55"
    monkeypatch.setenv("REDACT_ME", "value-55")
    redactor.learn({"hr": [settings]})
    assert redactor.redact("value-55") == BLOT


def logged(redactor: Redactor, emit) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    form = "%(message)s|%(name)s|%(extra)s"
    handler.setFormatter(logging.Formatter(form, defaults={"extra": ""}))
    handler.addFilter(RedactionFilter(redactor))
    logger = logging.getLogger("moatbridge.test")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    emit(logger)
    logger.removeHandler(handler)
    return stream.getvalue()


def _fail(logger: logging.Logger, words: str = f"bad {SECRET}") -> None:
    try:
        int(words)
    except ValueError:
        logger.exception("failed")


@pytest.mark.parametrize(
    "emit",
    [
        lambda log: log.info(f"token {SECRET}"),  # noqa: G004 - what careless code does
        lambda log: log.info("token %s", SECRET),
        lambda log: log.info("token %(t)s", {"t": SECRET}),
        lambda log: log.info("%s", {"password": SECRET}),
        lambda log: log.info("%d", SECRET),
        lambda log: log.info("x", extra={"extra": SECRET}),
        lambda log: log.info("x", extra={"extra": {"nested": [SECRET]}}),
        _fail,
    ],
)
def test_nothing_passes_the_filter_4(
    redactor: Redactor, emit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    text = logged(redactor, emit)
    assert "c4nary" not in text


def test_an_exception_without_secrets_stays_whole(redactor: Redactor) -> None:
    text = logged(redactor, lambda logger: _fail(logger, "harmless"))
    assert "Traceback" in text
    assert "harmless" in text


def test_a_redactor_shows_nothing(redactor: Redactor) -> None:
    assert repr(redactor) == "Redactor()"
    assert Redactor().redact("anything") == "anything"


def test_drivers_are_held_at_warning_5() -> None:
    for name in DRIVER_LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger("paramiko").setLevel(logging.ERROR)
    hold_driver_loggers()
    levels = {name: logging.getLogger(name).level for name in DRIVER_LOGGERS}
    assert levels.pop("paramiko") == logging.ERROR
    assert set(levels.values()) == {logging.WARNING}


@given(st.text(min_size=6, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_survives_redaction(secret: str, left: str, right: str) -> None:
    redactor = Redactor()
    redactor.add(secret)
    encoded = base64.b64encode(f"{left}{secret}{right}".encode("utf-8", "replace"))
    clean = redactor.redact(left + secret + right)
    assert secret not in clean or secret in BLOT or secret in left + BLOT + right
    again = redactor.redact(encoded.decode())
    padding = b"=" * (-len(again.encode()) % 4)
    if BLOT not in again:
        assert secret not in base64.b64decode(again.encode() + padding).decode(
            "utf-8", "replace"
        )


def test_fifty_secrets_cost_little() -> None:
    redactor = Redactor()
    for number in range(50):
        redactor.add(f"s3cret-{number:04}-{hash(number):x}")
    line = "INFO read 500 records of hr/people in 0.42 s, 3 rejects, cursor kept" * 2
    redactor.redact(line)
    started = time.thread_time()
    for _ in range(200):
        redactor.redact(line)
    assert (time.thread_time() - started) / 200 < 0.005

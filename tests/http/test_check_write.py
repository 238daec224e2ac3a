"""`check_write`: the typed error that an answered write means."""

from __future__ import annotations

import pytest

from moatbridge.errors import (
    ConfigurationError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge.http import RateInfo, Response, check_write


def answered(status, *, retry_after=None):
    rate = RateInfo(retry_after=retry_after)
    return Response("PATCH", "/people/{id}", status, rate=rate)


@pytest.mark.parametrize(
    ("status", "op", "error", "code"),
    [
        (404, "update", Rejected, "crm.gone"),
        (409, "create", Rejected, "crm.conflict"),
        (403, "update", Rejected, "crm.rights"),
        (422, "create", Rejected, "crm.data"),
        (412, "update", NotApplied, "crm.stale"),
        (429, "create", NotApplied, "crm.busy"),
        (500, "create", OutcomeUnknown, "crm.server"),
        (503, "update", OutcomeUnknown, "crm.server"),
        (401, "create", ConfigurationError, "http.auth"),
    ],
)
def test_a_refused_write_is_the_error_of_its_kind(status, op, error, code):
    with pytest.raises(error) as caught:
        check_write(answered(status), op, area="crm")
    assert caught.value.code == code
    assert "/people/{id}" in str(caught.value)


def test_a_write_that_was_carried_out_is_no_error():
    check_write(answered(201), "create", area="crm")
    check_write(answered(404), "delete", area="crm")


def test_a_busy_server_says_when_to_come_back():
    with pytest.raises(NotApplied) as caught:
        check_write(answered(503, retry_after=7.0), "create", area="crm")
    assert caught.value.retry_after == 7.0

"""What an author says with `Rejected.kind` counts, whatever word the code ends in."""

from __future__ import annotations

import pickle

import pytest

from moatbridge.adapter.each import receipt_of
from moatbridge.changes import Intent, Ref
from moatbridge.errors import Rejected

ONE = Intent(op="delete", key="k", ref=Ref("1"), record=None)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Rejected("no", kind="conflict"), "conflict", "box.conflict"),
        (Rejected("no"), "data", "box.data"),
        (Rejected("no", code="box.taken.conflict"), "conflict", "box.taken.conflict"),
        (Rejected("no", code="box.gone"), "gone", "box.gone"),
        (Rejected("no", code="box.too-long"), "data", "box.too-long"),
        (Rejected("no", code="box.gone", kind="conflict"), "conflict", "box.conflict"),
        (Rejected("no", code="box.gone", kind="data"), "data", "box.data"),
        (Rejected("no", code="box.exists", kind="conflict"), "conflict", "box.exists.conflict"),
        (Rejected("no", code="box.no-row", kind="gone"), "gone", "box.no-row.gone"),
    ],
)  # fmt: skip
def test_an_explicit_kind_is_what_the_receipt_says(error, kind, code):
    assert error.kind == kind
    assert receipt_of(error, ONE, "box").code == code
    again = pickle.loads(pickle.dumps(error))
    assert (again.kind, again.told) == (error.kind, error.told)

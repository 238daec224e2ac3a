import pytest

from guard.counting import RULES
from moatbridge.guard import item_digest, lifetime, wrote


def digest(content, **more):
    settings = {
        "target": "social",
        "op": "update",
        "fingerprint": bytes([content] * 32),
    }
    return item_digest(**(settings | more))


@pytest.mark.parametrize(
    "name",
    [
        "ada",
        "ADA ",
        "\uff21da",
        "ada@corp.example",
        "CORP\\ada",
        "uid=ada,ou=people,dc=x",
    ],
)
def test_an_author_is_known_by_the_login_in_each_name(name):
    assert wrote("ada@host", [name])
    assert wrote("Ada@other-host", ["somebody", name])


SPELLINGS = [
    "ada",
    "ada@host",
    "CORP\\ada",
    "uid=ada,ou=people",
    "https://s.example/users/Ada/?tab=1",
    "https://s.example/@ada",
    "acct:ada@s.example",
]


@pytest.mark.parametrize("principal", SPELLINGS)
def test_an_approver_is_known_by_the_login_in_each_name_too(principal):
    """Found in review: only authors were spelled out."""
    assert all(wrote(principal, {author}) for author in SPELLINGS)
    others = ["adam", "CORP\\bob", "https://ada.example/users/bob", "bob@ada", "", "\\"]
    assert not wrote(principal, others)


@pytest.mark.parametrize("name", ["adam", "a.da", "ada lovelace", "bob@ada", "", "u17"])
def test_somebody_else_is_no_author(name):
    assert not wrote("ada@host", [name])
    assert not wrote("ada@host", [])


@pytest.mark.parametrize("reason", ["quiet", "budget", "digest"])
def test_what_waits_for_nobody_does_not_expire(reason):
    assert lifetime(reason, RULES) is None


def test_how_long_items_wait():
    assert lifetime("approval", RULES) == 72 * 3600
    assert lifetime("unlinked", RULES) == 72 * 3600
    assert lifetime("quarantine", RULES) == 30 * 86_400


@pytest.mark.parametrize(
    "other",
    [
        {"target": "other"},
        {"op": "create"},
        {"fingerprint": bytes([2] * 32)},
        {"audience": ["g1"]},
        {"attachments": [b"x"]},
        {"not_before": 1.0},
        {"not_after": 1.0},
    ],
)
def test_an_approval_binds_to_everything_that_would_be_sent(other):
    assert digest(1) == digest(1)
    assert digest(1) != digest(1, **other)


def test_the_order_of_an_audience_means_nothing():
    assert digest(1, audience=["a", "b"]) == digest(1, audience=["b", "a"])

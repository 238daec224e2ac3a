"""Nothing passes that the sender did not make; all refusals are alike."""

from __future__ import annotations

import base64
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from moatbridge.errors import ConfigurationError, Rejected
from moatbridge_webhook import WebhookAdapter, WebhookConfig

from .conftest import new_key
from .requests import (
    BODY,
    NOW,
    PRIVATE,
    SENDERS,
    SHARED,
    STANDARD,
    discord,
    receiver,
    request,
    slack,
    standard,
)

COVERED = {
    "standard-webhooks": (
        "body",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ),
    "slack-v0": ("body", "x-slack-request-timestamp", "x-slack-signature"),
    "github-sha256": ("body", "x-hub-signature-256"),
    "hub-sha256": ("body", "x-hub-signature-256"),
    "ed25519-discord": ("body", "x-signature-timestamp", "x-signature-ed25519"),
    "bearer": ("authorization",),
}


def refused(adapter, asked):
    with pytest.raises(Rejected) as caught:
        adapter.receive(asked)
    assert (caught.value.code, caught.value.kind) == ("webhook.untrusted", "rights")
    return str(caught.value)


@pytest.mark.parametrize("scheme", SENDERS)
def test_what_the_sender_made_is_taken(scheme):
    secret, sign = SENDERS[scheme]
    received = receiver(scheme, secret).receive(request(BODY, sign(BODY)))
    assert received.delivery_id
    assert received.changes["people"][0].data == {"id": "u1", "name": "Ada"}


@pytest.mark.parametrize("scheme", SENDERS)
def test_every_secret_is_tried(scheme):
    secret, sign = SENDERS[scheme]
    other = {"standard-webhooks": new_key(), "ed25519-discord": "ab" * 32}.get(
        scheme, "another secret"
    )
    for secrets in ((secret, other), (other, secret)):
        assert receiver(scheme, *secrets).receive(request(BODY, sign(BODY))).delivery_id
    refused(receiver(scheme, other), request(BODY, sign(BODY)))


@pytest.mark.parametrize(
    ("scheme", "part"), [(s, p) for s, parts in COVERED.items() for p in parts]
)
def test_no_flipped_bit_passes(scheme, part):
    """Every bit of short parts, a thousand of the body: about 10,000 in all."""
    secret, sign = SENDERS[scheme]
    adapter, headers = receiver(scheme, secret), sign(BODY)
    raw = BODY if part == "body" else headers[part].encode("latin-1")
    words = set()
    for bit in _bits(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        if part == "body":
            asked = request(bytes(flipped), headers)
        else:
            asked = request(BODY, {**headers, part: flipped.decode("latin-1")})
        words.add(refused(adapter, asked))
    assert len(words) == 1


def _bits(count):
    return (
        range(count) if count <= 1200 else random.Random(7).sample(range(count), 1200)
    )


@pytest.mark.parametrize("scheme", ["standard-webhooks", "slack-v0", "ed25519-discord"])
@pytest.mark.parametrize("apart", [-301, 301, 86400])
def test_stale_and_future_deliveries_are_refused(scheme, apart):
    secret, sign = SENDERS[scheme]
    refused(receiver(scheme, secret), request(BODY, sign(BODY), at=NOW + apart))
    receiver(scheme, secret, time_window=3600).receive(
        request(BODY, sign(BODY), at=NOW + 3599)
    )


def test_a_replay_has_the_same_id_so_the_inbox_knows_it():
    for scheme, (secret, sign) in SENDERS.items():
        adapter = receiver(scheme, secret)
        ids = {adapter.receive(request(BODY, sign(BODY))).delivery_id for _ in range(2)}
        assert len(ids) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-id": "a.b"},
        {"webhook-id": "x" * 300},
        {"webhook-timestamp": "1_800_000_000"},
        {"webhook-timestamp": " 1800000000"},
        {"webhook-timestamp": "1.8e9"},
        {"webhook-timestamp": "९८७"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1"},
        {"webhook-signature": " ".join(["v1,AAAA"] * 50)},
        {"webhook-signature": "v1a,AAAA"},
        {"webhook-signature": "v2," + "A" * 43 + "="},
    ],
)
def test_odd_headers_are_refused_like_any_other(headers):
    good = standard()
    given = {**good, **headers} if headers else {}
    refused(receiver("standard-webhooks", STANDARD), request(BODY, given))


def test_one_true_signature_among_others_is_enough():
    good = standard()
    others = " ".join(
        [
            "v1," + base64.b64encode(b"x" * 32).decode(),
            "v9,zz",
            good["webhook-signature"],
        ]
    )
    assert receiver("standard-webhooks", STANDARD).receive(
        request(BODY, {**good, "webhook-signature": others})
    )


def test_ed25519_of_the_standard_is_verified():
    public = (
        "whpk_" + base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
    )
    content = f"msg_1.{int(NOW)}.".encode() + BODY
    signature = "v1a," + base64.b64encode(PRIVATE.sign(content)).decode()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW)),
        "webhook-signature": signature,
    }
    adapter = receiver("standard-webhooks", public)
    assert adapter.receive(request(BODY, headers)).delivery_id == "msg_1"
    refused(adapter, request(BODY + b" ", headers))


@given(
    body=st.binary(max_size=200),
    headers=st.dictionaries(
        st.sampled_from(sorted({p for parts in COVERED.values() for p in parts})),
        st.text(max_size=80),
    ),
)
@settings(max_examples=300, deadline=None)
def test_noise_is_only_ever_refused(body, headers):
    for scheme, (secret, _sign) in SENDERS.items():
        refused(receiver(scheme, secret), request(body, headers))


def test_a_handshake_is_answered_and_not_kept():
    body = json.dumps({"type": "url_verification", "challenge": "c1"}).encode()
    slacked = receiver("slack-v0", SHARED).receive(request(body, slack(body)))
    assert (slacked.delivery_id, slacked.answer.body) == ("", b"c1")
    ping = json.dumps({"type": 1, "id": "i1"}).encode()
    ponged = receiver("ed25519-discord", SENDERS["ed25519-discord"][0]).receive(
        request(ping, discord(ping))
    )
    assert (ponged.delivery_id, json.loads(ponged.answer.body)) == ("", {"type": 1})
    refused(receiver("slack-v0", SHARED), request(body, slack(body, key="another")))


def test_a_record_that_goes_back_to_what_it_was_is_news():
    """A, B, A: taken for a repeat, the last one was acknowledged and never read."""
    headers = {"authorization": f"Bearer {SHARED}"}
    bearer = receiver("bearer", SHARED)
    ids = [bearer.receive(request(at=NOW + at, headers=headers)) for at in (0, 1, 90)]
    first, repeated, again = (each.delivery_id for each in ids)
    assert first == repeated != again


def test_answers_are_what_each_sender_expects():
    bearer = receiver("bearer", SHARED)
    asked = request(
        b"{}",
        {"authorization": f"Bearer {SHARED}"},
        method="PUT",
        path="/transactions/t9",
    )
    got = bearer.receive(asked)
    assert (got.delivery_id, got.answer.body, got.answer.media_type) == (
        "t9",
        b"{}",
        "application/json",
    )
    secret, sign = SENDERS["slack-v0"]
    assert (
        receiver("slack-v0", secret).receive(request(BODY, sign(BODY))).delivery_id
        == "Ev1"
    )
    secret, sign = SENDERS["github-sha256"]
    assert (
        receiver("github-sha256", secret).receive(request(BODY, sign(BODY))).delivery_id
        == "guid-1"
    )


# --- Microsoft Graph: the secret stands in each notification --------------------------


def notice(*states, **more):
    entries = [
        {
            "subscriptionId": "s",
            "clientState": s,
            "changeType": "updated",
            "resource": f"users/{n}",
            **more,
        }
        for n, s in enumerate(states)
    ]
    return json.dumps({"value": entries}).encode()


GRAPH = {"people": {"items": "value", "key": ("id",), "fields": {"id": "resource"}}}


def test_graph_tells_its_validation_token():
    got = receiver("graph-client-state", SHARED, streams=GRAPH).receive(
        request(b"", query="validationToken=a%20b%3Cc")
    )
    assert (
        got.delivery_id,
        got.answer.status,
        got.answer.body,
        got.answer.media_type,
    ) == ("", 200, b"a b<c", "text/plain")


def test_graph_notifications_need_the_state_in_every_entry():
    adapter = receiver("graph-client-state", SHARED, streams=GRAPH)
    got = adapter.receive(request(notice(SHARED, SHARED)))
    assert (got.answer.status, len(got.changes["people"])) == (202, 2)
    for body in (
        notice(SHARED, "wrong"),
        notice(None),
        notice(),
        b"{}",
        b"[]",
        b'{"value": [7]}',
        b'{"value": 7}',
    ):
        refused(adapter, request(body))


def test_graph_missed_asks_for_a_rescan():
    adapter = receiver("graph-client-state", SHARED, streams=GRAPH)
    assert adapter.receive(request(notice(SHARED, lifecycleEvent="missed"))).missed == {
        "people"
    }
    assert adapter.receive(request(notice(SHARED))).missed == frozenset()


def test_secrets_are_never_shown():
    adapter = receiver("slack-v0", SHARED)
    adapter.receive(request(BODY, slack()))
    assert SHARED not in repr(adapter.config) + repr(vars(adapter)) + repr(
        adapter._reader
    ) + str(request(BODY, slack()))


def test_a_system_that_only_sends_receives_nothing():
    config = WebhookConfig(base_url="https://x.example", format="slack")
    adapter = WebhookAdapter(config, {})
    with pytest.raises(ConfigurationError) as caught:
        adapter.receive(request())
    assert caught.value.code == "webhook.no-verify"


def test_an_unusable_secret_is_for_a_person():
    config = WebhookConfig(
        verify="standard-webhooks", secrets=(SecretStr("whsec_c2hvcnQ="),)
    )
    with pytest.raises(ConfigurationError):
        WebhookAdapter(config, {}).receive(request(BODY, standard()))

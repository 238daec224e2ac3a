"""What leaves, and what the answers mean, against a receiver that is not ours."""

from __future__ import annotations

import base64
import json

import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks.webhooks import Webhook

from moatbridge.changes import Ref
from moatbridge.config import DeadlineConfig
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.testing.network import core_session
from moatbridge.testing.stage import intent
from moatbridge_webhook import WebhookAdapter, WebhookConfig, WebhookStreamConfig
from servers.scripted_http import Answer, ScriptedHttp

from .conftest import new_key

NOTE = {
    "type": "Note",
    "content": "Order 7 is ready",
    "published": "2026-01-02T03:04:05Z",
}


@pytest.fixture
def adapter(receiver, connect):
    return connect(receiver.base_url, [receiver.key], key_ttl=86400)


def test_an_event_says_type_time_and_data(receiver, adapter):
    sent = intent("create", None, NOTE)
    receipt = adapter.write("posts", [sent])[0]
    assert (receipt.outcome, receipt.ref) == ("applied", Ref(sent.key))
    event = receiver.events()[0]
    assert event["body"] == {
        "type": "post.created", "timestamp": NOTE["published"], "data": {**NOTE, "id": sent.key},
    }  # fmt: skip
    assert event["headers"]["webhook-id"] == sent.key
    assert event["headers"]["content-type"] == "application/json"


def test_edits_and_deletes_are_events_of_their_own(receiver, connect):
    adapter = connect(receiver.base_url, [receiver.key], kind="com.acme.note")
    made = adapter.write("posts", [intent("create", None, NOTE)])[0].ref
    adapter.write("posts", [intent("update", made, {"summary": None})])
    adapter.write("posts", [intent("delete", made, None)])
    said = [event["body"] for event in receiver.events()]
    assert [one["type"].rpartition(".")[2] for one in said] == [
        "created",
        "updated",
        "deleted",
    ]
    assert said[0]["type"].startswith("com.acme.note.")
    assert said[1]["data"] == {"summary": None, "id": made.id}
    assert said[2]["data"] == {"id": made.id}


def test_every_key_signs_so_that_keys_can_be_rotated(receiver, connect):
    adapter = connect(receiver.base_url, [new_key(), receiver.key, new_key()])
    assert (
        adapter.write("posts", [intent("create", None, NOTE)])[0].outcome == "applied"
    )
    assert receiver.events()[0]["headers"]["webhook-signature"].count("v1,") == 3


def test_a_wrong_key_is_for_a_person(receiver, connect):
    adapter = connect(receiver.base_url, [new_key()])
    with pytest.raises(ConfigurationError):
        adapter.write("posts", [intent("create", None, NOTE)])


def test_a_cut_answer_repeated_has_one_effect(receiver, adapter):
    receiver.behave(cut=True)
    sent = intent("create", None, NOTE)
    assert adapter.write("posts", [sent])[0].outcome == "unknown"
    assert adapter.write("posts", [sent])[0].outcome == "applied"
    assert len(receiver.events()) == 2
    assert len(receiver.records()) == 1


def test_a_stalled_answer_ends_at_the_deadline_as_unknown(receiver):
    receiver.behave(stall=30)
    config = WebhookConfig(
        base_url=receiver.base_url,
        signing_keys=(SecretStr(receiver.key),),
        insecure_cleartext=True,
    )
    adapter = WebhookAdapter(config, {"posts": WebhookStreamConfig()})
    with core_session(adapter, seconds=60) as session:
        session.open()
        session.deadlines = DeadlineConfig(call=1)
        assert (
            session.write("posts", [intent("create", None, NOTE)])[0].outcome
            == "unknown"
        )


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "wait"),
    [
        (200, {}, "applied", None),
        (204, {}, "applied", None),
        (429, {"Retry-After": "7"}, "not_applied", 7),
        (503, {"Retry-After": "7"}, "not_applied", 7),
        (503, {}, "unknown", None),
        (502, {}, "unknown", 5),
        (504, {}, "unknown", 5),
        (500, {}, "unknown", None),
        (400, {}, "rejected", None),
        (404, {}, "rejected", None),
        (413, {}, "rejected", None),
    ],
)
def test_statuses_mean_what_the_standard_says(
    receiver, adapter, status, headers, outcome, wait
):
    receiver.behave(status=status, headers=headers)
    receipt = adapter.write("posts", [intent("create", None, NOTE)])[0]
    assert (receipt.outcome, receipt.retry_after) == (outcome, wait)


@pytest.mark.parametrize(
    ("status", "code"),
    [(410, "webhook.switched-off"), (302, "http.redirect"), (401, "http.auth")],
)
def test_the_endpoint_itself_at_fault_stops_the_system(receiver, adapter, status, code):
    receiver.behave(status=status, headers={"Location": "http://evil.example/"})
    with pytest.raises(ConfigurationError) as caught:
        adapter.write("posts", [intent("create", None, NOTE)])
    assert caught.value.code == code


def test_after_a_refusal_the_rest_of_the_call_is_not_tried(receiver, adapter):
    receiver.behave(status=429, headers={"Retry-After": "7"})
    receipts = adapter.write("posts", [intent("create", None, NOTE) for _ in range(3)])
    assert [r.outcome for r in receipts] == ["not_applied"] * 3
    assert receiver.events() == []


def test_an_event_over_the_limit_is_refused_or_sent_thin(receiver, connect):
    large = {**NOTE, "content": "x" * 2000}
    strict = connect(receiver.base_url, [receiver.key], max_body=1024)
    assert (
        strict.write("posts", [intent("create", None, large)])[0].code
        == "webhook.too-large"
    )
    thin = connect(receiver.base_url, [receiver.key], max_body=1024, oversize="thin")
    sent = intent("create", None, large)
    thin.write("posts", [sent])
    assert receiver.events()[-1]["body"]["data"] == {"id": sent.key, "thin": True}


def test_cloudevents_in_structured_mode(receiver, connect):
    adapter = connect(
        receiver.base_url, [receiver.key], format="cloudevents", source="urn:acme"
    )
    sent = intent("create", None, {**NOTE, "label": "internal"})
    adapter.write("posts", [sent])
    event = receiver.events()[0]
    assert event["headers"]["content-type"] == "application/cloudevents+json"
    assert event["body"] == {
        "specversion": "1.0", "id": sent.key, "source": "urn:acme", "type": "post.created",
        "subject": sent.key, "time": NOTE["published"], "datacontenttype": "application/json",
        "partitionkey": sent.key, "dataclassification": "internal",
        "data": {**NOTE, "label": "internal", "id": sent.key},
    }  # fmt: skip


def test_the_class_follows_from_what_is_known_of_the_receiver(receiver, connect):
    keyed = connect(receiver.base_url, [receiver.key], key_ttl=3600).traits("posts")
    assert (keyed.dedup, keyed.key_scope, keyed.key_ttl, keyed.retractable) == (
        "keyed",
        "request",
        3600,
        False,
    )
    assert connect(receiver.base_url, [receiver.key]).traits("posts").dedup == "none"
    chat = connect(receiver.base_url, format="slack", key_ttl=3600).traits("posts")
    assert (chat.dedup, chat.max_batch) == ("none", 1)


def test_records_of_any_entity_are_sent_as_they_are(receiver, connect):
    adapter = connect(receiver.base_url, [receiver.key], entity="Person", kind="user")
    stream = adapter.streams()[0]
    assert stream.native
    assert stream.entity == "Person"
    assert {"userName", "name", "emails", "active"} <= {
        field.name for field in stream.fields
    }
    person = {"userName": "ada", "content": "so that the product takes it"}
    adapter.write("posts", [intent("create", None, person)])
    assert receiver.events()[0]["body"]["type"] == "user.created"


# --- chat services: recorded shapes, as documented -------------------------------------


@pytest.fixture
def chat():
    with ScriptedHttp(lambda _asked: Answer(200, {"ok": True})) as peer:
        yield peer


def said(peer):
    return peer.asked[-1].body


PING = "<!here> @everyone a & b <@U1>"


def test_slack_text_is_escaped_and_pings_nobody(chat, connect):
    adapter = connect(chat.base_url, format="slack")
    assert (
        adapter.write("posts", [intent("create", None, {"content": PING})])[0].outcome
        == "applied"
    )
    text = said(chat)["text"]
    assert "<" not in text.replace("&lt;", "")
    assert "&amp; b" in text
    assert "@everyone" not in text
    assert "<!here" not in text.replace("&lt;", "<")


def test_discord_allows_no_mentions(chat, connect):
    connect(chat.base_url, format="discord").write(
        "posts", [intent("create", None, {"content": PING})]
    )
    assert said(chat)["allowed_mentions"] == {"parse": []}
    assert "@everyone" not in said(chat)["content"]


MARKUP = "# PO_4711_b\n[pay here](https://evil.example/a_b_c) **now** ||x|| <t:0>"


def test_no_markup_of_a_record_acts_in_discord(chat, connect):
    connect(chat.base_url, format="discord").write(
        "posts", [intent("create", None, {"content": MARKUP})]
    )
    assert said(chat)["content"] == (
        "\\# PO\\_4711\\_b\n\\[pay here\\](https://evil.example/a_b_c) "
        "\\*\\*now\\*\\* \\|\\|x\\|\\| \\<t:0\\>"
    )


def test_no_markup_of_a_record_acts_in_slack(chat, connect):
    connect(chat.base_url, format="slack").write(
        "posts", [intent("create", None, {"content": "*now* _x_ `y`"})]
    )
    assert said(chat)["mrkdwn"] is False


def test_what_is_escaped_counts(chat, connect):
    receipt = connect(chat.base_url, format="discord").write(
        "posts", [intent("create", None, {"content": "*" * 1001})]
    )[0]
    assert (receipt.outcome, receipt.code) == ("rejected", "webhook.too-large")


def test_teams_shows_text_without_markup(chat, connect):
    connect(chat.base_url, format="teams").write(
        "posts", [intent("create", None, {"content": "**x** " + PING})]
    )
    block = said(chat)["attachments"][0]["content"]["body"][0]
    assert block["type"] == "RichTextBlock"
    assert block["inlines"][0]["text"].startswith("**x** ")


@pytest.mark.parametrize(
    ("op", "record", "code"),
    [
        ("update", {"content": "x"}, "webhook.no-edit"),
        ("delete", None, "webhook.no-edit"),
        ("create", {"summary": "x"}, "webhook.no-text"),
        ("create", {"content": "x" * 2001}, "webhook.too-large"),
    ],
)
def test_what_a_chat_cannot_say_is_refused(chat, connect, op, record, code):
    adapter = connect(chat.base_url, format="discord")
    before = len(chat.asked)
    receipt = adapter.write(
        "posts", [intent(op, None if op == "create" else Ref("1"), record)]
    )[0]
    assert (receipt.outcome, receipt.code) == ("rejected", code)
    assert len(chat.asked) == before


def test_a_secret_hook_stands_in_the_path_and_nowhere_else(chat, connect):
    adapter = connect(
        chat.base_url, format="slack", hook=SecretStr("/T0/B0/very-secret-hook")
    )
    adapter.write("posts", [intent("create", None, {"content": "x"})])
    assert chat.asked[-1].path == "/v2/T0/B0/very-secret-hook"
    chat.script = lambda _asked: Answer(401)
    with pytest.raises(ConfigurationError) as caught:
        adapter.write("posts", [intent("create", None, {"content": "x"})])
    assert (
        "very-secret-hook" not in f"{caught.value} {adapter.config!r} {vars(adapter)}"
    )


# --- configuration -------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"base_url": "https://x.example"},
        {"base_url": "http://x.example", "format": "slack"},
        {"verify": "bearer"},
        {"base_url": "https://x.example", "signing_keys": ["whsec_literal"]},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(settings):
    with pytest.raises(ValidationError):
        WebhookConfig(**settings)


@pytest.mark.parametrize(
    "key",
    [
        "no-prefix-at-all-here",
        "whsec_!!!!",
        "whsec_" + base64.b64encode(b"short").decode(),
    ],
)
def test_an_unusable_key_is_told_without_its_value(receiver, connect, key):
    with pytest.raises(ConfigurationError) as caught:
        connect(receiver.base_url, [key])
    assert caught.value.code == "webhook.key"
    assert key[6:] not in str(caught.value)


def test_an_unreachable_receiver_is_not_applied(connect):
    with pytest.raises(NotApplied):
        connect("http://127.0.0.1:9", [new_key()])


def test_ed25519_signatures_are_true(chat, connect):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    seed = "whsk_" + base64.b64encode(private.private_bytes_raw()).decode()
    adapter = connect(chat.base_url, [seed])
    sent = intent("create", None, NOTE)
    adapter.write("posts", [sent])
    asked = chat.asked[-1]
    version, _, text = asked.headers["webhook-signature"].partition(",")
    body = json.dumps(asked.body, ensure_ascii=False, separators=(",", ":"))
    content = f"{sent.key}.{asked.headers['webhook-timestamp']}.{body}"
    assert version == "v1a"
    private.public_key().verify(base64.b64decode(text), content.encode())


def test_the_oracle_accepts_our_signature_and_no_other_body(chat, connect):
    key = new_key()
    connect(chat.base_url, [key]).write("posts", [intent("create", None, NOTE)])
    asked = chat.asked[-1]
    body = json.dumps(asked.body, ensure_ascii=False, separators=(",", ":"))
    assert Webhook(key).verify(body, asked.headers) == asked.body
    with pytest.raises(Exception, match="No matching"):
        Webhook(key).verify(body + " ", asked.headers)


def forbidding(head):
    """A peer that answers 403 to events and ``head()`` to HEAD."""

    def script(asked):
        return Answer(head()) if asked.method == "HEAD" else Answer(403, {})

    return ScriptedHttp(script, heads=True)


def test_a_receiver_that_forbids_everything_stops_the_system_not_the_record(connect):
    statuses = iter([200, 403])
    with forbidding(lambda: next(statuses)) as peer:
        adapter = connect(peer.base_url, [new_key()])
        with pytest.raises(ConfigurationError) as caught:
            adapter.write("posts", [intent("create", None, NOTE)])
    assert caught.value.code == "webhook.no-rights"


@pytest.mark.parametrize("head", [200, 403, 404])
def test_an_event_that_is_forbidden_is_rejected_alone(connect, head):
    with forbidding(lambda: head) as peer:
        adapter = connect(peer.base_url, [new_key()])
        receipt = adapter.write("posts", [intent("create", None, NOTE)])[0]
    assert (receipt.outcome, receipt.code) == ("rejected", "webhook.rights")


@pytest.mark.parametrize("form", ["standard", "cloudevents"])
def test_html_leaves_harmless(receiver, connect, form):
    adapter = connect(receiver.base_url, [receiver.key], format=form)
    markup = {"content": "<p>a</p><script>x</script>", "mediaType": "text/html"}
    plain = {"content": "if a <b> then", "mediaType": "text/plain"}
    for record in (markup, plain):
        adapter.write("posts", [intent("create", None, {**NOTE, **record})])
    shown = [event["body"]["data"]["content"] for event in receiver.events()]
    assert shown == ["<p>a</p>", "if a <b> then"]

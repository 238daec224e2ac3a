"""What the platform made of a post is compared with what was asked for."""

from __future__ import annotations

import pytest

from moatbridge.changes import Ref
from moatbridge.testing.stage import intent
from servers.mastodon import note, opening, publish, status
from servers.scripted_http import Answer

ADA = {"kind": "people", "refs": ["ada"]}


def mention(acct):
    return {"acct": acct, "username": acct}


@pytest.mark.parametrize(
    ("written", "link", "name"),
    [
        ("PO4711", "PO4711", "po4711"),
        ("Prüfung", "Pr%C3%BCfung", "prufung"),
        ("order", "order", "order"),
    ],
)
def test_a_hashtag_is_no_other_text_however_the_platform_spells_it(
    peer, connect, written, link, name
):
    """Mastodon links it as it was written and names it in its own spelling."""
    deleted = []
    tags = "https://social.test/tags/"

    def script(asked):
        if asked.method == "POST":
            anchor = (
                f'<a href="{tags}{link}" class="hashtag">#<span>{written}</span></a>'
            )
            found = [{"name": name, "url": tags + name}]
            return Answer(
                200, status(f"New {anchor}!", visibility="private", tags=found)
            )
        if asked.method == "DELETE":
            deleted.append(asked.path)
            return Answer(200, {})
        return opening(asked)

    receipt = publish(connect(peer(script)), note(f"New #{written}!"))
    assert (receipt.outcome, receipt.incident, deleted) == ("applied", None, [])


def test_an_edit_that_the_platform_shows_to_somebody_else_is_taken_away(peer, connect):
    deleted = []

    def script(asked):
        if asked.method == "PUT":
            shown = [mention("ada"), mention("eve")]
            text = asked.body["status"]
            return Answer(200, status(text, visibility="direct", mentions=shown))
        if asked.method == "DELETE":
            deleted.append(asked.path)
            return Answer(200, {})
        return opening(asked)

    before = note("hello", ADA)
    edit = intent("update", Ref("77"), note("hello again", ADA), before=before)
    receipt = connect(peer(script)).write("posts", [edit])[0]
    assert (receipt.outcome, receipt.incident) == ("rejected", "audience")
    assert deleted == ["/v2/api/v1/statuses/77"]


@pytest.mark.parametrize("answer", [Answer(0), Answer(503, {}), Answer(429, {})])
def test_a_post_that_others_read_and_that_stays_is_an_incident(peer, connect, answer):
    def script(asked):
        if asked.method == "POST":
            return Answer(200, status(asked.body["status"], visibility="public"))
        return answer if asked.method == "DELETE" else opening(asked)

    receipt = publish(connect(peer(script)), note("for the company"))
    assert (receipt.outcome, receipt.incident) == ("rejected", "audience")
    assert receipt.code == "mastodon.audience-not-undone"
    assert receipt.ref == Ref("77")


def test_a_file_is_of_the_type_that_was_judged(peer, connect, tmp_path):
    """The guard lets ``image/png`` pass; what lies there by now is a PDF."""
    uploads = []

    def script(asked):
        if asked.path.endswith("/api/v2/media"):
            uploads.append(asked)
            return Answer(200, {"id": "5"})
        if asked.method == "POST":
            return Answer(200, status(asked.body["status"], visibility="private"))
        return opening(asked)

    (tmp_path / "chart.png").write_bytes(b"%PDF-1.7 the whole payroll")
    said = {
        "type": "Image",
        "mediaType": "image/png",
        "name": "Orders by month",
        "blob": {"ref": "chart.png"},
    }
    adapter = connect(peer(script), media_folder=str(tmp_path))
    receipt = publish(adapter, note("chart", attachment=[said]))
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.media")
    assert uploads == []


def test_a_name_may_be_spelt_as_its_owner_does(peer, connect):
    def script(asked):
        if asked.method == "POST":
            text = asked.body["status"].replace("@Ada", "@ada")
            return Answer(200, status(text, visibility="private"))
        return Answer(200, {}) if asked.method == "DELETE" else opening(asked)

    called = [{"type": "Mention", "name": "@Ada", "href": "ada"}]
    receipt = publish(connect(peer(script)), note("ask @Ada", tag=called))
    assert receipt.outcome == "applied"

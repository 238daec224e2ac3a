"""Files beside a post: checked, stripped, streamed, uploaded once."""

from __future__ import annotations

import base64
import hashlib
import struct
import tracemalloc
import zlib

import pytest

from moatbridge_mastodon.composing import Refused
from moatbridge_mastodon.files import opened
from moatbridge_mastodon.media import Uploads
from servers.mastodon import note, opening, publish, status
from servers.scripted_http import Answer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsHX0hgAAAABJ"
    "RU5ErkJggg=="
)
SECRET = b"GPS 47.3769 8.5417"


def chunk(kind, body):
    whole = kind + body
    return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))


PHOTO = PNG[:33] + chunk(b"tEXt", b"Comment\0" + SECRET) + PNG[33:]


def picture(folder, name="chart.png", content=PNG):
    (folder / name).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    blob = {"ref": name, "sha256": sha256, "size": len(content)}
    return {"type": "Image", "name": "Orders by month", "blob": blob}


def test_media_carry_their_alternative_text(platform, connect, tmp_path):
    adapter = connect(platform, media_folder=str(tmp_path))
    receipt = publish(adapter, note("chart", attachment=[picture(tmp_path)]))
    assert receipt.outcome == "applied", receipt
    status = platform.call("GET", f"/api/v1/statuses/{receipt.ref.id}")
    assert [m["description"] for m in status["media_attachments"]] == [
        "Orders by month"
    ]


def test_an_image_without_alternative_text_is_rejected(platform, connect, tmp_path):
    silent = {**picture(tmp_path), "name": None}
    record = note("chart", attachment=[silent])
    receipt = publish(connect(platform, media_folder=str(tmp_path)), record)
    assert receipt.code == "mastodon.alt-text"
    kind = connect(platform, media_folder=str(tmp_path), allow_missing_alt=True)
    assert publish(kind, record).outcome == "applied"


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "link.png", "", ".", "folder"]
)
def test_nothing_outside_the_media_folder_is_read(platform, connect, tmp_path, name):
    inside = tmp_path / "media"
    inside.mkdir()
    (inside / "folder").mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    bad = {"type": "Image", "name": "x", "blob": {"ref": name}}
    receipt = publish(
        connect(platform, media_folder=str(inside)), note("chart", attachment=[bad])
    )
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.media")


class Uploaded:
    """A peer that keeps what is uploaded, and says what it takes."""

    def __init__(self, **limits):
        self.bodies, self.limits = [], limits

    def __call__(self, asked):
        if asked.path.endswith("/api/v2/media"):
            self.bodies.append(asked.body)
            return Answer(200, {"id": "5"})
        if asked.method == "POST":
            return Answer(200, status(asked.body["status"], visibility="private"))
        said = opening(asked)
        if asked.path.endswith("/instance"):
            said.body["configuration"] = {"media_attachments": self.limits}
        return said


@pytest.mark.parametrize("strip", [True, False])
def test_a_photo_leaves_without_its_place_unless_said_otherwise(
    peer, connect, tmp_path, strip
):
    kept = Uploaded()
    settings = {} if strip else {"strip_metadata": False}
    adapter = connect(peer(kept), media_folder=str(tmp_path), **settings)
    record = note("chart", attachment=[picture(tmp_path, content=PHOTO)])
    assert publish(adapter, record).outcome == "applied"
    assert (SECRET in kept.bodies[0]) is not strip
    assert (PNG if strip else PHOTO) in kept.bodies[0]


@pytest.mark.parametrize("content", [PHOTO[:-5], b"\0\0\0\x18ftypheic" + b"0" * 64])
def test_a_photo_whose_metadata_cannot_be_taken_out_is_refused(
    peer, connect, tmp_path, content
):
    kept = Uploaded()
    adapter = connect(peer(kept), media_folder=str(tmp_path))
    record = note("chart", attachment=[picture(tmp_path, content=content)])
    receipt = publish(adapter, record)
    assert (receipt.outcome, receipt.code) == ("rejected", "mastodon.metadata")
    assert kept.bodies == []


@pytest.mark.parametrize(
    ("head", "said", "code"),
    [
        (b"ID3\x04", "audio/mpeg", ""),
        (b"ID3\x04", "audio/mp3", ""),
        (b"\xff\xfb\x90\x00", None, ""),
        (b"\x1aE\xdf\xa3", "video/webm", ""),
        (b"\x1aE\xdf\xa3", "audio/webm", ""),
        (b"\0\0\0\x18ftypM4A ", "audio/mp4", ""),
        (b"ID3\x04", "image/png", "mastodon.media"),
        (b"plain words", "text/plain", "mastodon.media"),
        (b"<svg onload=x>", "image/svg+xml", "mastodon.media"),
        (b"%PDF-1.7", "application/pdf", "mastodon.media"),
    ],
)
def test_a_file_is_taken_for_what_its_first_bytes_say(
    peer, connect, tmp_path, head, said, code
):
    kept = Uploaded()
    adapter = connect(peer(kept), media_folder=str(tmp_path))
    file = {**picture(tmp_path, "x", head + b"\0" * 64), "type": "Video"}
    if code and head[:1] not in b"I":
        file = {**picture(tmp_path, "x", head), "type": "Document"}
    receipt = publish(adapter, note("x", attachment=[{**file, "mediaType": said}]))
    assert receipt.code == code
    assert len(kept.bodies) == (not code)


def test_an_images_limit_is_no_films_limit(peer, connect, tmp_path):
    kept = Uploaded(image_size_limit=1000, video_size_limit=900_000)
    film = b"\0\0\0\x18ftypisom" + b"\0" * 600_000
    adapter = connect(peer(kept), media_folder=str(tmp_path))
    for content, code in ((film, ""), (PNG + b"0" * 1000, "mastodon.media")):
        file = {**picture(tmp_path, content=content), "mediaType": None}
        assert publish(adapter, note("x", attachment=[file])).code == code
    film += b"\0" * 300_000
    file = picture(tmp_path, content=film)
    assert publish(adapter, note("x", attachment=[file])).code == "mastodon.media"
    assert len(kept.bodies) == 1
    assert film[:600_000] in kept.bodies[0]


def test_a_large_film_is_streamed_never_held(peer, connect, tmp_path):
    kept = Uploaded()
    adapter = connect(peer(kept), media_folder=str(tmp_path), max_media=64 << 20)
    film = b"\0\0\0\x18ftypisom" + b"\0" * (24 << 20)
    file = picture(tmp_path, content=film)
    size = len(film)
    del film
    tracemalloc.start()
    uploads = Uploads(adapter._client, adapter.config, adapter._instance, None)
    with opened(str(tmp_path), "chart.png") as opened_file:
        uploads._checked(opened_file, file["blob"], "video/mp4")
        assert sum(map(len, opened_file.pieces())) == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_file_that_changes_while_it_is_sent_is_not_sent_whole(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"0" * 600_000)
    with opened(str(tmp_path), "film.mp4") as file:
        file.digest()
        path.write_bytes(b"1" * 600_000)
        sent = []
        with pytest.raises(Refused):
            sent.extend(file.pieces())
    assert sum(map(len, sent)) < 600_000


def test_a_changed_file_is_not_published(platform, connect, tmp_path):
    bad = picture(tmp_path)
    (tmp_path / "chart.png").write_bytes(PNG + b"1")
    receipt = publish(
        connect(platform, media_folder=str(tmp_path)), note("chart", attachment=[bad])
    )
    assert receipt.code == "mastodon.media"


def test_a_file_the_platform_still_works_on_is_uploaded_once(peer, connect, tmp_path):
    uploads, asked_about = [], []

    def script(asked):
        if asked.path.endswith("/api/v2/media"):
            uploads.append(asked)
            return Answer(202, {"id": "5", "url": None})
        if "/api/v1/media/5" in asked.path:
            asked_about.append(asked)
            return Answer(206 if len(asked_about) < 2 else 200, {"id": "5"})
        if asked.method == "POST":
            assert asked.body["media_ids"] == ["5"]
            return Answer(200, status(asked.body["status"], visibility="private"))
        return opening(asked)

    adapter = connect(peer(script), media_folder=str(tmp_path))
    record, progress, outcomes = note("chart", attachment=[picture(tmp_path)]), None, []
    for attempt in range(1, 4):
        receipt = publish(adapter, record, progress=progress, attempt=attempt)
        outcomes.append(receipt.outcome)
        progress = receipt.progress or progress
    assert outcomes == ["not_applied", "not_applied", "applied"]
    assert len(uploads) == 1

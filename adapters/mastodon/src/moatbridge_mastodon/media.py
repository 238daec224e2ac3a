"""Files of a post: opened once, checked, uploaded once (platforms 36)."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities import Fault
from moatbridge.entities.media import media_type_of
from moatbridge.entities.pictures import without_metadata
from moatbridge.http import check_read
from moatbridge_mastodon.composing import Refused
from moatbridge_mastodon.files import File, opened
from moatbridge_mastodon.statuses import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.http import HttpClient
    from moatbridge_mastodon.config import MastodonConfig
    from moatbridge_mastodon.instance import Instance

WAIT: Final = 2.0
"""Seconds until a file that the platform still works on is asked about again."""

_READY: Final = 200
_PLAYED: Final = frozenset({"image", "video", "audio"})
_SAME: Final = (
    frozenset({"audio/mpeg", "audio/mp3"}),
    frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}),
    frozenset({
        "video/mp4", "audio/mp4", "audio/m4a", "audio/x-m4a", "video/quicktime",
    }),
    frozenset({"video/webm", "audio/webm"}),
    frozenset({"audio/ogg", "video/ogg", "audio/vorbis", "audio/opus"}),
)  # fmt: skip
"""Names of what first bytes cannot tell apart: one container, sound or film in it."""


class NotReady(Exception):
    """The platform still works on a file; ``progress`` says what is there already."""

    def __init__(self, progress: dict[str, Any]) -> None:
        super().__init__("media not ready")
        self.progress = progress


class Uploads:
    """The files of one post.

    Args:
        client: Open connection.
        config: Folder, limits, whether images may lack a text.
        instance: The platform's limits.
        progress: ``{"media": {sha256: id}}`` that an earlier attempt left.
    """

    def __init__(
        self,
        client: HttpClient,
        config: MastodonConfig,
        instance: Instance,
        progress: Any,
    ) -> None:
        self._client = client
        self._config = config
        self._instance = instance
        done = progress.get("media") if isinstance(progress, dict) else None
        self.done: dict[str, str] = dict(done) if isinstance(done, dict) else {}

    def ids(self, attachments: Any) -> list[str]:
        """Ids of all files, uploading those that are not there yet.

        Raises:
            Refused: ``attachments`` (too many), ``alt-text``, ``media`` (missing, too
                large, another content than was said, a type not taken here),
                ``metadata`` (a photo whose metadata cannot be taken out).
            NotReady: The platform is not done with one of them.
        """
        files = [each for each in attachments or () if each.get("type") != "Link"]
        if len(files) > self._instance.max_attachments:
            raise Refused("attachments")
        silent = any(e.get("type") == "Image" and not e.get("name") for e in files)
        if silent and not self._config.allow_missing_alt:
            raise Refused("alt-text")
        return [self._id(each) for each in files]

    def _id(self, attachment: Mapping[str, Any]) -> str:
        blob = attachment.get("blob") or {}
        sha256 = str(blob.get("sha256") or "").lower()
        if known := self.done.get(sha256):
            return self._ready(known)
        with opened(self._config.media_folder, blob.get("ref")) as file:
            kind = self._kind(file, attachment)
            digest = self._checked(file, blob, kind)
            content = self._stripped(file, kind)
            ident, ready = self._upload(content or file, kind, attachment)
        self.done[sha256 or digest] = ident
        if not ready:
            raise NotReady({"media": self.done})
        return ident

    def _ready(self, ident: str) -> str:
        answer = self._client.request("GET", "/api/v1/media/{id}", params={"id": ident})
        check_read(answer, area="mastodon")
        if answer.status != _READY:
            raise NotReady({"media": self.done})
        return ident

    def _upload(
        self, content: bytes | File, kind: str, attachment: Mapping[str, Any]
    ) -> tuple[str, bool]:
        head, tail, headers = _multipart(kind, str(attachment.get("name") or ""))
        pieces = [content] if isinstance(content, bytes) else content.pieces()
        size = len(content) if isinstance(content, bytes) else content.size
        headers["Content-Length"] = str(len(head) + size + len(tail))
        # An upload that nobody refers to is no effect: it may be repeated.
        answer = self._client.request(
            "POST",
            "/api/v2/media",
            chunks=itertools.chain([head], pieces, [tail]),
            headers=headers,
            safe=True,
        )
        check_read(answer, area="mastodon")
        ident = identifier(answer.mapping.get("id"))
        if not ident:
            raise Refused("media")
        return ident, answer.status == _READY

    def _kind(self, file: File, attachment: Mapping[str, Any]) -> str:
        """Its type, by the first bytes: what a name or a header says is not believed.

        Where the bytes cannot tell sound from film, what is said decides.
        """
        found = media_type_of(file.head) or ""
        said = str(attachment.get("mediaType") or found).partition(";")[0]
        said = said.strip().lower()
        if said != found and not any({said, found} <= same for same in _SAME):
            raise Refused("media")  # not what the guard let pass
        allowed = self._instance.media_types
        kind = found if found in allowed else said
        if allowed and kind not in allowed:
            raise Refused("media")
        if kind.partition("/")[0] not in _PLAYED or kind == "image/svg+xml":
            raise Refused("media")
        return kind

    def _checked(self, file: File, blob: Mapping[str, Any], kind: str) -> str:
        """The digest of the file, which is what was announced."""
        instance = self._instance
        image = kind.startswith("image/")
        theirs = instance.max_image if image else instance.max_video
        if file.size > min(self._config.max_media, theirs or file.size):
            raise Refused("media")
        if blob.get("size") not in {None, file.size}:
            raise Refused("media")
        said, found = blob.get("sha256"), file.digest()
        if said and found != str(said).lower():
            raise Refused("media")
        return found

    def _stripped(self, file: File, kind: str) -> bytes | None:
        """A photo without its metadata; None: the file goes as it is."""
        if not (self._config.strip_metadata and kind.startswith("image/")):
            return None
        try:
            return without_metadata(b"".join(file.pieces()), kind)
        except Fault:
            raise Refused("metadata") from None


def _multipart(kind: str, alt: str) -> tuple[bytes, bytes, dict[str, str]]:
    """What stands round a file as ``multipart/form-data``, with our own file name.

    Source: RFC 7578.
    """
    boundary = secrets.token_hex(16)
    name = "upload." + kind.partition("/")[2]
    text = ""
    if alt:
        text = (
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="description"\r\n'
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n{alt}\r\n"
        )
    head = (
        f"{text}--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return head.encode(), f"\r\n--{boundary}--\r\n".encode(), headers

"""Files of a post: opened once, checked, uploaded once (platforms 36)."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from typing import TYPE_CHECKING, Any, Final

from moatbridge.http import check_read
from moatbridge_mastodon.composing import Refused
from moatbridge_mastodon.statuses import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.http import HttpClient
    from moatbridge_mastodon.config import MastodonConfig
    from moatbridge_mastodon.instance import Instance

WAIT: Final = 2.0
"""Seconds until a file that the platform still works on is asked about again."""

_READY: Final = 200
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


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
                large, another content than was said, a type not taken here).
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
        content = self._content(blob)
        ident, ready = self._upload(content, attachment)
        self.done[sha256 or hashlib.sha256(content).hexdigest()] = ident
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
        self, content: bytes, attachment: Mapping[str, Any]
    ) -> tuple[str, bool]:
        kind = _type_of(content)
        allowed = self._instance.media_types
        if kind is None or (allowed and kind not in allowed):
            raise Refused("media")
        said = str(attachment.get("mediaType") or kind).partition(";")[0]
        if said.strip().lower() != kind:
            raise Refused("media")  # not what the guard let pass
        body, header = _multipart(content, kind, str(attachment.get("name") or ""))
        # An upload that nobody refers to is no effect: it may be repeated.
        answer = self._client.request(
            "POST", "/api/v2/media", json=body, headers=header, safe=True
        )
        check_read(answer, area="mastodon")
        ident = identifier(answer.mapping.get("id"))
        if not ident:
            raise Refused("media")
        return ident, answer.status == _READY

    def _content(self, blob: Mapping[str, Any]) -> bytes:
        content = _read(self._config.media_folder, blob.get("ref"), self._limit)
        if blob.get("size") not in {None, len(content)}:
            raise Refused("media")
        said = blob.get("sha256")
        if said and hashlib.sha256(content).hexdigest() != str(said).lower():
            raise Refused("media")
        return content

    @property
    def _limit(self) -> int:
        return min(self._config.max_media, self._instance.max_image or 1 << 40)


def _read(folder: str | None, name: Any, limit: int) -> bytes:
    """A file of the folder itself: no path, no link, no device."""
    if not folder or not isinstance(name, str) or name in {"", ".", ".."}:
        raise Refused("media")
    if "/" in name or "\0" in name:
        raise Refused("media")
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(name, flags, dir_fd=root)
        finally:
            os.close(root)
    except OSError:
        raise Refused("media") from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused("media")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(content) > limit:
        raise Refused("media")
    return content


def _type_of(content: bytes) -> str | None:
    """By the first bytes: what a name or a header says is not believed."""
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content[4:8] == b"ftyp":
        return "video/mp4"
    return None


def _multipart(content: bytes, kind: str, alt: str) -> tuple[bytes, dict[str, str]]:
    """``multipart/form-data`` with our own file name (RFC 7578)."""
    boundary = secrets.token_hex(16)
    name = "upload." + kind.partition("/")[2]
    parts = [
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode(),
        content,
        b"\r\n",
    ]
    if alt:
        parts.append(
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="description"\r\n'
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n{alt}\r\n".encode()
        )
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), {
        "Content-Type": f"multipart/form-data; boundary={boundary}"
    }

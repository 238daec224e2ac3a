"""Settings of the ``mastodon`` adapter (platforms 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from pydantic import Field, ValidationInfo, field_validator

from moatbridge.adapter import AdapterConfig
from moatbridge.http import HttpConfig

Kind: TypeAlias = Literal["posts", "mentions", "reactions", "accounts"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MIB: Final = 1024 * 1024


class MastodonConfig(HttpConfig):
    """``[systems.NAME]`` of a Mastodon account; ``auth`` is its bearer token.

    Args:
        allow_public: Posts for the audience ``public`` may be published at all.
        followers_are_org: The account's followers are the company: the audience
            ``org`` becomes a followers-only post. Lock the account.
        language: BCP 47 tag of posts that name none.
        default_sensitive: Mark posts as sensitive unless they say otherwise.
        allow_missing_alt: Publish images that have no alternative text.
        media_folder: Folder that attachments' ``blob.ref`` names files in; a relative
            one starts at the configuration file's.
        strip_metadata: Take out of photos what they tell beside the picture (place,
            device, owner; JPEG, PNG, WebP, GIF); other image formats are refused then.
            Films and sound go as they are.
        stream_hints: Listen to the streaming API, so that replies are read at once.
        page_size: Records in one page; the platform serves 40 at most.
        max_media: Bytes of one uploaded file; the platform's own limit holds too.
    """

    allow_public: bool = False
    followers_are_org: bool = False
    language: str | None = Field(
        default=None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$"
    )
    default_sensitive: bool = False
    allow_missing_alt: bool = False
    media_folder: str | None = None
    strip_metadata: bool = True
    stream_hints: bool = True
    page_size: int = Field(default=40, ge=1, le=40)
    max_media: int = Field(default=16 * MIB, ge=1, le=256 * MIB)

    @field_validator("media_folder")
    @classmethod
    def _beside_config(cls, path: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        return str(Path(folder, path)) if path and folder else path


class MastodonStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]``.

    Args:
        kind: What the stream holds; None means the stream's own name says it.
    """

    kind: Kind | None = None

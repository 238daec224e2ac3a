"""Canonical content: posts, reactions and decisions over plain JSON types.

Names are those of ActivityStreams 2.0 (Vocabulary, sections 3 and 4) as far as it has
them. Run time sees ordinary dicts; type checkers see the keys. Any value may also be
None ("known to be empty") or its key absent ("says nothing"); a list is never None.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Required, TypedDict

from moatbridge.entities.directory import Reference  # noqa: TC001 - read at run time
from moatbridge.entities.shapes import Attribute, describe

LabelText = Literal["public", "internal", "confidential", "restricted"]
"""`moatbridge.entities.Label`, spelled out so that the run-time shape can read it."""


class Audience(TypedDict, total=False):
    """Who may read a post. There is no default: the guard holds a post without one.

    ``people`` and ``groups`` need at least one ref, ``org`` and ``public`` have none.
    `moatbridge.entities.wider` is the only comparison.
    """

    kind: Required[Literal["people", "groups", "org", "public"]]
    refs: Annotated[list[Reference], Attribute(ref=("Person", "Group"), unordered=True)]


class Blob(TypedDict, total=False):
    """Bytes that lie elsewhere: never inside an entity.

    ``ref`` says where the adapter that read the attachment finds them again.
    """

    sha256: str | None
    size: int | None
    ref: str | None


class Attachment(TypedDict, total=False):
    """A file or link beside a post; ``name`` is the alternative text."""

    type: Literal["Image", "Video", "Audio", "Document", "Link"]
    mediaType: str | None
    name: Annotated[str | None, Attribute(multiline=True)]
    url: str | None
    blob: Blob
    width: int | None
    height: int | None


class Tag(TypedDict, total=False):
    """A mention (of the record ``href`` points to) or a hashtag."""

    type: Literal["Mention", "Hashtag"]
    name: str | None
    href: Annotated[Reference | None, Attribute(ref=("Person", "Group"))]


class Business(TypedDict, total=False):
    """The business record behind a post, as data beside its text.

    ``type`` is a reverse-DNS name (``com.acme.erp.order``); ``data`` holds only fields
    that a translator names, at most 16 KiB as canonical JSON.
    """

    type: str | None
    id: str | None
    version: str | None
    state: str | None
    url: str | None
    data: dict[str, Any]


class Post(TypedDict, total=False):
    """A post: ActivityStreams' Note, Article, Page or Event.

    ``content`` may only be missing where there is an ``attachment``. ``audience`` and
    ``label`` are required of a complete post; the flow fills the label from the stream.
    """

    type: Literal["Note", "Article", "Page", "Event"]
    content: Annotated[str | None, Attribute(multiline=True)]
    mediaType: Literal["text/plain", "text/markdown", "text/html"]
    name: str | None
    summary: Annotated[str | None, Attribute(multiline=True)]
    sensitive: bool | None
    language: str | None
    attributedTo: Annotated[Reference | None, Attribute(ref=("Person",))]
    inReplyTo: Annotated[Reference | None, Attribute(ref=("Post",))]
    context: str | None
    audience: Audience
    label: LabelText
    published: str | None
    updated: str | None
    startTime: str | None
    endTime: str | None
    attachment: list[Attachment]
    tag: Annotated[list[Tag], Attribute(unordered=True)]
    url: str | None
    business: Business
    extensions: dict[str, dict[str, Any]]


class Reaction(TypedDict, total=False):
    """One person's reaction to one post; ``content`` is the emoji.

    Taking it back is a ``delete`` change, not another type.
    """

    type: Literal["Like", "Dislike", "Announce", "EmojiReact"]
    actor: Required[Annotated[Reference, Attribute(ref=("Person",))]]
    object: Required[Annotated[Reference, Attribute(ref=("Post",))]]
    content: str | None
    published: str | None
    extensions: dict[str, dict[str, Any]]


class Decision(TypedDict, total=False):
    """A person's yes or no to a business record (ActivityStreams' Accept, Reject).

    Given on the platform, for example as a reply to the record's post, and written
    back to the legacy system under that person's own ``identity``. ``version`` is the
    record's version that the person saw: a system that takes an expected version
    refuses a decision about any other.
    """

    type: Required[Literal["Accept", "Reject"]]
    actor: Required[Annotated[Reference, Attribute(ref=("Person",))]]
    identity: Required[Annotated[str, Attribute(identifier=True)]]
    object: Required[Annotated[Reference, Attribute(ref=())]]
    version: str | None
    content: Annotated[str | None, Attribute(multiline=True)]
    inReplyTo: Annotated[Reference | None, Attribute(ref=("Post",))]
    published: str | None
    extensions: dict[str, dict[str, Any]]


POST: Final = describe("Post", Post)
REACTION: Final = describe("Reaction", Reaction)
DECISION: Final = describe("Decision", Decision)

"""Sizes of the guard's rules for content: posts, audiences, findings in free text."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from moatbridge.config.guard_rules import Mode  # noqa: TC001 - pydantic reads it

Action: TypeAlias = Literal["allow", "mask", "hold", "drop"]
AudienceKind: TypeAlias = Literal["people", "groups", "org", "public"]

MARKERS: Final = (
    "strictly confidential", "company confidential", "confidential", "internal only",
    "internal use only", "do not distribute", "not for distribution", "trade secret",
    "streng vertraulich", "vertraulich", "nur für den dienstgebrauch",
    "strictement confidentiel", "confidentiel", "estrictamente confidencial",
    "confidencial", "strettamente riservato", "riservato", "strikt vertrouwelijk",
    "vertrouwelijk", "ściśle poufne", "poufne", "strengt fortroligt", "fortroligt",
    "strängt förtroligt", "konfidentiellt", "ehdottoman luottamuksellinen",
    "luottamuksellinen", "gizlidir", "hizmete özel", "důvěrné", "конфиденциально",
    "секретно", "社外秘", "機密",
)  # fmt: skip
"""Words that say "not for everybody", in more than 12 languages."""

INTERNAL_HOSTS: Final = (
    "localhost", "*.local", "*.localdomain", "*.internal", "*.intern", "*.intranet",
    "*.corp", "*.lan", "*.home.arpa",
)  # fmt: skip
"""Hosts that only the company can reach, beside private addresses and bare names."""

ATTACHMENT_TYPES: Final = (
    "image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf",
    "text/plain", "video/mp4", "audio/mpeg",
)  # fmt: skip


class _Table(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")


class PostsLimit(_Table):
    """New posts in one run, and in 24 hours at one target over all flows.

    What is beyond is held, not sent. A plain number in place of the table means that
    number for both.
    """

    run: int | None = Field(default=None, ge=0, strict=True)
    day: int | None = Field(default=None, ge=0, strict=True)
    mode: Mode | None = None


class DetectorLimit(_Table):
    """What happens from ``count`` findings in one item on.

    ``action`` is ``allow`` (only the label of the item rises), ``mask``, ``hold`` or
    ``drop``. ``mode`` holds for targets inside and outside alike; without it findings
    only warn inside and are enforced outside.
    """

    count: int | None = Field(default=None, ge=1, strict=True)
    action: Action | None = None
    mode: Mode | None = None


def _form(value: Any) -> str:
    return "number" if isinstance(value, int) else "table"


Posts: TypeAlias = Annotated[
    Annotated[int, Field(ge=0, strict=True), Tag("number")]
    | Annotated[PostsLimit, Tag("table")],
    Discriminator(_form),
]


class ContentTable(_Table):
    """The rules for content, which ``[guard]`` and a flow's own table may set."""

    max_audience: AudienceKind | None = None
    posts: Posts | None = None
    credential: DetectorLimit | None = None
    card: DetectorLimit | None = None
    iban: DetectorLimit | None = None
    national_id: DetectorLimit | None = None
    email: DetectorLimit | None = None
    phone: DetectorLimit | None = None
    marker: DetectorLimit | None = None
    internal_url: DetectorLimit | None = None
    word: DetectorLimit | None = None

"""What the platform says about itself and about our account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError
from moatbridge.http import check_read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.http import HttpClient
    from moatbridge_mastodon.config import MastodonConfig

_CHARACTERS: Final = 500
_URL: Final = 23
_ATTACHMENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Instance:
    """Limits of the platform and the identity of our account.

    Source: ``GET /api/v2/instance`` (Mastodon 4.0 and later) and
    ``GET /api/v1/accounts/verify_credentials``.
    """

    domain: str
    version: str
    account: str
    acct: str
    locked: bool
    default_privacy: str
    open_registrations: bool
    max_characters: int = _CHARACTERS
    url_characters: int = _URL
    max_attachments: int = _ATTACHMENTS
    max_image: int | None = None
    max_video: int | None = None
    media_types: frozenset[str] = frozenset()

    def warnings(self, config: MastodonConfig) -> tuple[str, ...]:
        """Sentences for ``check``."""
        found = []
        if config.followers_are_org and not self.locked:
            found.append(
                "followers_are_org is on, but the account is not locked: anybody may "
                "follow it and read what is meant for the company"
            )
        if self.default_privacy in {"", "public"}:
            found.append(
                "the account's default visibility is public; every post of ours says "
                "its own, but posts by hand would not"
            )
        if self.open_registrations and config.followers_are_org:
            found.append("the instance is open to registration by anybody")
        return tuple(found)


def read_instance(client: HttpClient) -> Instance:
    """Ask the platform; proves the token.

    Raises:
        ConfigurationError: ``http.auth`` and others of `HttpClient.request`;
            ``mastodon.not-api``: something else answers there.
    """
    about = client.request("GET", "/api/v2/instance")
    check_read(about, area="mastodon")
    me = client.request("GET", "/api/v1/accounts/verify_credentials")
    check_read(me, area="mastodon")
    if not isinstance(me.mapping.get("id"), str) or not about.mapping.get("version"):
        raise ConfigurationError(
            "The answer is not a Mastodon instance and account; check base_url.",
            code="mastodon.not-api",
        )
    return _instance(about.mapping, me.mapping)


def _instance(about: Mapping[str, Any], me: Mapping[str, Any]) -> Instance:
    limits = _table(about, "configuration")
    statuses = _table(limits, "statuses")
    media = _table(limits, "media_attachments")
    kinds = media.get("supported_mime_types")
    return Instance(
        domain=str(about.get("domain", "")),
        version=str(about.get("version", "")),
        account=str(me["id"]),
        acct=str(me.get("acct", "")),
        locked=me.get("locked") is True,
        default_privacy=str(_table(me, "source").get("privacy", "")),
        open_registrations=_table(about, "registrations").get("enabled") is True,
        max_characters=_positive(statuses.get("max_characters")) or _CHARACTERS,
        url_characters=_positive(statuses.get("characters_reserved_per_url")) or _URL,
        max_attachments=_positive(statuses.get("max_media_attachments"))
        or _ATTACHMENTS,
        max_image=_positive(media.get("image_size_limit")),
        max_video=_positive(media.get("video_size_limit")),
        media_types=frozenset(map(str, kinds))
        if isinstance(kinds, list)
        else frozenset(),
    )


def _table(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _positive(value: Any) -> int | None:
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and value > 0
        else None
    )

"""Settings of a SCIM system and its streams."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from moatbridge.adapter import AdapterConfig
from moatbridge.http import HttpConfig


class ScimConfig(HttpConfig):
    """``[systems.NAME]`` with ``adapter = "scim"``.

    Args:
        page_size: Resources asked for in one page of a listing.
        bulk: ``auto`` uses RFC 7644 3.7 where the peer announces it.
        patch: ``auto`` uses PATCH where announced; else read, merge, PUT.
        members_per_patch: Members of a group that one PATCH adds or removes.
        remove: What a delete does: ``disable`` sets ``active`` to false.
        adopt: ``match`` links an existing account that has the same ``userName`` and
            no ``externalId``.
    """

    page_size: int = Field(default=200, ge=1, le=10_000)
    bulk: Literal["auto", "never"] = "auto"
    patch: Literal["auto", "never"] = "auto"
    members_per_patch: int = Field(default=100, ge=1, le=1_000)
    remove: Literal["disable", "delete"] = "disable"
    adopt: Literal["never", "match"] = "never"


class ScimStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]``.

    Args:
        resource_type: Name of the peer's resource type; by default ``User`` for
            ``people`` and ``Group`` for ``groups``.
        remove: Overrides the system's ``remove`` for this stream.
    """

    resource_type: str | None = None
    remove: Literal["disable", "delete"] | None = None


DEFAULT_TYPES = {"people": "User", "groups": "Group"}

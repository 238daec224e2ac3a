"""The scim adapter: people and groups of any SCIM 2.0 platform (RFC 7643, 7644)."""

from __future__ import annotations

from moatbridge_scim.adapter import ScimAdapter
from moatbridge_scim.config import ScimConfig, ScimStreamConfig

__all__ = ["ScimAdapter", "ScimConfig", "ScimStreamConfig"]

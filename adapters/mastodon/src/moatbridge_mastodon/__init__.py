"""moatbridge adapter: Mastodon and platforms that speak its API."""

from __future__ import annotations

from moatbridge_mastodon.adapter import MastodonAdapter
from moatbridge_mastodon.config import MastodonConfig, MastodonStreamConfig

__all__ = ["MastodonAdapter", "MastodonConfig", "MastodonStreamConfig"]

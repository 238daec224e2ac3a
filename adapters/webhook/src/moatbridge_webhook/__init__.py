"""The webhook adapter: signed events out, proved events in (Standard Webhooks)."""

from __future__ import annotations

from moatbridge_webhook.adapter import WebhookAdapter
from moatbridge_webhook.config import WebhookConfig, WebhookStreamConfig

__all__ = ["WebhookAdapter", "WebhookConfig", "WebhookStreamConfig"]

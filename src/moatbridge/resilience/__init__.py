"""What the core puts round any adapter: deadline, egress, retry, breaker, quota.

A flow borrows a `Session` from a `SessionPool` and never talks to an adapter itself.
"""

from __future__ import annotations

from moatbridge.resilience.breaker import Breaker
from moatbridge.resilience.deadline import Deadline, Watchdog
from moatbridge.resilience.net import SystemNet, standalone_net
from moatbridge.resilience.pool import SessionPool
from moatbridge.resilience.quota import MemoryQuotas, QuotaStore, SystemQuota
from moatbridge.resilience.retry import Retry, RetryBudget
from moatbridge.resilience.session import Session

__all__ = [
    "Breaker",
    "Deadline",
    "MemoryQuotas",
    "QuotaStore",
    "Retry",
    "RetryBudget",
    "Session",
    "SessionPool",
    "SystemNet",
    "SystemQuota",
    "Watchdog",
    "standalone_net",
]

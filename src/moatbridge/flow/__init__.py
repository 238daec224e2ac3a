"""Flows: read, translate, guard, stage, deliver, settle.

* `bridge`: what a slice receives; `compiling`, `route`: a flow made ready to run
* `slices`: ``run_slice``, the only thing a runner may call
* `reading`, `observe`, `adopt`: from the source to staged intents (transaction A)
* `control`, `judging`: passes, plans and their verdicts
* `delivery`, `preparing`, `references`, `outcomes`: to the target (B and C)
* `plans`: what people see of a plan
"""

from __future__ import annotations

from moatbridge.flow.bridge import Bridge
from moatbridge.flow.slices import SliceResult, run_slice

__all__ = ["Bridge", "SliceResult", "run_slice"]

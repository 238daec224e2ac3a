"""Reconcile: does the target really show what the ledger believes (delivery 54)?

* `comparing`: an entity as a few short hashes, path by path
* `expecting`: what the target should show of a source record
* `there`: the target, read once; `here`: the source, compared with it
* `looking`: everything that seemed to differ is looked at a second time
* `repairing`: what differs becomes a plan, on the ordinary road
* `report`: what people see of it

Nothing is held in memory but one batch, one bit a link and the examples; what two
streams must be joined by lies in a scratch file (`moatbridge.ledger.scratch`).
"""

from __future__ import annotations

from moatbridge.flow.reconcile.report import Divergence, Normalised, Reconciliation
from moatbridge.flow.reconcile.whole import reconcile

__all__ = ["Divergence", "Normalised", "Reconciliation", "reconcile"]

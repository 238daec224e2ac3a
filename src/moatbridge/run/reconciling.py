"""Reconciling, as products and the command line ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.flow import Bridge as FlowBridge
from moatbridge.run.principals import principal

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.flow.reconcile import Divergence, Reconciliation


class Reconciles(FlowBridge):
    """A bridge that can compare a flow's target with what was delivered there."""

    def reconcile(
        self,
        flow: str,
        *,
        repair: bool = False,
        limit: int = 20,
        actor: str | None = None,
        progress: Callable[[int, int], None] = lambda _read, _compared: None,
        each: Callable[[Divergence], None] = lambda _one: None,
    ) -> Reconciliation:
        """Find what the target does not show as the ledger believes (delivery 54).

        Reads the target and the source once, looks at every difference a second time,
        and changes nothing. With ``repair`` it stages a plan, which `apply` carries out
        like any other; nothing is ever deleted.

        Args:
            flow: Name.
            repair: Stage a plan that repairs what diverges.
            limit: How many examples of each kind the report keeps.
            actor: Who asks; None for the user of this process.
            progress: Called with (target records read, records compared) as it goes.
            each: Called with every divergence, as it is found.

        Raises:
            ConfigurationError: ``reconcile.target``: the target cannot be read back;
                ``reconcile.flow``: the flow carries decisions.
            NotApplied: A system is unreachable, or a pass was not complete
                (``reconcile.incomplete``, ``reconcile.blind``): nothing was compared.
        """
        from moatbridge.flow.reconcile import reconcile  # noqa: PLC0415 - rarely asked for

        return reconcile(
            self,
            flow,
            actor=actor or principal(),
            repair=repair,
            limit=limit,
            progress=progress,
            each=each,
        )

"""What an adapter noticed while it read or settled, taken to where people see it."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from moatbridge.errors import MoatbridgeError
from moatbridge.ledger import notices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moatbridge.flow.route import Route
    from moatbridge.ledger import Lease, Ledger
    from moatbridge.resilience.session import Session

_USES: Final = ("scan", "look")
_log = logging.getLogger(__name__)


@contextmanager
def noting(
    route: Route,
    ledger: Ledger,
    lease: Lease,
    borrowed: Mapping[str, Session],
) -> Iterator[None]:
    """Keep what the source's adapter notices meanwhile, however it ends.

    Args:
        route: The flow.
        ledger: Its ledger.
        lease: Of the partition that is read, or of control.
        borrowed: The slice's sessions by use; may grow meanwhile.
    """
    try:
        yield
    finally:
        ours = [borrowed[use] for use in _USES if use in borrowed]
        name = route.source.name
        said = [words for session in ours for words in session.notices(name)]
        new: list[str] = []
        if said:
            # A word that is lost harms nothing; the error that ends us must be seen.
            with suppress(MoatbridgeError), ledger.write() as tx:
                new = notices.keep(tx, lease, said)
        for words in new:
            _log.warning("flow %s: %s", route.name, words)

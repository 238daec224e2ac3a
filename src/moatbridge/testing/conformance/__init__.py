"""The suite that every adapter passes; adopting it takes about fifteen lines.

    class TestLdap(AdapterConformance):
        adapter = LdapAdapter
        features = frozenset({"network", "credentials", "keyed", "deletes"})

        @pytest.fixture
        def harness(self, slapd):
            return LdapHarness(slapd)

Which tests run follows from the adapter's abilities and the declared features, and
both are checked against what the adapter says of itself.
"""

from __future__ import annotations

from moatbridge.testing.conformance.base import requires
from moatbridge.testing.conformance.claiming import Claiming
from moatbridge.testing.conformance.delivering import Delivering
from moatbridge.testing.conformance.following import Following
from moatbridge.testing.conformance.hanging import Hanging
from moatbridge.testing.conformance.lifecycle import Lifecycle
from moatbridge.testing.conformance.moving import Moving
from moatbridge.testing.conformance.paging import Paging
from moatbridge.testing.conformance.reading import Fetching, Scanning
from moatbridge.testing.conformance.receiving import Receiving
from moatbridge.testing.conformance.reconnecting import Reconnecting
from moatbridge.testing.conformance.safety import Safety
from moatbridge.testing.conformance.texts import AnyText
from moatbridge.testing.conformance.translating import Translating
from moatbridge.testing.conformance.writing import Writing

__all__ = ["AdapterConformance", "requires"]


class AdapterConformance(
    Lifecycle, Scanning, Paging, Moving, Fetching, Following, Writing, AnyText,
    Claiming, Delivering, Safety, Reconnecting, Hanging, Receiving, Translating,
):  # fmt: skip
    """Subclass it, name the adapter and its features, give the fixture ``harness``."""

"""Open, close, identity, and what the adapter says about its streams."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import CanWrite, Stream
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.patience import patiently
from moatbridge.testing.watching import watching

if TYPE_CHECKING:
    from moatbridge.testing.stage import Stage


class Lifecycle(ConformanceBase):
    """Constructing, opening, closing, describing."""

    def test_constructing_does_no_io(self, stage: Stage) -> None:
        """A constructor keeps its configuration and dials nobody."""
        probe = stage.make()
        with watching(probe.net) as watch:
            stage.make()
        assert watch.dialled == []
        assert watch.by_driver == 0

    def test_the_harness_makes_the_adapter_under_test(self, stage: Stage) -> None:
        """Or all the rest would be about something else."""
        assert isinstance(stage.make(), self.adapter)

    def test_close_is_idempotent_and_allowed_before_open(self, stage: Stage) -> None:
        """Closing twice, or before opening, is not an error."""
        never_opened = stage.make()
        never_opened.close()
        never_opened.close()
        opened = stage.open()
        opened.close()
        opened.close()

    def test_abort_never_raises(self, stage: Stage) -> None:
        """Before open, while open and after close."""

        def aborted() -> None:
            adapter = stage.make()
            adapter.abort()
            adapter.open()
            adapter.abort()
            adapter.close()
            adapter.abort()

        patiently(aborted)

    def test_server_identity_is_stable(self, stage: Stage) -> None:
        """Two connections to one server name the same data."""
        found = [stage.open().probe().server for _ in range(2)]
        assert found[0]
        assert isinstance(found[0], str)
        assert found[0] == found[1]

    def test_opens_after_a_failure_elsewhere(self, stage: Stage) -> None:
        """Several instances live side by side, and closing one leaves the others."""
        first, second = stage.open(), stage.open()
        first.close()
        assert stage.stream(second).name == stage.name
        assert second.probe().server

    @requires("credentials")
    def test_bad_credentials_are_a_configuration_error(self, stage: Stage) -> None:
        """A wrong password is for a person to mend, never retried."""
        with pytest.raises(ConfigurationError):
            stage.open(credentials="bad")

    @requires("network")
    def test_unreachable_server_is_not_applied(self, stage: Stage) -> None:
        """A port where nobody listens: certainly nothing happened."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(NotApplied):
                stage.bare(endpoint=unused.getsockname()[:2])

    def test_declares_what_it_dials(self, stage: Stage) -> None:
        """``endpoints`` is the egress list, and the feature ``network`` is true."""
        adapter = stage.make()
        found = type(adapter).endpoints(adapter.config)
        assert bool(found) == ("network" in self.features), (
            f"endpoints() names {len(found)}; declare the feature 'network' accordingly"
        )
        assert all(isinstance(h, str) and 0 < p < 65536 for h, p in found)

    def test_streams_are_well_formed(self, stage: Stage) -> None:
        """Unique names, unique fields, a key made of fields, true abilities."""
        streams = stage.open().streams()
        assert len({stream.name for stream in streams}) == len(streams)
        for stream in streams:
            names = [field.name for field in stream.fields]
            assert len(set(names)) == len(names), "field names are unique"
            assert set(stream.key) <= set(names), "the key is made of fields"
            assert stream.abilities <= self.adapter.abilities, "no more than the class"

    def test_abilities_and_features_are_true(self, stage: Stage) -> None:
        """What the test class declares is what stream, probe and traits say."""
        adapter = stage.open()
        stream = stage.stream(adapter)
        really = adapter.probe().abilities.get(stage.name, stream.abilities)
        assert really == self.adapter.abilities - self.lacks - {"CanDiscover"} or (
            really == self.adapter.abilities - self.lacks
        ), f"the stream has {sorted(really)}; declare the others in 'lacks'"
        told = _told(adapter, stream)
        told["translator"] = bool(stage.translators(stream))
        mine = {name for name in told if name in self.features}
        assert mine == {name for name, is_so in told.items() if is_so}

    @requires(CanWrite)
    def test_traits_are_sane(self, stage: Stage) -> None:
        """Limits are positive, and a key lives longer than a request."""
        traits = stage.open().traits(stage.name)
        assert traits.max_batch >= 1
        assert traits.max_request_life > 0
        if traits.dedup == "keyed" and traits.key_ttl is not None:
            assert traits.key_ttl > traits.max_request_life


def _told(adapter: Any, stream: Stream) -> dict[str, bool]:
    told = {"deletes": stream.sees_deletes}
    if isinstance(adapter, CanWrite) and "CanWrite" in stream.abilities:
        traits = adapter.traits(stream.name)
        told["keyed"] = traits.dedup == "keyed"
        told["conditional"] = traits.conditional
    return told

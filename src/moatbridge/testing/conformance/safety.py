"""What must never be seen: secrets, personal values, strange connections, naps."""

from __future__ import annotations

import pickle  # noqa: TID251 - our own errors, there and back within one test
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import (
    CanFetch,
    CanFollow,
    CanReceive,
    CanScan,
    CanWrite,
    Request,
)
from moatbridge.errors import MoatbridgeError
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.patience import patiently
from moatbridge.testing.stage import intent
from moatbridge.testing.watching import overhearing, watching

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.changes import Data
    from moatbridge.testing.stage import Stage
    from moatbridge.testing.watching import Overheard, Watch

SHOWN = (
    "a secret or a personal value is shown where this says: name fields, places and "
    "codes in texts, never values; settings that are secrets have the type Secret, and "
    "what a driver says stays in `raise ... from None`"
)

SHORTEST = 8
"""Shorter values may stand in any text by chance."""


class Safety(ConformanceBase):
    """Canaries, connections, sleep, errors."""

    def test_nothing_secret_or_personal_is_shown(self, stage: Stage) -> None:
        """Not in a log, a repr, a receipt or an error."""
        records = stage.harness.sample(4)
        canaries = [*stage.harness.canaries, *_texts(records)]
        stage.harness.seed(records[2:])
        with overhearing() as ear:
            closed = stage.make()
            ear.show(closed, closed.config, vars(closed))
            adapter = stage.open()
            ear.show(adapter, adapter.probe(), adapter.streams(), vars(adapter.real))
            _work(stage, adapter, records, ear)
            ear.show(tuple(adapter.notices()))
            adapter.close()
        assert ear.leaks(canaries) == [], SHOWN

    @requires("credentials")
    def test_a_refused_secret_is_not_shown(self, stage: Stage) -> None:
        """Not in the error and not in a log."""
        with overhearing() as ear:
            with pytest.raises(MoatbridgeError) as caught:
                stage.open(credentials="bad")
            ear.show(caught.value, caught.value.details)
        assert ear.leaks(stage.harness.canaries) == [], SHOWN

    def test_never_sleeps(self, stage: Stage) -> None:
        """Waiting is the core's business."""
        stage.seed(3)
        assert patiently(lambda: _visited(stage)).slept == [], (
            "the adapter or its driver sleeps: raise NotApplied(retry_after=SECONDS) "
            "instead; the core waits, and asks again"
        )

    def test_dials_only_through_net(self, stage: Stage) -> None:
        """No connection but those that ``net`` made or permitted, all watched."""
        stage.seed(3)
        watch = patiently(lambda: _visited(stage))
        assert watch.dialled == [], (
            "connections went round the core: dial with net.connect (JsonApi, "
            "HttpClient and LineClient do), or ask net.resolve for the address"
        )
        assert watch.unwatched == 0, (
            "a socket that a driver opened is not known to the core, which could not "
            "end it at the deadline: give it to net.watch"
        )

    def test_errors_can_be_pickled(self, stage: Stage) -> None:
        """They travel between processes with code and place."""
        adapter = stage.open()
        with pytest.raises(MoatbridgeError) as caught:
            _unknown_stream(adapter)  # a stream that is not there is a typed error
        copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - see above
        assert type(copy) is type(caught.value)
        assert (copy.code, str(copy)) == (caught.value.code, str(caught.value))
        assert caught.value.code.count(".") >= 1, "codes are area.what"

    @requires(CanWrite)
    def test_hidden_secrets_of_an_intent_are_not_shown(self, stage: Stage) -> None:
        """A password to set is sent, perhaps, and shown nowhere."""
        canary = "Canary-9f31-never-shown"
        record = stage.harness.sample(1)[0]
        ref = stage.harness.target(record)
        asked = intent("create", ref, record, secrets={"password": canary})
        with overhearing() as ear:
            adapter = stage.open()
            try:
                ear.show(stage.write(adapter, [asked]))
            except MoatbridgeError as error:
                ear.show(error, error.details)
            ear.show(asked, adapter)
        assert ear.leaks([canary]) == [], SHOWN


def _visited(stage: Stage) -> Watch:
    """Open, describe, read once, close; what was seen meanwhile."""
    adapter = stage.make()
    with watching(adapter.net) as watch:
        adapter.open()
        adapter.probe()
        adapter.streams()
        if stage.can(adapter, CanScan):
            stage.everything(adapter)
        if stage.can(adapter, CanFollow):
            list(adapter.changes(stage.name, None))
        watch.look()
        adapter.close()
    return watch


def _work(stage: Stage, adapter: Any, records: Any, ear: Overheard) -> None:
    """A bit of everything that could talk."""
    if stage.can(adapter, CanScan):
        batches = stage.scan(adapter, stage.one(adapter))
        ear.show(batches, [batch.changes for batch in batches])
    if stage.can(adapter, CanFollow):
        start = list(adapter.changes(stage.name, None))[-1].cursor
        stage.harness.seed([records[1]])
        batches = list(adapter.changes(stage.name, start))
        ear.show(batches, [batch.changes for batch in batches])
    if stage.can(adapter, CanFetch) and stage.can(adapter, CanScan):
        refs = [change.ref for change in stage.everything(adapter)]
        ear.show(refs, adapter.fetch(stage.name, refs))
    if stage.can(adapter, CanWrite):
        record = records[0]
        broken = {**record, **stage.harness.broken()}
        for data in (record, broken, {name: [record] for name in record}):
            _shown_write(stage, adapter, data, record, ear)
    try:
        _unknown_stream(adapter)
    except MoatbridgeError as error:
        ear.show(error, error.details)


def _shown_write(
    stage: Stage, adapter: Any, data: Data, like: Data, ear: Overheard
) -> None:
    try:
        ear.show(*stage.write(adapter, stage.creates([data], like=like)))
    except MoatbridgeError as error:
        ear.show(error, error.details)


def _unknown_stream(adapter: Any) -> None:
    if isinstance(adapter, CanScan):
        list(
            adapter.scan("no-such-stream", adapter.split("no-such-stream", 1)[0], None)
        )
    elif isinstance(adapter, CanFollow):
        list(adapter.changes("no-such-stream", None))
    elif isinstance(adapter, CanWrite):
        adapter.write("no-such-stream", [intent("delete", None, None)])
    elif isinstance(adapter, CanReceive):
        adapter.receive(Request("POST", "", "", {}, b"", 0.0))  # nor any proof


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= SHORTEST:
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)

"""The scene of one conformance test: an emptied stream, and adapters to close."""

from __future__ import annotations

import base64
import contextlib
import os
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from moatbridge.adapter import CanScan, Partition
from moatbridge.changes import Intent
from moatbridge.errors import MoatbridgeError
from moatbridge.testing.network import RecordingNet, net
from moatbridge.testing.patience import Patient
from moatbridge.translate import Translator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter import Ability, Stream
    from moatbridge.changes import Batch, Change, Data, Op, Receipt, Ref
    from moatbridge.testing.harness import Harness

MANY = 12
"""Records that a test of paging creates; the harness sets a page of about 5."""


class Stage:
    """Makes adapters for one test and clears up after it.

    ``adapter`` is typed Any throughout: which abilities it has decides which tests run.
    """

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.name: str = harness.stream
        self._made: list[tuple[Any, RecordingNet]] = []
        self.clear()

    def make(self, **more: Any) -> Any:
        """An adapter that is not open, with a net that remembers."""
        adapter: Any = self.harness.make(**more)
        usual = net(type(adapter).endpoints(adapter.config))
        adapter.net = RecordingNet(getattr(adapter, "net", usual))
        self._made.append((adapter, adapter.net))
        return adapter

    def open(self, **more: Any) -> Any:
        """An open adapter, asked again where the system is busy."""
        return Patient(lambda: self.bare(**more))

    def bare(self, **more: Any) -> Any:
        """An open adapter as it is, for checks that are about its errors."""
        adapter = self.make(**more)
        adapter.open()
        return adapter

    def paged(self, size: int) -> Any:
        """An open adapter with another ``page_size``; None where it has no such.

        The setting of the stream counts where both have it.
        """
        adapter = self.make()
        config, streams = adapter.config, dict(adapter.stream_configs)
        mine: Any = streams.get(self.name)
        if "page_size" in getattr(type(mine), "model_fields", ()):
            streams[self.name] = mine.model_copy(update={"page_size": size})
        elif "page_size" in type(config).model_fields:
            config = config.model_copy(update={"page_size": size})
        else:
            return None

        def opened() -> Any:
            made = type(adapter)(config, streams)
            made.net = adapter.net
            self._made.append((made, adapter.net))
            made.open()
            return made

        return Patient(opened)

    def takes_pages_of(self, size: int) -> bool:
        """Whether the configuration of system or stream accepts that ``page_size``."""
        adapter = self.make()
        for model in (adapter.config, adapter.stream_configs.get(self.name)):
            if "page_size" in getattr(type(model), "model_fields", ()):
                try:
                    type(model).model_validate({**dict(model), "page_size": size})
                except (ValidationError, MoatbridgeError):
                    continue
                return True
        return False

    def clear(self) -> None:
        """Empty the stream."""
        self.harness.remove(self.present())

    def end(self) -> None:
        """Close every adapter, then empty the stream."""
        for adapter, its_net in self._made:
            with contextlib.suppress(Exception):  # a test of its own judges close()
                adapter.close()
            its_net.forget()
        self.clear()

    def seed(self, count: int) -> list[Data]:
        """Create fresh records at the server, round the adapter."""
        records = self.harness.sample(count)
        self.harness.seed(records)
        return records

    def value(self, data: Data) -> str:
        """The text that identifies a record in this suite."""
        found = data[self.harness.unique]
        return str(found[0] if isinstance(found, list) else found)

    def values(self, records: Sequence[Data]) -> list[str]:
        """The identifying texts, sorted."""
        return sorted(map(self.value, records))

    def present(self) -> list[str]:
        """The identifying texts of what is really at the server, sorted."""
        return self.values(self.harness.read_all())

    def stream(self, adapter: Any) -> Stream:
        """The description of the stream under test."""
        for stream in adapter.streams():
            if stream.name == self.name:
                found: Stream = stream
                return found
        raise AssertionError(f"streams() does not list {self.name!r}")

    def translators(self, stream: Stream) -> list[Translator]:
        """What the stream suggests, and what the harness adds."""
        found = list(self.harness.translators)
        if stream.suggested and stream.entity:
            found.append(Translator(stream.entity, stream.suggested))
        return found

    def can(self, adapter: Any, ability: type[Ability]) -> bool:
        """Whether the stream under test has the ability; its neighbours may not."""
        if not isinstance(adapter, ability):
            return False
        return ability.__name__ in self.stream(adapter).abilities

    def scan(
        self, adapter: Any, partition: Partition | None = None, after: Any = None
    ) -> list[Batch]:
        """All batches of a scan."""
        return list(adapter.scan(self.name, partition or Partition(), after))

    def one(self, adapter: Any) -> Partition:
        """The whole stream as a single partition."""
        parts = adapter.split(self.name, 1)
        assert len(parts) == 1, "split(wanted=1) returns one partition"
        found: Partition = parts[0]
        return found

    def everything(self, adapter: Any) -> list[Change]:
        """Every change of a whole scan in one partition."""
        return changes_of(self.scan(adapter, self.one(adapter)))

    def current(self, adapter: Any, value: str) -> Data:
        """One record as it is now: through a scan, or else directly."""
        if self.can(adapter, CanScan):
            rows = [change.data or {} for change in self.everything(adapter)]
        else:
            rows = list(self.harness.read_all())
        found = [row for row in rows if self.value(row) == value]
        assert len(found) == 1, f"{len(found)} records instead of one"
        return found[0]

    def ref(self, adapter: Any, value: str) -> Ref:
        """The ref of a seeded record, as a scan tells it."""
        refs = [
            change.ref
            for change in self.everything(adapter)
            if self.value(change.data or {}) == value
        ]
        assert len(refs) == 1, f"{len(refs)} records instead of one"
        return refs[0]

    def write(self, adapter: Any, intents: Sequence[Intent]) -> list[Receipt]:
        """Write in calls of at most ``max_batch``; checks the length of each answer."""
        size = adapter.traits(self.name).max_batch
        receipts: list[Receipt] = []
        for start in range(0, len(intents), size):
            call = intents[start : start + size]
            answer = adapter.write(self.name, call)
            assert len(answer) == len(call), "one receipt per intent"
            receipts += answer
        return receipts

    def creates(
        self, records: Sequence[Data], *, like: Data | None = None
    ) -> list[Intent]:
        """Intents that create these records.

        Where records are nonsense on purpose, ``like`` is one that makes sense: it is
        what the harness is asked for the target of.
        """
        asked = [record if like is None else like for record in records]
        return [
            intent("create", self.harness.target(known), record)
            for known, record in zip(asked, records, strict=True)
        ]

    def create(self, adapter: Any, record: Data) -> Ref:
        """Create one record through the adapter and return its ref."""
        receipt = self.write(adapter, self.creates([record]))[0]
        assert receipt.outcome == "applied", receipt
        assert receipt.ref is not None, "an applied create names its record"
        return receipt.ref


def intent(op: Op, ref: Ref | None, record: Data | None, **more: Any) -> Intent:
    """An intent with a fresh key; owns the record's fields unless told otherwise."""
    key = base64.b32encode(os.urandom(17)).decode().lower()[:26]
    more.setdefault("owned", tuple(record or ()))
    return Intent(key, op, ref, record, **more)


def changes_of(batches: Sequence[Batch]) -> list[Change]:
    """The changes of several batches, in order."""
    return [change for batch in batches for change in batch.changes]


def same(one: Any, other: Any) -> bool:
    """Equal, where the order of a list means nothing."""
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return bool(one == other)


@contextlib.contextmanager
def staged(harness: Harness) -> Iterator[Stage]:
    """A stage that is cleared afterwards, whatever happened."""
    stage = Stage(harness)
    try:
        yield stage
    finally:
        stage.end()

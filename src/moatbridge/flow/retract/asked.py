"""What a person asked to take back: of which run, since when, and which records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge.changes import Ref

if TYPE_CHECKING:
    from moatbridge.ledger import runs


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked to take back.

    Args:
        of: The run.
        since: Only what was sent at or after this POSIX time.
        said: ``since`` as it was typed.
        refs: Keys, names or digests of source records; empty: all.
    """

    of: int
    since: float | None = None
    said: str = ""
    refs: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """All of the run: only then what it has not sent is called off."""
        return self.since is None and not self.refs

    def to_json(self) -> dict[str, Any]:
        """For the run's row."""
        return {"of": self.of, "since": self.since, "said": self.said,
                "refs": list(self.refs)}  # fmt: skip

    @classmethod
    def of_run(cls, run: runs.Run) -> Asked:
        """What the retract in this row was asked to do."""
        held = run.verdict["retract"]
        return cls(held["of"], held["since"], held["said"], tuple(held["refs"]))

    def wants(self, ref: str) -> bool:
        """Whether this record is meant: JSON of its key and name."""
        return not self.refs or not called(ref).isdisjoint(self.refs)


def called(ref: str) -> set[str | None]:
    """By what a person may call a record: JSON of its key and name."""
    key, name = json.loads(ref)
    names = {key, name, Ref.from_key(key).digest}
    return names.union(json.loads(key)) if key[:1] == "[" else names

"""Writing: intents become operations, operations travel in windows, answers receipts.

Up to 32 requests are in flight. A server may run them in any order (RFC 4511 3.1), so
two intents on one entry, or on an entry and one above it, never share a window. What
was handed to the socket and not answered is *unknown*; everything else is certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.changes import Receipt
from moatbridge.errors import ConfigurationError, MoatbridgeError
from moatbridge_ldap import dn as names
from moatbridge_ldap import modify
from moatbridge_ldap.fetch import collect
from moatbridge_ldap.outcome import judge, post_read
from moatbridge_ldap.plan import Planner, Task
from moatbridge_ldap.wire import filters
from moatbridge_ldap.wire.errors import (
    ENTRY_EXISTS,
    NO_SUCH_ATTRIBUTE,
    REFERRAL,
    RIGHTS,
    SUCCESS,
    VALUE_EXISTS,
)
from moatbridge_ldap.wire.messages import Names
from moatbridge_ldap.wire.port import (
    BASE,
    AddEntry,
    Done,
    RenameEntry,
    SearchRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.changes import Intent
    from moatbridge_ldap.directory import Directory
    from moatbridge_ldap.fetch import Fetcher
    from moatbridge_ldap.shape import Shape
    from moatbridge_ldap.wire.port import Answer, Operation, Port

WINDOW: Final = 32
RIGHTS_IN_A_ROW: Final = 20
_EXISTING: Final = frozenset({NO_SUCH_ATTRIBUTE, VALUE_EXISTS})


class Writer:
    """Writes to one stream."""

    def __init__(
        self, port: Port, directory: Directory, shape: Shape, fetcher: Fetcher
    ) -> None:
        self._port = port
        self._shape = shape
        wanted = (shape.id_name, shape.version_name)
        self._returned = Names(name for name in wanted if name)
        self._planner = Planner(directory, shape, fetcher, secure=port.secure)

    def write(self, intents: Sequence[Intent]) -> list[Receipt]:
        """One receipt per intent, in order.

        Raises:
            ConfigurationError: ``ldap.rights``, ``ldap.wrong-server``: nothing was
                written, and nothing will be until a person acts.
            NotApplied: The look-ups before the first write failed.
        """
        tasks = [Task(intent) for intent in intents]
        self._planner.plan(tasks)
        self._run(tasks)
        self._again([task for task in tasks if task.receipt is None])
        self._read_back(tasks)
        return [task.receipt or Receipt("unknown", code="ldap.lost") for task in tasks]

    def _run(self, tasks: list[Task]) -> None:
        while waiting := [task for task in tasks if task.todo]:
            for window in list(windows(waiting)):
                self._send([task for task in window if task.todo], tasks)

    def _send(self, window: list[Task], tasks: list[Task]) -> None:
        answers = self._port.send([task.todo[0] for task in window])
        for task, answer in zip(window, answers, strict=True):
            self._settle(task, answer)
        self._stop_if_hopeless(tasks, answers)

    def _settle(self, task: Task, answer: Answer) -> None:
        operation = task.todo.pop(0)
        if isinstance(answer, Done) and answer.code == SUCCESS:
            self._took_effect(task, operation, answer)
            return
        adopted = task.intent.op == "create" and not isinstance(operation, AddEntry)
        outcome, code, wait = judge(answer, "update" if adopted else task.intent.op)
        retryable = isinstance(answer, Done) and self._may_repeat(task, answer.code)
        if retryable:
            task.todo.clear()
            return
        if task.empties and code == "ldap.data":
            code = "ldap.empty-group"  # set the stream's empty_group_member
        if outcome == "not_applied" and task.touched:
            outcome = "unknown"
        task.end(outcome, code, wait)

    def _took_effect(self, task: Task, operation: Operation, done: Done) -> None:
        task.touched = True
        if isinstance(operation, RenameEntry):
            task.dn = modify.after_rename(task.dn, operation)
        entry = post_read(done, self._returned)
        if entry is not None:
            task.ref = self._shape.ref(entry) or task.ref
            task.version = self._shape.version(entry)
        if not task.todo:
            task.applied()

    def _may_repeat(self, task: Task, code: int) -> bool:
        """Whether to look at the server's state and plan once more."""
        if task.repeated:
            return False
        if task.intent.op == "create" and task.entry is None:
            return code == ENTRY_EXISTS and self._shape.config.external_id is not None
        return code in _EXISTING and task.intent.before_version is None

    def _again(self, unsettled: list[Task]) -> None:
        try:
            self._planner.plan_again(unsettled)
        except MoatbridgeError:
            for task in unsettled:
                task.end("unknown" if task.touched else "not_applied", "ldap.lost")
        self._run(unsettled)

    def _stop_if_hopeless(self, tasks: list[Task], answers: list[Answer]) -> None:
        codes = {answer.code for answer in answers if isinstance(answer, Done)}
        touched = any(
            t.touched or (t.receipt is not None and t.receipt.outcome == "unknown")
            for t in tasks
        )
        if REFERRAL in codes:
            for task in tasks:
                if task.todo or task.receipt is None:
                    outcome = "unknown" if task.touched else "not_applied"
                    task.end(outcome, "ldap.wrong-server")
        if touched or len(codes) != 1 or any(not isinstance(a, Done) for a in answers):
            return
        if codes == {REFERRAL}:
            raise ConfigurationError(
                f"{self._port.server} is read-only (referral). Configure the server "
                "that takes writes.",
                code="ldap.wrong-server",
            )
        if codes == {RIGHTS} and len(answers) >= RIGHTS_IN_A_ROW:
            raise ConfigurationError(
                f"{self._port.server} refuses every write to stream "
                f"{self._shape.stream}: the account lacks the rights.",
                code="ldap.rights",
            )

    def _read_back(self, tasks: list[Task]) -> None:
        """Ids and versions where the server could not return them with the write."""
        blank = [
            task
            for task in tasks
            if task.receipt is not None
            and task.receipt.outcome == "applied"
            and task.intent.op != "delete"
            and (task.ref is None or (self._shape.version_name and not task.version))
        ]
        if not blank:
            return
        wanted = [n for n in (self._shape.id_name, self._shape.version_name) if n]
        requests = [
            SearchRequest(task.dn, filters.EVERYTHING, wanted, BASE) for task in blank
        ]
        try:
            answers = collect(self._port, requests, 1)
        except MoatbridgeError:
            return  # the writes have happened; only what they left is not known
        for task, entries in zip(blank, answers, strict=True):
            if entries:
                task.ref = self._shape.ref(entries[0])
                task.version = self._shape.version(entries[0])
                task.end("applied")


def windows(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Cut into windows whose operations may run in any order; order is kept."""
    window: list[Task] = []
    taken: set[names.Dn] = set()
    above: set[names.Dn] = set()
    places = _Places()
    for task in tasks:
        spots, uppers = places.of(task.todo[0])
        clash = (
            not taken.isdisjoint(spots)
            or not above.isdisjoint(spots)
            or not taken.isdisjoint(uppers)
        )
        if window and (clash or not spots or len(window) == WINDOW):
            yield window
            window, taken, above = [], set(), set()
        window.append(task)
        taken.update(spots)
        above |= uppers
        if not spots:  # nobody knows where that is: it travels alone
            yield window
            window = []
    if window:
        yield window


class _Places:
    """Where operations take effect. What lies above is mostly the same: read once."""

    def __init__(self) -> None:
        self._above: dict[str, tuple[names.Dn, frozenset[names.Dn]]] = {}

    def of(self, operation: Operation) -> tuple[list[names.Dn], frozenset[names.Dn]]:
        """Normalised DNs, and all that are above them; none if one cannot be read."""
        try:
            read = [self._read(dn) for dn in _places(operation)]
        except ConfigurationError:
            return [], frozenset()
        if len(read) == 1:
            return [read[0][0]], read[0][1]
        return [spot for spot, _ in read], read[0][1] | read[1][1]

    def _read(self, dn: str) -> tuple[names.Dn, frozenset[names.Dn]]:
        if not dn:
            return (), frozenset()
        rdn, rest = names.cut(dn)
        if rest not in self._above:
            upper = names.normal(rest)
            parts = frozenset(upper[at:] for at in range(len(upper)))
            self._above[rest] = upper, parts
        upper, parts = self._above[rest]
        return (names.normal_rdn(rdn), *upper), parts


def _places(operation: Operation) -> list[str]:
    if isinstance(operation, RenameEntry):
        return [operation.dn, modify.after_rename(operation.dn, operation)]
    return [operation.dn]

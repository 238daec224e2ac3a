"""Planning: what each intent needs, from the entry as it is. Searches, never writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from moatbridge.changes import Receipt, Ref
from moatbridge.errors import ConfigurationError
from moatbridge_ldap import dn as names
from moatbridge_ldap import modify
from moatbridge_ldap.directory import ASSERTION, POST_READ
from moatbridge_ldap.shape import BadValue
from moatbridge_ldap.wire import filters
from moatbridge_ldap.wire.ber import octets, sequence
from moatbridge_ldap.wire.port import (
    Control,
    DeleteEntry,
    Entry,
    ModifyEntry,
    RenameEntry,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Intent
    from moatbridge_ldap.directory import Directory
    from moatbridge_ldap.fetch import Fetcher
    from moatbridge_ldap.modify import Raw
    from moatbridge_ldap.shape import Shape
    from moatbridge_ldap.wire.port import Operation


@dataclass(slots=True)
class Task:
    """One intent on its way.

    Args:
        intent: What to do.
        todo: Operations still to be sent, one after the other.
        dn: Where the entry is now.
        ref: Its identity, once known.
        version: Its version, once known.
        entry: The entry as it is at the server, where it was read.
        touched: An operation of this intent has taken effect.
        empties: A group would be left without members.
        repeated: Already planned anew from the server's state.
        receipt: The result, once there is one.
    """

    intent: Intent
    todo: list[Operation] = field(default_factory=list)
    dn: str = ""
    ref: Ref | None = None
    version: str | None = None
    entry: Entry | None = None
    touched: bool = False
    empties: bool = False
    repeated: bool = False
    receipt: Receipt | None = None

    def end(self, outcome: str, code: str = "", wait: float | None = None) -> None:
        """Settle the intent."""
        self.todo.clear()
        self.receipt = Receipt(
            outcome, self.ref or self.intent.ref, self.version,  # type: ignore[arg-type]
            code=code, retry_after=wait,
        )  # fmt: skip

    def applied(self) -> None:
        """Settle it as done; the ref carries the entry's present name."""
        if self.ref is not None:
            self.ref = Ref(self.ref.id, self.dn)
        self.end("applied")


class Planner:
    """Plans writes to one stream.

    Args:
        directory: What the server offers.
        shape: Of the stream.
        fetcher: Finds entries.
        secure: Whether the session is protected; passwords need that.
    """

    def __init__(
        self, directory: Directory, shape: Shape, fetcher: Fetcher, *, secure: bool
    ) -> None:
        self._shape = shape
        self._fetcher = fetcher
        self._in_clear = frozenset() if secure else shape.passwords
        self._asserts = directory.supports(ASSERTION) and shape.version_name is not None
        self._reading = self._read_controls(directory)

    def plan(self, tasks: list[Task]) -> None:
        """Give every task its operations, or its receipt."""
        for task in tasks:
            self._refuse(task)
        self._look_up([task for task in tasks if task.receipt is None])
        for task in tasks:
            if task.receipt is None:
                self._plan(task)

    def plan_again(self, tasks: list[Task]) -> None:
        """Plan once more, from the server's state.

        For creates that met an entry (ours, by our key: an update; else a conflict),
        and for deltas that were partly there already.
        """
        for task in tasks:
            task.repeated = True
        creates = [t for t in tasks if t.intent.op == "create" and not t.entry]
        self._adopt(creates)
        self._locate([t for t in tasks if t not in creates], self._shape.attributes)
        for task in tasks:
            if task in creates and task.entry is None:
                task.end("rejected", "ldap.conflict")
            elif task.receipt is None:
                self._plan(task)

    def _refuse(self, task: Task) -> None:
        """Settle what must not be tried."""
        intent, config = task.intent, self._shape.config
        if intent.secrets:
            task.end("rejected", "ldap.secrets-unsupported")
        elif self._in_clear and _sets_one(intent, self._in_clear):
            task.end("rejected", "ldap.cleartext-password")
        elif intent.op == "delete" and config.remove == "refuse":
            task.end("rejected", "ldap.remove-refused")
        elif intent.op == "create" and config.create is None:
            task.end("rejected", "ldap.create-unset")

    def _look_up(self, tasks: list[Task]) -> None:
        """Find where the entries are now; read them where no image came along."""
        known = [t for t in tasks if t.intent.op != "create"]
        refs = [task.intent.ref or Ref("") for task in known]
        for task, ref in zip(known, self._fetcher.identified(refs), strict=True):
            task.ref = ref
        bare = [task for task in known if not self._needs_image(task)]
        full = [task for task in known if self._needs_image(task)]
        ids = (self._shape.id_name,)
        for group, attributes in ((bare, ids), (full, self._shape.attributes)):
            self._locate(group, attributes)
        self._adopt([t for t in tasks if t.intent.op == "create" and _again(t.intent)])

    def _needs_image(self, task: Task) -> bool:
        intent = task.intent
        return intent.op == "update" and (intent.before is None or _again(intent))

    def _locate(self, tasks: list[Task], attributes: Sequence[str]) -> None:
        ids = [str(task.ref.id) for task in tasks if task.ref and task.ref.id]
        found: dict[str, Entry] = {}
        for entry in self._fetcher.entries(list(dict.fromkeys(ids)), attributes):
            ref = self._shape.ref(entry)
            if ref is not None:
                found[str(ref.id)] = entry
        for task in tasks:
            task.entry = found.get(str(task.ref.id)) if task.ref else None
            if task.entry is not None:
                task.dn = task.entry.dn

    def _adopt(self, tasks: list[Task]) -> None:
        """Creates whose entry is there already, known by our key, become updates.

        The server finds keys by its own rules (often without regard to case); an entry
        is ours only if its key is ours byte for byte.
        """
        keys: dict[bytes, Task] = {}
        for task in tasks:
            key = self._key(task)
            if key:
                keys[key] = task
        name = self._shape.config.external_id
        column = self._shape.column(name) if name else None
        if column is None or not keys:
            return
        for entry in self._fetcher.having(column.name, list(keys)):
            if not self._shape.holds(entry.dn):
                continue
            for value in entry.attributes.get(column.name, ()):
                owner = keys.get(value)
                if owner is not None:
                    self._own(owner, entry)

    def _own(self, task: Task, entry: Entry) -> None:
        if task.entry is not None:  # two entries carry our key: a person must look
            task.end("rejected", "ldap.conflict")
            return
        task.entry, task.dn = entry, entry.dn
        task.ref = self._shape.ref(entry)

    def _key(self, task: Task) -> bytes | None:
        name = self._shape.config.external_id
        if name is None:
            return None
        try:
            raw = modify.encoded(self._shape, task.intent.record or {}, ())
        except BadValue:
            return None
        found = next((raw[n] for n in raw if n.lower() == name.lower()), [])
        return found[0] if len(found) == 1 else None

    def _plan(self, task: Task) -> None:
        try:
            if task.intent.op == "delete":
                self._plan_delete(task)
            elif task.intent.op == "create" and task.entry is None:
                self._plan_create(task)
            else:
                self._plan_update(task)
        except BadValue:
            task.end("rejected", "ldap.data")
        except ConfigurationError:
            task.end("rejected", "ldap.data")

    def _plan_create(self, task: Task) -> None:
        intent, shape = task.intent, self._shape
        wanted = modify.encoded(shape, intent.record or {}, ())
        task.empties = modify.empties(shape, wanted)
        add = modify.new_entry(shape, wanted, self._reading)
        task.dn = add.dn
        task.todo = [add]

    def _plan_delete(self, task: Task) -> None:
        if task.entry is None:
            task.end("applied")
            return
        config = self._shape.config
        guards = self._assertion(task.intent)
        if config.remove == "delete":
            task.todo = [DeleteEntry(task.dn, guards)]
            return
        above = config.move_to or ""
        current = names.parse(task.dn)
        if names.normal(current[1:]) == names.normal(above):
            task.applied()
            return
        rdn = names.build(current[:1])
        task.todo = [RenameEntry(task.dn, rdn, above, guards)]

    def _plan_update(self, task: Task) -> None:
        if task.entry is None:
            task.end("rejected", "ldap.gone")
            return
        intent, shape = task.intent, self._shape
        wanted = modify.encoded(shape, intent.record or {}, intent.owned)
        task.empties = modify.empties(shape, wanted)
        old = self._image(task, wanted)
        guards = self._assertion(intent)
        todo: list[Operation] = []
        renamed = modify.rename(shape, task.dn, old, wanted)
        dn = task.dn
        if renamed is not None:
            todo.append(replace(renamed, controls=(*guards, *self._reading)))
            old = modify.after_rdn(dn, renamed, old)
            dn, guards = modify.after_rename(dn, renamed), ()
        strict = intent.before_version is not None and not self._asserts
        items = modify.items(shape, old, wanted, strict=strict)
        if items:
            controls = (*guards, *self._reading)
            todo.append(ModifyEntry(dn, items, controls))
        task.todo = todo
        if not todo:
            self._nothing_to_do(task)

    def _nothing_to_do(self, task: Task) -> None:
        # Equal already. The version is only known if the entry was read.
        if task.entry is not None:
            task.version = self._shape.version(task.entry)
        task.applied()

    def _image(self, task: Task, wanted: Raw) -> Raw:
        before, entry = task.intent.before, task.entry
        if before is not None and not _again(task.intent) and not task.repeated:
            return modify.before_image(self._shape, before, wanted)
        return {} if entry is None else entry.attributes

    def _assertion(self, intent: Intent) -> tuple[Control, ...]:
        version, name = intent.before_version, self._shape.version_name
        if version is None or name is None or not self._asserts:
            return ()
        node = filters.Eq(name, version.encode())
        return (Control(ASSERTION, critical=True, value=filters.encode(node)),)

    def _read_controls(self, directory: Directory) -> tuple[Control, ...]:
        if not directory.supports(POST_READ):
            return ()
        wanted = [n for n in (self._shape.id_name, self._shape.version_name) if n]
        value = sequence(*map(octets, wanted))
        return (Control(POST_READ, critical=False, value=value),)


def _sets_one(intent: Intent, fields: frozenset[str]) -> bool:
    given = (intent.record or {}).items()
    return any(value and name.lower() in fields for name, value in given)


def _again(intent: Intent) -> bool:
    return intent.attempt > 1

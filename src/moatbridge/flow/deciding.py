"""What a record that differs means: update, create, adopt; judged one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import TranslationError
from moatbridge.flow import letting_go
from moatbridge.flow.adopt import adopt
from moatbridge.flow.agreement import PairCarry
from moatbridge.flow.conflicts import STAMP
from moatbridge.flow.folding import PARTIAL
from moatbridge.flow.leaving import leaver
from moatbridge.flow.observation import ref_json
from moatbridge.flow.readership import NOBODY, own_audience, read_by
from moatbridge.flow.removals import GONE
from moatbridge.flow.rendering import rendered
from moatbridge.flow.sealing import dated, seal, thread_of
from moatbridge.guard import Context, Outgoing, judge
from moatbridge.ledger import runs, texts
from moatbridge.ledger.keys import keepable
from moatbridge.ledger.staging import Staged
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Change, Record
    from moatbridge.flow.observation import Dead, Observation
    from moatbridge.flow.readership import Readership
    from moatbridge.flow.route import Route
    from moatbridge.guard import Memory, Verdict
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.marks import Link, Mark
    from moatbridge.resilience.session import Session
    from moatbridge.translate import BoundTranslator

_NOTED: Final = frozenset({"privileged", "external"})
"""Rules that are counted with a change even when they let it go."""

Hold = tuple[str, str, str]  # reason, rule, detail


@dataclass(slots=True)
class Seen:
    """One observed record on its way through the comparison."""

    change: Change
    key: str
    k: bytes
    fp: bytes
    mark: Mark | None = None
    waits: bool = False
    stamp: Any = None
    published: Any = None


class Decider:
    """Translates and judges differing records of one flow.

    Args:
        route: The flow.
        ledger: Its ledger.
        target: Gives an open session, to match new records with existing ones.
        memory: The guard's counts.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        *,
        target: Callable[[], Session],
        memory: Memory,
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._target = target
        self._memory = memory
        self._readers: dict[bytes, Readership] = {}
        self._rules = route.rules
        shape = route.source.bound.translator.entity.shape
        self._needed = [n for n, each in shape.members.items() if each.required]
        self._whole = route.initial.paths == route.carry.paths
        # Nothing has to be cut off a create.
        self._as_read = {*route.source.bound.paths} <= {*route.initial.paths}

    def decide(
        self,
        differing: Sequence[Seen],
        known: dict[int, Link],
        result: Observation,
        *,
        force: bool,
    ) -> None:
        """Stage what these records mean.

        Args:
            differing: Records whose mark is missing or differs.
            known: Their links.
            result: Where to add intents, rejects and counts.
            force: Stage linked records even when nothing about them changed.
        """
        salt = self._ledger.ledger_id.encode()
        context = Context(now=self._ledger.now(), memory=self._memory, salt=salt)
        self._rules = self._route.rules.at(context.now)
        new: list[tuple[Seen, dict[str, Any]]] = []
        readable = self._readable(differing, known, result)
        self._readers = read_by(
            self._route, self._ledger, [(o.k, e) for o, e, _l in readable], self._target
        )
        for one, entity, found in readable:
            unseen, link = False, found
            if link is not None and link.key(1 - self._route.row.side) is None:
                # Its create was refused or undone; or a person said that it arrived.
                unseen, link = link.state is LinkState.LIVE, None
            if one.mark is not None and link is not None:
                self._update(one, entity, link, context, result, force=force)
            elif not self._route.creates:
                result.count("not-owned")
            elif one.mark is not None and not unseen:
                round_ = known[one.mark.link_id].round
                self._create(
                    one, entity, one.mark.link_id, None, context, result, round_=round_
                )
            else:
                new.append((one, entity))
        self._new(new, context, result)
        seal(
            self._route,
            self._ledger,
            result.upserts,
            target=self._target,
            readers=self._readers,
        )

    def _readable(
        self, differing: Sequence[Seen], known: dict[int, Link], result: Observation
    ) -> list[tuple[Seen, dict[str, Any], Link | None]]:
        """Records that can be translated, each with its entity and link."""
        found: list[tuple[Seen, dict[str, Any], Link | None]] = []
        for one in differing:
            link = known.get(one.mark.link_id) if one.mark else None
            try:
                entity = self._translated(one)
            except TranslationError as error:
                result.rejects.append(_dead(one, error.code, error.path))
                continue
            if lacking := self._lacking(one, entity, link):
                result.rejects.append(_dead(one, "translate.required", lacking))
                continue
            result.fine.append(one.k)
            one.stamp, one.published = entity.get(STAMP), entity.get("published")
            found.append((one, entity, link))
        return found

    def _lacking(
        self, one: Seen, entity: dict[str, Any], link: Link | None
    ) -> str | None:
        """A required path without which a new record would only be refused later."""
        for name in self._needed:
            if not entity.get(name):
                break
        else:
            return None
        created = one.waits or (link is not None and link.state is LinkState.PENDING)
        if one.change.partial and created:
            return None
        if link is not None and link.key(1 - self._route.row.side) is not None:
            return None
        return name

    def _translated(self, one: Seen) -> dict[str, Any]:
        change = one.change
        return rendered(
            self._route,
            one.key,
            change.data or {},
            change.incomplete,
            partial=change.partial,
        )

    def _update(
        self,
        one: Seen,
        entity: dict[str, Any],
        link: Link,
        context: Context,
        result: Observation,
        *,
        force: bool,
    ) -> None:
        mark = one.mark
        assert mark is not None  # noqa: S101 - the caller found it
        # A removal that was admitted may still be on its way: the mark knows it first.
        gone = {LinkState.DISABLED, LinkState.REMOVED}
        back = link.state in gone or mark.fp == GONE
        carried = self._route.carry.cut(entity)
        out_fp = out_fingerprint(self._route.source.bound, carried)
        if back and "active" in self._route.target.bound.paths:
            carried.setdefault("active", True)
        if one.change.ref.name != link.name(self._route.row.side):
            result.renamed.append(
                (link.link_id, one.change.ref.name, link.name(self._route.row.side))
            )
        new = force or one.waits
        self._drift(entity, link, result)
        if not new and mark.out_fp == out_fp and mark.fp is not None:
            result.touched.append((one.fp, one.k, mark.fp))
            result.count("irrelevant")
            return
        self._stage(one, carried, "update", link, out_fp, context, result, renew=back)

    def _drift(self, entity: dict[str, Any], link: Link, result: Observation) -> None:
        """This side changed what the other one owns (delivery 47)."""
        carry = self._route.carry
        if not isinstance(carry, PairCarry) or not carry.drifted(entity, link.base):
            return
        result.count("drift")
        if self._route.config.on_drift == "restore":
            result.restore.append(link.link_id)

    def _create(
        self,
        one: Seen,
        entity: dict[str, Any],
        link_id: int | None,
        hold: tuple[str, str, str] | None,
        context: Context,
        result: Observation,
        *,
        round_: int = 0,
    ) -> None:
        route = self._route
        carried = entity if self._as_read else route.initial.cut(entity)
        kept = carried if self._whole else route.carry.cut(entity)
        out_fp = out_fingerprint(route.source.bound, kept)
        self._stage(
            one, carried, "create", None, out_fp, context, result,
            link_id=link_id, hold=hold, round_=round_,
        )  # fmt: skip

    def _new(
        self,
        new: Sequence[tuple[Seen, dict[str, Any]]],
        context: Context,
        result: Observation,
    ) -> None:
        if not new:
            return
        matches = adopt(
            self._route, self._ledger, self._target, [entity for _one, entity in new]
        )
        for (one, entity), match in zip(new, matches, strict=True):
            link_id = one.mark.link_id if one.mark else None
            if match.ambiguous:
                hold = ("ambiguous", "match", match.detail)
                self._create(one, entity, link_id, hold, context, result)
            elif match.record is None:
                # Somebody said that it is there, but it is not to be found.
                lost = ("unlinked", "match", "") if link_id is not None else None
                self._create(one, entity, link_id, lost, context, result)
            else:
                carried = self._route.carry.cut(entity)
                record = match.record
                self._stage(
                    one, carried, "update", None,
                    out_fingerprint(self._route.source.bound, carried), context,
                    result, adopt=[record.ref.key, record.ref.name, record.version],
                    link_id=link_id, hold=self._stranger(entity, record),
                )  # fmt: skip
                result.count("adopted")

    def _stranger(self, entity: dict[str, Any], record: Record) -> Hold | None:
        """Linking an account that was there before us needs a person, later on.

        In the first run the whole diff is confirmed; afterwards a new source record
        must not take over an account by itself, unless the account says it is ours.
        """
        there = self._route.target.bound.decode(record.data, record.incomplete)
        ours = entity.get("externalId")
        if ours and there.get("externalId") == ours:
            return None
        with self._ledger.read() as tx:
            first = not runs.ever_applied(tx, self._route.agreement)
        return None if first else ("approval", "match", "existing account")

    def _stage(
        self,
        one: Seen,
        entity: dict[str, Any],
        op: str,
        link: Link | None,
        out_fp: bytes,
        context: Context,
        result: Observation,
        *,
        link_id: int | None = None,
        renew: bool = False,
        adopt: list[Any] | None = None,
        hold: tuple[str, str, str] | None = None,
        round_: int = 0,
    ) -> None:
        carry, readers = self._route.carry, self._readers.get(one.k, NOBODY)
        changed = carry.changed(entity, link.base) if link else None
        verdict = judge(
            Outgoing(
                self._route.judged,
                readers.within(entity),
                "renew" if renew else "create" if op == "create" else "update",
                link_id=link.link_id if link else link_id,
                changed=changed,
                parent=readers.parent if readers.audience else None,
                outside=readers.outside,
                readdressed=link is not None
                and bool(self._readers)
                and carry.moved(entity, link.base, "audience"),
                readers=readers.readers,
            ),
            self._rules,
            context,
        )
        if verdict.decision == "drop":
            result.count("dropped")
            if one.mark is not None and one.mark.fp is not None:
                result.touched.append((one.fp, one.k, one.mark.fp))
            return
        if verdict.decision == "hold":
            reason = verdict.reasons[0] if verdict.reasons else "guard-bug"
            hold = hold or (reason, ", ".join(verdict.deciding), readers.detail)
        payload: dict[str, Any] = {"entity": own_audience(verdict.entity, entity)}
        if readers.narrowed:
            payload["audience"] = readers.audience
            result.count("narrowed")
        payload |= self._noted(one, verdict.entity or entity, changed)
        if adopt is not None:
            payload["adopt"] = adopt
        if renew:
            payload["renew"] = True
        payload |= _judged(verdict)
        if one.published is not None:
            payload |= dated(one.published, context.now)
        text = texts.dumps(payload)
        if not keepable(text):
            result.rejects.append(_dead(one, "record.size", None))
            return
        if verdict.decision == "hold" and link and entity.get("active") is False:
            result.upserts.append(leaver(self._route, one, link))
        result.upserts.append(
            Staged(
                k=one.k,
                ref=(one.key, one.change.ref.name),
                op=op,
                link_id=link.link_id if link else link_id,
                prev_fp=one.mark.fp if one.mark else None,
                fp=None if one.change.partial else one.fp,
                out_fp=out_fp,
                payload=text,
                label=verdict.label or self._route.source.bound.label,
                version=one.change.version,
                round=link.round if link else round_,
                lane=self._route.lane_of(thread_of(self._route, one.key, entity)),
                hold=hold,
            )
        )

    def _noted(
        self, one: Seen, entity: dict[str, Any], changed: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """What is kept beside the entity: for the guard, and for later judgement."""
        noted: dict[str, Any] = {}
        if changed:
            values = self._route.carry.values(entity)
            noted["changed"] = changed
            noted["blank"] = [p for p in changed if values.get(p) in (None, [], "")]
        if one.change.partial:
            noted[PARTIAL] = True
        if self._route.contested:
            noted[STAMP] = one.stamp
        return noted


def _judged(verdict: Verdict) -> dict[str, Any]:
    """What a payload keeps of a judgement; of most there is nothing to keep."""
    if not verdict.hits:
        return {}
    noted = dict.fromkeys(_NOTED.intersection(verdict.rules), True)
    return noted | letting_go.kept(verdict)


def _dead(one: Seen, code: str, path: str | None) -> Dead:
    return one.k, ref_json(one.change.ref), "translate", code, path


def out_fingerprint(bound: BoundTranslator, entity: dict[str, Any]) -> bytes:
    """First 16 bytes of the entity's fingerprint (delivery 16)."""
    return bound.fingerprint(entity)[:16]

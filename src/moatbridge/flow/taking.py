"""From replies to decisions: which are ours, what they say, who says it (design 0007).

A reply to a post of the ``posts`` flow is taken once, when it is first read, and kept
in the ledger by its key; whatever happens to it later decides nothing any more. People
are looked up while a batch is read, all in one call, and once more before delivery if
that was long ago (`moatbridge.flow.standing`). A person decides about what they read:
a reply to a post that does not show its record any more decides nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import NotApplied, TranslationError
from moatbridge.flow import letting_go
from moatbridge.flow.answering import answer
from moatbridge.flow.deciding import out_fingerprint
from moatbridge.flow.grounds import Asked, Shown
from moatbridge.flow.identities import Known, account_of, look_up
from moatbridge.flow.observation import Observation, ref_json
from moatbridge.flow.standing import CHANGED
from moatbridge.flow.wording import Said, plain, said
from moatbridge.guard import Context, Outgoing, judge
from moatbridge.ledger import marks, replies
from moatbridge.ledger.keys import kept_hash, key_hash
from moatbridge.ledger.replies import Reply
from moatbridge.ledger.staging import Staged
from moatbridge.ledger.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.changes import Change
    from moatbridge.flow.grounds import Grounds
    from moatbridge.flow.identities import Looked
    from moatbridge.flow.observe import Observer
    from moatbridge.flow.route import Route
    from moatbridge.flow.writeback import Writeback
    from moatbridge.guard import Memory
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.marks import Link

QUIET: Final = "quiet"


@dataclass(slots=True)
class _Read:
    """One reply, translated."""

    change: Change
    k: bytes
    entity: dict[str, Any]
    text: str
    said: Said
    post: Link | None = None

    @property
    def fp(self) -> bytes:
        return key_hash(self.text)

    @property
    def asker(self) -> str:
        return json.dumps(self.entity.get("attributedTo") or {})

    @property
    def link_id(self) -> int:
        assert self.post is not None  # noqa: S101 - only asked of replies to ours
        return self.post.link_id

    @property
    def published(self) -> str | None:
        return self.entity.get("published")


class Taker:
    """Turns replies into an `Observation`; stands where other flows have an `Observer`.

    Used by one slice at a time.

    Args:
        route: A flow with a `Writeback`.
        ledger: Its ledger.
        observer: Of the same flow; fetches thin changes.
        grounds: Looks at what decisions rest on.
        memory: The guard's counts.
    """

    def __init__(
        self,
        route: Route,
        ledger: Ledger,
        *,
        observer: Observer,
        grounds: Grounds,
        memory: Memory,
    ) -> None:
        assert route.writeback is not None  # noqa: S101 - the slice looked
        self._route = route
        self._writeback: Writeback = route.writeback
        self._ledger = ledger
        self._observer = observer
        self._grounds = grounds
        self._memory = memory

    def link_of(self, k: bytes) -> list[int]:
        """The link of a reply that was decided by: none or one."""
        return self._observer.link_of(k)

    def observe(
        self,
        changes: Sequence[Change],
        *,
        duplicate: Callable[[int], bool] | None = None,
        fresh: Callable[[list[int]], bool] | None = None,
        stale: Callable[[int], bool] | None = None,
        force: bool = False,
        feed: bool = False,
    ) -> Observation:
        """What a batch of replies means.

        Args:
            changes: As the adapter told them.
            duplicate: Not used: a reply is known by its key.
            fresh: Not used.
            stale: Not used.
            force: Not used.
            feed: Not used: the first reading of a reply counts.
        """
        del duplicate, fresh, stale, force, feed
        result = Observation()
        read = self._read(self._present(changes, result), result)
        with self._ledger.read() as tx:
            known = replies.known(tx, self._route.row.flow_id, [r.k for r in read])
        for one in read:
            if one.k in known:
                self._again(one, known[one.k], result)
        ours = self._ours([one for one in read if one.k not in known], result)
        self._take(ours, result)
        return result

    # --- reading ----------------------------------------------------------------

    def _present(self, changes: Sequence[Change], result: Observation) -> list[Change]:
        """Replies that are there; a deleted one decides nothing and undoes nothing."""
        gone = [c for c in changes if c.op == "delete"]
        result.count("replies-deleted", len(gone))
        there = [c for c in changes if c.op != "delete"]
        thin = [c.ref for c in there if c.data is None or c.partial]
        whole = [c for c in there if c.data is not None and not c.partial]
        if thin and self._route.source.can("CanFetch"):
            whole += self._observer.fetched(thin, Observation())
        elif thin:
            result.count("replies-thin", len(thin))
        return whole

    def _read(self, changes: Sequence[Change], result: Observation) -> list[_Read]:
        found: dict[bytes, _Read] = {}
        bound, words = self._route.source.bound, self._writeback.words
        for change in changes:
            k = kept_hash(change.ref.key)
            if k is None:
                k = key_hash(f"unusable/{change.ref.key!a}")
                result.rejects.append((k, None, "source", "record.key", None))
                result.blind += 1
                continue
            try:
                entity = bound.decode(change.data or {}, change.incomplete)
            except TranslationError as error:
                ref = ref_json(change.ref)
                result.rejects.append((k, ref, "translate", error.code, error.path))
                continue
            text = plain(entity)
            found.setdefault(k, _Read(change, k, entity, text, said(text, words)))
        result.seen = len(found)
        return list(found.values())

    def _ours(self, read: Sequence[_Read], result: Observation) -> list[_Read]:
        """Replies to posts of ours that stand for a record which is still there."""
        posts, parents = self._writeback.posts, {}
        for one in read:
            parent = (one.entity.get("inReplyTo") or {}).get("id")
            if parent:
                parents[one.k] = key_hash(str(parent))
        with self._ledger.read() as tx:
            found = marks.lookup(tx, posts.target_side, list(set(parents.values())))
            links = marks.links(tx, {mark.link_id for mark in found.values()})
        for one in read:
            mark = found.get(parents.get(one.k, b""))
            link = links.get(mark.link_id) if mark else None
            if link is not None and link.state is LinkState.LIVE:
                one.post = link if link.key(posts.side) else None
        ours = [one for one in read if one.post is not None]
        result.count("replies-elsewhere", len(read) - len(ours))
        return ours

    # --- what they mean ---------------------------------------------------------

    def _again(self, one: _Read, before: Reply, result: Observation) -> None:
        """The platform tells it again: an edit decides nothing, and says so once."""
        if before.fp == one.fp:
            result.count("replies-again")
            return
        result.count("replies-edited")
        if one.said.kind and before.outcome != f"decided.{one.said.kind}":
            self._answer(one, "edited", result)

    def _take(self, ours: Sequence[_Read], result: Observation) -> None:
        deciding = [one for one in ours if one.said.kind]
        accounts = {one.k: self._account(one) for one in deciding}
        people = look_up(
            self._writeback,
            [a for a in accounts.values() if a],
            self._grounds.directory,
        )
        known = [o for o in deciding if _is_known(people.get(accounts[o.k] or ""))]
        shown = self._shown(known, result)
        salt = self._ledger.ledger_id.encode()
        context = Context(now=self._ledger.now(), memory=self._memory, salt=salt)
        for one in ours:
            if one.said.kind:
                who = people.get(accounts[one.k] or "", "unmapped")
                self._decide(one, who, shown.get(one.k), context, result)
            elif one.said.command:
                self._refuse(one, "unknown-word", result)
            else:
                self._keep(one, QUIET, result)

    def _account(self, one: _Read) -> str | None:
        return account_of(self._writeback, one.entity.get("attributedTo"))

    def _shown(self, known: Sequence[_Read], result: Observation) -> dict[bytes, Shown]:
        """Whether their posts show their records; looked at again before delivery."""
        asked = [Asked(one.link_id, one.published) for one in known]
        try:
            found = self._grounds.shown(asked)
        except NotApplied:
            # Replies are taken while the system of record is away; nothing is sent
            # before this could be asked.
            result.count("replies-unchecked", len(known))
            return {}
        return {one.k: each for one, each in zip(known, found, strict=True)}

    def _decide(
        self,
        one: _Read,
        who: Looked,
        shown: Shown | None,
        context: Context,
        result: Observation,
    ) -> None:
        if not isinstance(who, Known):
            self._refuse(one, who, result)
            return
        if shown is not None and shown.changed:
            self._refuse(one, CHANGED, result)
            return
        entity = self._route.initial.cut(self._decision(one, who, shown))
        verdict = judge(
            Outgoing(self._route.judged, entity, "create"), self._route.rules, context
        )
        if verdict.decision == "drop":
            self._keep(one, QUIET, result)
            return
        reason = verdict.reasons[0] if verdict.reasons else "guard-bug"
        held = (reason, ", ".join(verdict.deciding), "")
        self._keep(one, f"decided.{one.said.kind}", result)
        key = one.change.ref.key
        result.upserts.append(
            Staged(
                k=one.k,
                ref=(key, one.change.ref.name),
                op="create",
                link_id=None,
                prev_fp=None,
                fp=one.fp,
                out_fp=out_fingerprint(self._route.target.bound, entity),
                payload=json.dumps(
                    {
                        "entity": verdict.entity,
                        "read_at": context.now,
                        "published": one.published,
                        "who": [who.key, who.identity],
                        **letting_go.kept(verdict),
                    },
                    ensure_ascii=False,
                ),
                label=self._route.judged.label,
                lane=self._route.lane_of(entity["object"]["id"]),
                hold=held if verdict.decision == "hold" else None,
                once=f"decision/{key}",
            )
        )

    def _decision(self, one: _Read, who: Known, shown: Shown | None) -> dict[str, Any]:
        assert one.post is not None  # noqa: S101 - only ours come here
        posts = self._writeback.posts
        return {
            "type": one.said.kind,
            "actor": {"stream": self._writeback.config.people, "id": who.key},
            "identity": who.identity,
            "object": {
                "stream": self._writeback.records,
                "id": one.post.key(posts.side),
            },
            "version": shown.version if shown else None,
            "content": one.said.comment,
            "inReplyTo": one.entity.get("inReplyTo"),
            "published": one.published,
        }

    def _refuse(self, one: _Read, why: str, result: Observation) -> None:
        self._keep(one, f"refused.{why}", result)
        self._answer(one, why, result)

    def _keep(self, one: _Read, outcome: str, result: Observation) -> None:
        result.count("replies-" + outcome.partition(".")[0])
        result.taken.append(Reply(one.k, one.link_id, one.fp, one.asker, outcome))

    def _answer(self, one: _Read, why: str, result: Observation) -> None:
        if one.asker == "{}":
            return  # nobody to tell
        result.answers.append(
            answer(
                self._writeback.config,
                k=one.k,
                key=one.change.ref.key,
                replies_of=self._route.source.address,
                asker=one.asker,
                why=why,
            )
        )


def _is_known(who: Looked | None) -> bool:
    return isinstance(who, Known)

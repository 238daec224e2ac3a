"""How a still flow reads: its feed, whole passes, plans, and what must be looked at again."""

from __future__ import annotations

import json
from types import SimpleNamespace

from ledger.still_flow import GONE, fingerprint
from moatbridge.flow.folding import fold
from moatbridge.ledger import flows, holds, marks, parcels, pending, runs, scans
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.staging import Staged, Stager


class StillReading:
    """Transactions A of both workers; mixed into a `StillGround`."""

    stage_later = False  # seeded bug: the cursor is durable before what it passed

    # --- reading: the feed, and whole passes ------------------------------------------------

    def read(self, who, part, count):
        """Look at the source and compare; nothing is written yet."""
        worker = self.workers[who]
        if part not in worker.leases:
            return
        at = worker.leases[part].cursor["at"]
        names = (
            self.source.feed[at : at + count]
            if part == "live"
            else sorted(self.source.values)[at : at + count]
        )
        worker.seen = (part, at + len(names), self.compare(dict.fromkeys(names)))

    def compare(self, names, *, force=False):
        found, links = [], []
        with self.ledger.read() as tx:
            ks = [key_hash(n) for n in names]
            known = marks.lookup(tx, self.row.source_side, ks)
            waits = pending.keys(tx, self.row.flow_id, ks) if self.told_once else set()
            for name in names:
                if key_hash(name) in waits:
                    found.append(self.newest(tx, name, known))
                    continue
                value, mark = self.source.values.get(name), known.get(key_hash(name))
                if mark is not None:
                    links.append(mark.link_id)
                fp = fingerprint(name, value)
                if (mark is None and value is None) or (
                    mark is not None and mark.fp == fp and not force
                ):
                    continue
                found.append(self.staged(tx, name, value, mark, fp))
        return found, links

    def newest(self, tx, name, known):
        """What is to take the place of what waits, whatever the mark says."""
        value, mark = self.source.values.get(name), known.get(key_hash(name))
        return self.staged(tx, name, value, mark, fingerprint(name, value))

    def staged(self, tx, name, value, mark, fp):
        link = None if mark is None else marks.links(tx, [mark.link_id])[mark.link_id]
        new = link is None or link.b_key is None
        return Staged(
            k=key_hash(name), ref=(name, None), op="disable" if value is None else "create" if new else "update",
            link_id=mark.link_id if mark else None, prev_fp=mark.fp if mark else None, fp=fp, out_fp=fp,
            payload=json.dumps({"value": value, "entity": {}}), round=link.round if link else 0,
            hold=("sensitive", "test", "") if value and value % 5 == 0 else None,
        )  # fmt: skip

    def stage(self, who, die):
        """Transaction A: cursor, seen bits and intents at once."""
        worker = self.workers[who]
        if worker.seen is None or worker.seen[0] not in worker.leases:
            return
        part, at, (found, links) = worker.seen
        lease = worker.leases[part]
        generation, run_id = self.generation(), self.live_run
        if part == "pass":
            run_id = self.planning(generation)
        bits = scans.Bits(self.row.flow_id, generation, part)
        with self.ledger.read() as tx:
            bits.load(tx)
        for link_id in links:
            bits.add(link_id)

        def body(tx):
            bits.save(tx)
            if not self.stage_later:
                self.write(tx, lease, run_id, found)

        if self.commit(worker, part, body, die=die, cursor={"at": at}):
            self.seen.setdefault((generation, part), set()).update(links)
        if worker.leases.get(part) is lease and self.stage_later:
            self.commit(worker, part, lambda tx: self.write(tx, lease, run_id, found))
        worker.seen = None

    def write(self, tx, lease, run_id, found, phase=0):
        if self.told_once:
            found = self.folded(tx, found)
        seed = self.ledger.seed("people", "srv")
        Stager(
            tx, flow_id=self.row.flow_id, run_id=run_id, seed=seed, part=lease.part, upto=lease.seq + 1, size=self.size
        ).stage(found, phase=phase)  # fmt: skip

    def folded(self, tx, found):
        """As flows do whose source tells everything once."""
        waits = pending.keys(tx, self.row.flow_id, [one.k for one in found])
        seen = SimpleNamespace(
            waiting=waits, upserts=found, disables=[], deletes=[], restored=[]
        )
        fold(tx, self.route, seen)
        holds.outdate_holds(tx, self.row.flow_id, seen.restored)
        return seen.upserts

    @property
    def route(self):
        """As much of a route as folding asks for: whole records, no lists in them."""
        nothing = SimpleNamespace(paths=(), cut=lambda entity: entity)
        target = SimpleNamespace(bound=nothing)
        return SimpleNamespace(
            row=self.row, initial=nothing, carry=nothing, target=target
        )

    def generation(self):
        with self.ledger.write() as tx:
            scan = scans.current(tx, self.row.flow_id)
            if scan is None:
                high = marks.highest(tx)
                return scans.begin(
                    tx, self.row.flow_id, link_high=high, server="srv", query=""
                )
        return scan.generation

    def planning(self, generation):
        with self.ledger.write() as tx:
            run = runs.latest(tx, self.row.flow_id, "scanning")
            if run is not None:
                return run.run_id
            return runs.begin(
                tx, self.row.flow_id, kind="pass", state="scanning", auto=True, actor="test", generation=generation
            )  # fmt: skip

    def end_the_pass(self, who, die, apply):
        """The plan is made and applied, or it replaces an older one and waits."""
        worker = self.workers[who]
        lease = worker.leases.get("pass")
        if lease is None or lease.cursor["at"] < len(self.source.values):
            return
        generation = self.generation()
        run_id = self.planning(generation)

        def body(tx):
            scan = scans.get(tx, self.row.flow_id, generation)
            gone, _next = scans.missing(
                tx, self.row.flow_id, scan, self.row.pair_id, after=0, limit=10**6
            )
            names = [link.a_key for link in marks.links(tx, gone).values()]
            known = marks.lookup(tx, self.row.source_side, [key_hash(n) for n in names])
            absent = [
                n for n in names if n not in self.source.values
            ]  # asked once more
            self.write(
                tx, lease, run_id,
                [self.staged(tx, n, None, known[key_hash(n)], GONE) for n in absent if known[key_hash(n)].fp != GONE],
                phase=1,
            )  # fmt: skip
            scans.finish(tx, self.row.flow_id, generation, "complete")
            parcels.cancel_planned(tx, self.row.flow_id, keep_run=run_id)
            runs.replace_older(tx, self.row.flow_id, run_id)
            runs.set_state(tx, run_id, "applying" if apply else "planned", planned=0.0)

        self.commit(worker, "pass", body, die=die, cursor={"at": 0})
        if (
            self.value("SELECT state FROM scan WHERE generation=?", generation)
            != "open"
        ):
            self.shadow["pass"] = (*self.shadow.get("pass", (0, 0, 0))[:2], 0)
            self.seen = {
                where: links
                for where, links in self.seen.items()
                if where[0] != generation
            }

    def apply_the_plan(self):
        with self.ledger.write() as tx:
            if run := runs.latest(tx, self.row.flow_id, "planned"):
                runs.set_state(tx, run.run_id, "applying")

    def look_again(self, who, die):
        """Records that something overtook are read and judged afresh."""
        worker = self.workers[who]
        if not (lease := worker.leases.get("pass")):
            return
        with self.ledger.read() as tx:
            due = [
                link_id
                for link_id, _why in flows.due_again(
                    tx, self.row.flow_id, limit=10, tries=5
                )
            ]
        if not due or not self.commit(
            worker, "pass", lambda tx: flows.next_round(tx, due)
        ):
            return
        with self.ledger.read() as tx:
            names = [link.a_key for link in marks.links(tx, due).values()]
        found, _links = self.compare(names, force=True)

        def body(tx):
            self.write(tx, lease, self.live_run, found)
            flows.taken_again(tx, self.row.flow_id, due)

        self.commit(worker, "pass", body, die=die)

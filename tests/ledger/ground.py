"""A ledger with one flow, for tests of its transactions without any adapter."""

from __future__ import annotations

from moatbridge.ledger import Ledger, admission, flows, frozen, parcels, runs
from moatbridge.ledger.admission import Candidate
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.staging import Staged, Stager
from servers.places import Place


class Ground:
    def __init__(self, folder, place=None, **settings):
        self.folder = folder
        self.place = place or Place(f"sqlite:///{folder}/ledger.db")
        self.settings = settings
        self.ledger = self.open()
        with self.ledger.write() as tx:
            self.row = flows.ensure(
                tx, "default", "people", "hr/people", "social/people"
            )
            for part, kind in (("control", "control"), ("lane/0", "lane")):
                self.ledger.leases.add(tx, self.row.flow_id, part, kind)
            self.run_id = runs.begin(
                tx,
                self.row.flow_id,
                kind="pass",
                state="applying",
                auto=True,
                actor="test",
            )
        self.lease = self.claim("lane/0")

    def open(self):
        return Ledger(self.place.url, password=self.place.password, **self.settings)

    def claim(self, part="lane/0", owner="a"):
        return self.ledger.leases.claim(self.row.flow_id, part, owner)

    def expire(self):
        with self.ledger.write() as tx:
            tx.run("UPDATE partition SET lease_until=0")

    def item(self, key, fp=b"1" * 16, **more):
        defaults = {
            "ref": (key, None),
            "op": "create",
            "link_id": None,
            "prev_fp": None,
            "out_fp": fp,
            "payload": '{"entity": {"userName": "x"}}',
        }
        return Staged(k=key_hash(key), fp=fp, **{**defaults, **more})

    def stage(self, *items, run_id=None, size=500, seed=None):
        with self.ledger.write() as tx:
            made = Stager(
                tx, flow_id=self.row.flow_id, run_id=run_id or self.run_id,
                seed=seed or self.ledger.seed("people", "srv"), part="g1/all", upto=1, size=size,
            )  # fmt: skip
            made.stage(items)

    def next(self):
        with self.ledger.read() as tx:
            return parcels.next_parcel(tx, self.row.flow_id, 0)

    def items(self, parcel):
        with self.ledger.read() as tx:
            return parcels.items(tx, parcel.parcel_id)

    def admit(self, parcel, *, conditional=True, lease=None, send=True):
        text = frozen.dumps(
            {
                "op": "create",
                "ref": None,
                "record": {},
                "owned": [],
                "before": None,
                "version": None,
                "base": None,
            }
        )
        candidates = [
            Candidate(item, text if send else None) for item in self.items(parcel)
        ]
        with self.ledger.step(lease or self.lease) as tx:
            return admission.admit(
                tx, flow_id=self.row.flow_id, pair_id=self.row.pair_id, side=self.row.side, named=False,
                conditional=conditional, parcel=parcel, fence=self.lease.fence, retry_for=3600.0, candidates=candidates,
            )  # fmt: skip

    def all(self, sql, *params):
        with self.ledger.read() as tx:
            return [tuple(row) for row in tx.all(sql, *params)]

    def value(self, sql, *params):
        with self.ledger.read() as tx:
            return tx.value(sql, *params)

    def close(self):
        self.ledger.close()

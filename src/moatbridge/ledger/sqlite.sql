-- All tables of a new ledger, from `tables`; made by scripts/reference.py.
CREATE TABLE meta (
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (name)
)
 WITHOUT ROWID;
CREATE TABLE pair (
	pair_id INTEGER NOT NULL,
	scope TEXT NOT NULL,
	a TEXT NOT NULL,
	b TEXT NOT NULL,
	PRIMARY KEY (pair_id),
	UNIQUE (scope, a, b)
);
CREATE TABLE flow (
	flow_id INTEGER NOT NULL,
	scope TEXT NOT NULL,
	name TEXT NOT NULL,
	pair_id INTEGER NOT NULL,
	side INTEGER NOT NULL,
	generation INTEGER DEFAULT '0' NOT NULL,
	translator TEXT,
	report TEXT,
	bug TEXT,
	PRIMARY KEY (flow_id),
	UNIQUE (scope, name)
);
CREATE TABLE run (
	run_id INTEGER NOT NULL,
	flow_id INTEGER NOT NULL,
	kind TEXT NOT NULL,
	state TEXT NOT NULL,
	auto INTEGER DEFAULT '0' NOT NULL,
	generation INTEGER,
	plan_digest TEXT,
	counts TEXT,
	verdict TEXT,
	actor TEXT,
	created FLOAT NOT NULL,
	planned FLOAT,
	finished FLOAT,
	error TEXT,
	PRIMARY KEY (run_id)
);
CREATE INDEX run_open ON run (flow_id, state);
CREATE TABLE partition (
	flow_id INTEGER NOT NULL,
	part TEXT NOT NULL,
	kind TEXT NOT NULL,
	generation INTEGER,
	spec TEXT,
	zone TEXT DEFAULT 'default' NOT NULL,
	priority INTEGER DEFAULT '3' NOT NULL,
	cursor TEXT,
	server TEXT,
	fence INTEGER DEFAULT '0' NOT NULL,
	seq INTEGER DEFAULT '0' NOT NULL,
	owner TEXT,
	lease_until INTEGER,
	boot TEXT,
	state TEXT DEFAULT 'ready' NOT NULL,
	not_before FLOAT DEFAULT '0' NOT NULL,
	served_at FLOAT DEFAULT '0' NOT NULL,
	dispatched_at FLOAT,
	woken INTEGER DEFAULT '0' NOT NULL,
	tries INTEGER DEFAULT '0' NOT NULL,
	error TEXT,
	records INTEGER DEFAULT '0' NOT NULL,
	rejects INTEGER DEFAULT '0' NOT NULL,
	PRIMARY KEY (flow_id, part)
)
 WITHOUT ROWID;
CREATE TABLE scan (
	flow_id INTEGER NOT NULL,
	generation INTEGER NOT NULL,
	state TEXT NOT NULL,
	link_high INTEGER NOT NULL,
	server TEXT,
	"query" TEXT,
	started FLOAT NOT NULL,
	finished FLOAT,
	seen INTEGER DEFAULT '0' NOT NULL,
	prev_seen INTEGER,
	blind INTEGER DEFAULT '0' NOT NULL,
	snapshot INTEGER DEFAULT '0' NOT NULL,
	PRIMARY KEY (flow_id, generation)
)
 WITHOUT ROWID;
CREATE TABLE seen (
	flow_id INTEGER NOT NULL,
	generation INTEGER NOT NULL,
	part TEXT NOT NULL,
	chunk INTEGER NOT NULL,
	bits BLOB NOT NULL,
	PRIMARY KEY (flow_id, generation, part, chunk)
)
 WITHOUT ROWID;
CREATE TABLE link (
	link_id INTEGER NOT NULL,
	pair_id INTEGER NOT NULL,
	a_key TEXT,
	a_name TEXT,
	b_key TEXT,
	b_name TEXT,
	a_ver TEXT,
	b_ver TEXT,
	state INTEGER NOT NULL,
	origin INTEGER DEFAULT '0' NOT NULL,
	quiet_until FLOAT,
	remove_at FLOAT,
	missing_gen INTEGER,
	round INTEGER DEFAULT '0' NOT NULL,
	base BLOB,
	PRIMARY KEY (link_id)
);
CREATE TABLE mark (
	side_id INTEGER NOT NULL,
	k BLOB NOT NULL,
	fp BLOB,
	out_fp BLOB,
	link_id INTEGER NOT NULL,
	PRIMARY KEY (side_id, k)
)
 WITHOUT ROWID;
CREATE TABLE alias (
	side_id INTEGER NOT NULL,
	k BLOB NOT NULL,
	link_id INTEGER NOT NULL,
	PRIMARY KEY (side_id, k)
)
 WITHOUT ROWID;
CREATE TABLE parcel (
	parcel_id INTEGER NOT NULL,
	flow_id INTEGER NOT NULL,
	run_id INTEGER NOT NULL,
	lane INTEGER NOT NULL,
	phase INTEGER NOT NULL,
	part TEXT,
	upto INTEGER,
	state INTEGER NOT NULL,
	n INTEGER NOT NULL,
	attempt INTEGER DEFAULT '0' NOT NULL,
	fence INTEGER,
	not_before FLOAT DEFAULT '0' NOT NULL,
	deadline FLOAT,
	first_sent FLOAT,
	last_sent FLOAT,
	doubt INTEGER DEFAULT '0' NOT NULL,
	PRIMARY KEY (parcel_id)
);
CREATE INDEX parcel_open ON parcel (flow_id, lane, state) WHERE state < 10;
CREATE TABLE intent (
	parcel_id INTEGER NOT NULL,
	pos INTEGER NOT NULL,
	link_id INTEGER,
	k BLOB,
	ref TEXT NOT NULL,
	op TEXT NOT NULL,
	"key" TEXT NOT NULL,
	prev_fp BLOB,
	fp BLOB,
	out_fp BLOB,
	state INTEGER,
	payload TEXT,
	label TEXT,
	receipt TEXT,
	error TEXT,
	PRIMARY KEY (parcel_id, pos)
)
 WITHOUT ROWID;
CREATE TABLE open (
	link_id INTEGER NOT NULL,
	slot INTEGER NOT NULL,
	parcel_id INTEGER NOT NULL,
	pos INTEGER NOT NULL,
	PRIMARY KEY (link_id, slot)
)
 WITHOUT ROWID;
CREATE TABLE "before" (
	parcel_id INTEGER NOT NULL,
	pos INTEGER NOT NULL,
	image TEXT NOT NULL,
	PRIMARY KEY (parcel_id, pos)
)
 WITHOUT ROWID;
CREATE TABLE hold (
	hold_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	flow_id INTEGER NOT NULL,
	parcel_id INTEGER NOT NULL,
	k BLOB NOT NULL,
	out_fp BLOB,
	reason TEXT NOT NULL,
	rule TEXT,
	detail TEXT,
	version INTEGER DEFAULT '1' NOT NULL,
	decided TEXT,
	decided_by TEXT,
	created FLOAT NOT NULL,
	expires FLOAT,
	UNIQUE (flow_id, k)
);
CREATE TABLE reject (
	reject_id INTEGER NOT NULL,
	flow_id INTEGER NOT NULL,
	k BLOB,
	ref TEXT,
	location TEXT,
	reason TEXT NOT NULL,
	field TEXT,
	times INTEGER DEFAULT '1' NOT NULL,
	created FLOAT NOT NULL,
	last FLOAT NOT NULL,
	PRIMARY KEY (reject_id),
	UNIQUE (flow_id, k)
);
CREATE TABLE wait_ref (
	side_id INTEGER NOT NULL,
	k BLOB NOT NULL,
	by_name INTEGER NOT NULL,
	flow_id INTEGER NOT NULL,
	link_id INTEGER NOT NULL,
	PRIMARY KEY (side_id, k, by_name, flow_id, link_id)
)
 WITHOUT ROWID;
CREATE TABLE again (
	flow_id INTEGER NOT NULL,
	link_id INTEGER NOT NULL,
	reason TEXT NOT NULL,
	due INTEGER DEFAULT '1' NOT NULL,
	tries INTEGER DEFAULT '0' NOT NULL,
	PRIMARY KEY (flow_id, link_id)
)
 WITHOUT ROWID;
CREATE TABLE approval (
	run_id INTEGER NOT NULL,
	principal TEXT NOT NULL,
	digest TEXT NOT NULL,
	at FLOAT NOT NULL,
	accepted TEXT NOT NULL,
	count INTEGER,
	PRIMARY KEY (run_id, principal)
)
 WITHOUT ROWID;
CREATE TABLE kill (
	scope TEXT NOT NULL,
	reason TEXT NOT NULL,
	actor TEXT NOT NULL,
	at FLOAT NOT NULL,
	PRIMARY KEY (scope)
)
 WITHOUT ROWID;
CREATE TABLE guard_count (
	flow_id INTEGER NOT NULL,
	rule TEXT NOT NULL,
	"key" TEXT NOT NULL,
	hour INTEGER NOT NULL,
	n INTEGER NOT NULL,
	PRIMARY KEY (flow_id, rule, "key", hour)
)
 WITHOUT ROWID;
CREATE TABLE audit_in (
	event_id INTEGER NOT NULL,
	at FLOAT NOT NULL,
	kind TEXT NOT NULL,
	body TEXT NOT NULL,
	PRIMARY KEY (event_id)
);
CREATE TABLE inbox (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	scope TEXT NOT NULL,
	system TEXT NOT NULL,
	delivery_id TEXT NOT NULL,
	ordering_key TEXT NOT NULL,
	received FLOAT NOT NULL,
	content TEXT,
	UNIQUE (scope, system, delivery_id)
);
CREATE INDEX inbox_order ON inbox (scope, system, seq);
CREATE TABLE unsettled (
	flow_id INTEGER NOT NULL,
	part TEXT NOT NULL,
	slot INTEGER NOT NULL,
	run_id INTEGER NOT NULL,
	seq INTEGER NOT NULL,
	cursor TEXT NOT NULL,
	PRIMARY KEY (flow_id, part, slot)
)
 WITHOUT ROWID;
CREATE TABLE incident (
	incident_id INTEGER NOT NULL,
	system TEXT NOT NULL,
	flow_id INTEGER NOT NULL,
	what TEXT NOT NULL,
	at FLOAT NOT NULL,
	PRIMARY KEY (incident_id)
);
CREATE INDEX incident_system ON incident (system, at);
CREATE TABLE reply (
	flow_id INTEGER NOT NULL,
	k BLOB NOT NULL,
	post INTEGER NOT NULL,
	fp BLOB NOT NULL,
	asker TEXT NOT NULL,
	outcome TEXT NOT NULL,
	at FLOAT NOT NULL,
	PRIMARY KEY (flow_id, k)
)
 WITHOUT ROWID;
CREATE TABLE answer (
	answer_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	flow_id INTEGER NOT NULL,
	k BLOB NOT NULL,
	kind TEXT NOT NULL,
	body TEXT NOT NULL,
	at FLOAT NOT NULL,
	UNIQUE (flow_id, k, kind)
);
CREATE TABLE turn (
	link_id INTEGER NOT NULL,
	turns TEXT NOT NULL,
	tripped FLOAT,
	PRIMARY KEY (link_id)
)
 WITHOUT ROWID;
CREATE TABLE worker (
	scope TEXT NOT NULL,
	owner TEXT NOT NULL,
	zones TEXT NOT NULL,
	slots INTEGER NOT NULL,
	busy INTEGER NOT NULL,
	lost INTEGER NOT NULL,
	begun FLOAT NOT NULL,
	seen FLOAT NOT NULL,
	PRIMARY KEY (scope, owner)
)
 WITHOUT ROWID;
CREATE TABLE described (
	scope TEXT NOT NULL,
	address TEXT NOT NULL,
	body TEXT NOT NULL,
	at FLOAT NOT NULL,
	PRIMARY KEY (scope, address)
)
 WITHOUT ROWID;

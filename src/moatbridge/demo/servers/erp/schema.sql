CREATE TABLE account (name TEXT PRIMARY KEY, password TEXT NOT NULL);
CREATE TABLE approver (login TEXT PRIMARY KEY, name TEXT NOT NULL, limit_cents INTEGER NOT NULL, active INTEGER NOT NULL DEFAULT 1);
CREATE TABLE purchase_order (
  order_nr TEXT PRIMARY KEY, title TEXT NOT NULL, status TEXT NOT NULL, requester TEXT NOT NULL, cost_centre TEXT,
  ordered TEXT NOT NULL, deliver_by TEXT, deliver_to TEXT, total_cents INTEGER NOT NULL, currency TEXT NOT NULL,
  attachment BLOB, urgent INTEGER, decided_by TEXT, changed TEXT NOT NULL, version INTEGER NOT NULL
);
CREATE INDEX order_changed ON purchase_order (changed, order_nr);
CREATE TABLE line (
  order_nr TEXT NOT NULL REFERENCES purchase_order, position INTEGER NOT NULL, article TEXT NOT NULL,
  quantity TEXT NOT NULL, unit_price TEXT NOT NULL, delivery_date TEXT, PRIMARY KEY (order_nr, position)
);
CREATE TABLE decision (
  decision_id TEXT PRIMARY KEY, order_nr TEXT NOT NULL UNIQUE REFERENCES purchase_order, decision TEXT NOT NULL, comment TEXT,
  approver TEXT NOT NULL REFERENCES approver, request_id TEXT NOT NULL UNIQUE, decided TEXT NOT NULL
);
CREATE INDEX decision_decided ON decision (decided, decision_id);
CREATE TABLE request (request_id TEXT PRIMARY KEY, operation TEXT NOT NULL, content TEXT NOT NULL, order_nr TEXT NOT NULL);
CREATE TABLE nonce (nonce TEXT PRIMARY KEY, created TEXT NOT NULL);
CREATE TABLE journal (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, operation TEXT NOT NULL, order_nr TEXT NOT NULL,
  version INTEGER NOT NULL, request_id TEXT, account TEXT NOT NULL
);

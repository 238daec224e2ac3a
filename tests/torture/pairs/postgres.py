"""A PostgreSQL server with one table, which can be killed and comes back."""

from __future__ import annotations

import signal

from servers.ledgers import LedgerServer
from servers.postgres import ROLES
from torture.pairs.ends import LOCAL, back


class Server(LedgerServer):
    """Its database ``pair`` holds one table, and what happened to it.

    Args:
        table: Name and columns.
    """

    def __init__(self, table):
        super().__init__()
        self.table = table

    def start(self):
        super().start()
        name = self.table.partition("(")[0]
        self.create_database("pair", f"""
            create table {self.table};
            create table journal(nr bigserial primary key, op text, row_before text,
              row_after text);
            create function note() returns trigger security definer language plpgsql
              as $$ begin
                insert into journal(op, row_before, row_after)
                  values(tg_op, to_jsonb(old)::text, to_jsonb(new)::text);
                return null;
              end $$;
            create trigger noted after insert or update or delete on {name}
              for each row execute function note();
            grant usage on schema public to reader, writer;
            grant select on {name} to reader;
            grant select, insert, update, delete on {name} to writer;
            grant usage on all sequences in schema public to writer;
        """)  # fmt: skip

    def password(self, role):
        return ROLES[role]

    def system(self, role, secret):
        return {
            "adapter": "sql",
            "url": self.url(role, "pair"),
            "password": secret,
            "insecure_cleartext": True,
            **LOCAL,
        }

    def die(self):
        """SIGKILL, and up again: its own children must have seen it first."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)
        back(self.restart)

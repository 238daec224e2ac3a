"""The product's own data: companies, who may sign in, and each company's people.

Every company's people lie in a file of their own, so a query cannot mix companies up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commons import place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEMA = """
create table if not exists member(
  email text primary key, company text not null, name text not null,
  salt blob not null, password blob not null);
create table if not exists visit(
  digest text primary key, email text not null,
  begun real not null, seen real not null);
create table if not exists agreement(
  company text not null, digest text not null, email text not null,
  reason text not null, at real not null);
"""
_PEOPLE = """
create table if not exists people(
  id integer primary key, login text not null unique, given text, family text,
  mail text, title text, unit text, active boolean not null default 1);
"""


LIFE = 12 * 3600.0
"""Seconds after which a session ends, whatever was done in it."""

IDLE = 3600.0
"""Seconds without a request after which it ends."""


@dataclass(frozen=True)
class Member:
    """Somebody who is signed in for a company."""

    email: str
    company: str
    name: str


def sign_up(name: str, email: str, password: str) -> Member | None:
    """Found a company; None if the e-mail address is taken."""
    member = Member(email.strip().lower(), secrets.token_hex(8), name.strip())
    if not _kept(member, password):
        return None
    people(member.company)  # its file is there before anybody connects to it
    return member


def add_colleague(me: Member, email: str, password: str) -> bool:
    """Let somebody else of one's own company in; False if the address is taken."""
    return _kept(Member(email.strip().lower(), me.company, me.name), password)


def colleagues(company: str) -> list[str]:
    """E-mail addresses of those who may sign in for a company."""
    with _database() as db:
        asked = "select email from member where company = ? order by email"
        return [row["email"] for row in db.execute(asked, (company,))]


def agreed(me: Member, digest: str, reason: str) -> None:
    """Keep who let a plan pass, and why."""
    values = (me.company, digest, me.email, reason, time.time())
    with _database() as db:
        db.execute("insert into agreement values(?, ?, ?, ?, ?)", values)


def agreement(company: str, digest: str) -> tuple[str, str] | None:
    """Who let a plan pass as a second person, and why; None if nobody had to."""
    with _database() as db:
        row = db.execute(
            "select email, reason from agreement where company = ? and digest = ? "
            "order by at desc",
            (company, digest),
        ).fetchone()
    return (row["email"], row["reason"]) if row else None


def _kept(member: Member, password: str) -> bool:
    salt = secrets.token_bytes(16)
    values = (member.email, member.company, member.name, salt, _hash(password, salt))
    with _database() as db:
        try:
            db.execute("insert into member values(?, ?, ?, ?, ?)", values)
        except sqlite3.IntegrityError:
            return False
    return True


def sign_in(email: str, password: str) -> Member | None:
    """Who that is; None if address or password are wrong."""
    with _database() as db:
        asked = "select * from member where email = ?"
        row = db.execute(asked, (email.strip().lower(),)).fetchone()
    salt, known = (row["salt"], row["password"]) if row else (b"", b"")
    right = hmac.compare_digest(_hash(password, salt), known)  # as slow for nobody
    return Member(row["email"], row["company"], row["name"]) if row and right else None


def begin_session(member: Member) -> str:
    """A token for the cookie; only its digest is kept."""
    token, now = secrets.token_urlsafe(32), time.time()
    with _database() as db:
        _forget_ended(db, now)
        values = (_digest(token), member.email, now, now)
        db.execute("insert into visit values(?, ?, ?, ?)", values)
    return token


def end_session(token: str) -> None:
    """The token is worth nothing any more."""
    with _database() as db:
        db.execute("delete from visit where digest = ?", (_digest(token),))


def member_of(token: str) -> Member | None:
    """Whose session that is; None if it has ended."""
    digest, now = _digest(token), time.time()
    with _database() as db:
        row = db.execute(
            "select m.* from visit v join member m using(email) where v.digest = ? "
            "and v.begun > ? and v.seen > ?",
            (digest, now - LIFE, now - IDLE),
        ).fetchone()
        if row:
            seen = "update visit set seen = ? where digest = ? and seen < ?"
            db.execute(seen, (now, digest, now - IDLE / 60))
    return Member(row["email"], row["company"], row["name"]) if row else None


def people_file(company: str) -> Path:
    """The file that moatbridge writes people to."""
    return place.of_company(company) / "people.db"


def people(company: str) -> list[dict[str, Any]]:
    """The people of one company, by name."""
    with closing(sqlite3.connect(people_file(company), timeout=10)) as db, db:
        db.row_factory = sqlite3.Row
        db.execute("pragma journal_mode = wal")  # readers and moatbridge do not wait
        db.executescript(_PEOPLE)
        rows = db.execute("select * from people order by family, given, login")
        return [dict(row) for row in rows]


def _forget_ended(db: sqlite3.Connection, now: float) -> None:
    ended = (now - LIFE, now - IDLE)
    db.execute("delete from visit where begun <= ? or seen <= ?", ended)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 14, r=8, p=1)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(place.data() / "commons.db", timeout=10)) as db, db:
        db.row_factory = sqlite3.Row
        db.executescript(_SCHEMA)
        yield db

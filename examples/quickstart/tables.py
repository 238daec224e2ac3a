"""Two SQLite files to practise with: a legacy HR table and a product's own user table.

python tables.py            makes hr.db (40 invented people) and app.db (nobody)
python tables.py hr SQL     runs a statement on one of them and prints the rows
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

COLUMNS = (
    "login text not null unique, given text, family text not null, mail text, unit text"
)


def main(arguments: list[str]) -> None:
    """Make both files, or run one statement."""
    if arguments:
        name, statement = arguments
        for row in run(name, statement):
            print(*row)
        return
    for name in ("hr", "app"):
        Path(f"{name}.db").unlink(missing_ok=True)
        run(name, f"create table people(id integer primary key, {COLUMNS})")
    for number in range(1, 41):
        login, unit = f"p{number:02}", ("north", "south")[number % 2]
        person = (
            number,
            login,
            "Pat",
            f"Example-{number}",
            f"{login}@example.org",
            unit,
        )
        run("hr", "insert into people values(?, ?, ?, ?, ?, ?)", person)


def run(
    name: str, statement: str, values: tuple[object, ...] = ()
) -> list[tuple[object, ...]]:
    """One statement in a transaction of its own."""
    with closing(sqlite3.connect(f"{name}.db")) as db, db:
        return db.execute(statement, values).fetchall()


if __name__ == "__main__":
    main(sys.argv[1:])

"""A personnel table to practise with: ``python practice.py`` makes practice/staff.db.

All people are invented. The column ``salary`` is there to see that it stays there.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

GIVEN = ("Astrid", "Bilal", "Chiara", "Dmitri", "Esra", "Femi")
FAMILY = ("Berg", "Costa", "Okafor", "Nowak", "Silva")
WORK = (("Engineer", "Harbour"), ("Nurse", "Ward 4"), ("Baker", "Kitchen"))


def main() -> None:
    """Make the table anew, with thirty people."""
    file = Path("practice") / "staff.db"
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(
            "create table staff(id integer primary key, login text not null unique, "
            "vorname text, nachname text, email text, position text, abteilung text, "
            "salary integer)"
        )
        for number in range(30):
            given, family = GIVEN[number % 6], FAMILY[number % 5]
            login = f"{given[0]}{family}".lower()
            title, unit = WORK[number % 3]
            person = (login, given, family, f"{login}@example.org", title, unit)
            row = (number + 1, *person, 30_000 + 1_000 * number)
            db.execute("insert into staff values(?, ?, ?, ?, ?, ?, ?, ?)", row)
    print(f"{file}: 30 people")


if __name__ == "__main__":
    main()

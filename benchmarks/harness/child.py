"""One variant in a process of its own: ``python child.py ORDER.json``.

The order names a file and a function in it. The function gets the order, gets ready
(imports, settings) and returns the work itself, which alone is measured. What it would
import only then is imported here: ``imports``, as a rehearsal found it. Standard library
only: peers run this in their own environments.
"""

from __future__ import annotations

import importlib
import json
import sys
from contextlib import suppress
from pathlib import Path

if not __package__:  # a program of its own: found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from harness.measuring import cpu, measured


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    module = importlib.import_module(order["module"])
    run = getattr(module, order["function"])(order)
    for name in order.get("imports", ()):
        with suppress(Exception):  # an import may fail, and be caught, in its work too
            importlib.import_module(name)
    found = measured(run, cpu())
    Path(order["result"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()

"""Each adapter by itself, beside what its protocol's own tools and libraries cost.

No ledger, no guard, no platform: only reading, or only writing. Connections are open and
imports done before anything is measured, unless the other side is a command, which must
connect as well.
"""

from scenarios.alone import directory, files, memory, platform, service, tables

WORKS = (
    *directory.WORKS,
    *files.WORKS,
    *service.WORKS,
    *tables.WORKS,
    *platform.WORKS,
    *memory.WORKS,
)

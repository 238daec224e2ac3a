"""Each adapter by itself, beside what its protocol's own tools and libraries cost.

No ledger and no guard: only reading, or only writing; `memory` alone is a whole flow. Imports
are done before anything is measured. Connecting is measured with directories and files over
SSH, where some variants are commands and must connect; elsewhere connections are open
before. Where it is otherwise, the note of a work says so.
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

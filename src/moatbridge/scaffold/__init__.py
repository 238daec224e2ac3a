"""`moatbridge new-adapter`: a publishable adapter to begin with, as text files.

Pure text up to the last step: `files` says which files with which content, `write`
puts them into a folder that is empty or not there yet.
"""

from __future__ import annotations

from moatbridge.scaffold.distribution import Choice, files
from moatbridge.scaffold.names import Names
from moatbridge.scaffold.writing import write

__all__ = ["Choice", "Names", "files", "write"]

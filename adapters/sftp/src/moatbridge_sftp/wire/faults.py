"""Our errors for what can go wrong between us and an SSH server."""

from __future__ import annotations

from moatbridge.errors import ConfigurationError, NotApplied


def unreachable(words: str) -> NotApplied:
    """The connection is gone or was never there."""
    return NotApplied(
        f"The SFTP server {words}; is it up, and open from this host?",
        code="sftp.unreachable",
    )


def too_slow(phase: str) -> NotApplied:
    """The time of a call ran out, or a transfer fell below the floor."""
    return NotApplied(
        f"The SFTP server did not answer in time ({phase}); try again later, or raise "
        "`deadline.call` of the system.",
        code="sftp.deadline",
    )


def broken_protocol(words: str) -> NotApplied:
    """The server said something that the protocol does not allow."""
    return NotApplied(
        f"The SFTP server broke the protocol: {words}. The connection was ended.",
        code="sftp.protocol",
    )


def changed(words: str) -> NotApplied:
    """A file is not what it was a moment ago."""
    return NotApplied(
        f"The file {words} while it was read; its upload is not finished. It waits and "
        "is read again; if that stays so, let the supplier upload under another name "
        "and rename, or raise `settle_for`.",
        code="sftp.changed",
    )


def misconfigured(code: str, words: str) -> ConfigurationError:
    """Something that only a person can change."""
    return ConfigurationError(words, code=f"sftp.{code}")

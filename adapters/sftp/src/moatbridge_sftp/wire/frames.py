"""From the channel's pieces to whole packets. Pure."""

from __future__ import annotations

from typing import Final

from moatbridge_sftp.wire.packets import PacketError

_LENGTH: Final = 4


class Frames:
    """Collects pieces as they come and hands out packets.

    Pieces are joined once per packet, so a packet of 256 KiB in 32 KiB pieces is
    copied once, not eight times.

    Args:
        longest: Bytes that one packet may have.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._pieces: list[bytes] = []
        self._held = 0

    def feed(self, piece: bytes) -> None:
        """Take what the channel gave."""
        self._pieces.append(piece)
        self._held += len(piece)

    def next(self) -> bytes | None:
        """The next packet without its length; None until it is whole.

        Raises:
            PacketError: Empty, or longer than allowed.
        """
        if self._held < _LENGTH:
            return None
        if len(self._pieces[0]) < _LENGTH:
            self._pieces = [b"".join(self._pieces)]
        length = int.from_bytes(self._pieces[0][:_LENGTH], "big")
        if not 0 < length <= self.longest:
            msg = f"a packet of {length} bytes"
            raise PacketError(msg)
        if self._held < _LENGTH + length:
            return None
        return self._cut(length)

    def _cut(self, length: int) -> bytes:
        whole = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        end = _LENGTH + length
        rest = whole[end:]
        self._pieces = [rest] if rest else []
        self._held -= end
        return whole[_LENGTH:end]

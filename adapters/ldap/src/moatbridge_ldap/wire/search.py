"""One search on its way: its request leaves at once, answers are read when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.errors import MoatbridgeError
from moatbridge_ldap.wire import messages
from moatbridge_ldap.wire.ber import integer
from moatbridge_ldap.wire.errors import protocol
from moatbridge_ldap.wire.messages import Names
from moatbridge_ldap.wire.port import Done

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge_ldap.wire.channel import Channel
    from moatbridge_ldap.wire.layout import Layouts
    from moatbridge_ldap.wire.port import Budget, Message, SearchRequest


class Search:
    """Answers to one search, as they arrive: implements `SearchStream`."""

    def __init__(
        self, channel: Channel, request: SearchRequest, budget: Budget
    ) -> None:
        self._channel = channel
        self._budget = budget
        self._over = False
        self._number = channel.number(Names(request.attributes))
        operation = messages.search(request)
        channel.write(messages.frame(self._number, operation, request.controls))

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        """The next answer; see `SearchStream`."""
        if self._over:
            raise StopIteration
        try:
            message, size = self._channel.take(self._number)
        except MoatbridgeError:
            self._over = True
            raise
        self._spent(self._budget.spend(message, size))
        if isinstance(message, Done):
            self._over = True
            if message.tag != messages.SEARCH_DONE:
                raise self._channel.fail(protocol("a search got another answer"))
        return message

    def read(self, layouts: Layouts) -> list[Any]:
        """See `SearchStream.read`."""
        found: list[Any] = []
        channel, number = self._channel, integer(self._number)[1:]
        while not self._over:
            before = len(found)
            try:
                size = channel.drain(self._number, number, layouts, found)
            except MoatbridgeError:
                self._over = True
                raise
            if not size:
                break
            self._spent(self._budget.count(len(found) - before, size))
        return found

    def _spent(self, excess: str | None) -> None:
        if excess is not None:
            self._over = True
            raise self._channel.fail(protocol(excess))

    def close(self) -> None:
        """See `SearchStream.close`."""
        if not self._over:
            self._over = True
            self._channel.abandon(self._number)

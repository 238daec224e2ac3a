"""`LineProtocol`: how one system speaks, declared as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
)

from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    Rejected,
    RejectKind,
)
from moatbridge.lines.client import LineClient
from moatbridge.lines.settings import LineConfig
from moatbridge.lines.wire import Broken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moatbridge.adapter import Net

C = TypeVar("C", bound=LineConfig)

Meaning: TypeAlias = Literal[
    "conflict", "data", "gone", "rights", "busy", "stale", "auth"
]
"""What a refusal means.

``conflict`` (that key exists already), ``data`` (these values are not accepted),
``gone`` (there is no such record) and ``rights`` concern one record and are `Rejected`;
``busy`` and ``stale`` (somebody changed it meanwhile) are `NotApplied`: it is done
again later; ``auth`` is a `ConfigurationError`: a person must act.
"""

_KINDS: Final = get_args(RejectKind)

AREA: Final = "lines"
"""Area of a protocol that names none."""


@dataclass(frozen=True, kw_only=True)
class LineProtocol:
    """How a system of text lines speaks.

    Args:
        area: First word of the codes of its refusals. Only needed without
            `make_adapter`, which gives `connect` the adapter's name.
        accepted: How the first line of an answer begins when all is well (``OK``,
            ``+OK``, ``2``); empty if there is no such word: then every line that is no
            refusal is an answer.
        refusals: How a first line begins that says no, and what that means; the longest
            beginning counts. A refusal is one line. A first line that is in neither is
            not understood: the client hangs up.
        end: What ends a line, both ways.
        encoding: Of all text, strictly; one in which a line break is a line break.
        greeting: The server speaks first, with a line that has to be accepted.
        login: Proves who we are; called with the connected client. What it raises ends
            the connection.

    Raises:
        ConfigurationError: ``lines.protocol``: the declaration contradicts itself, a
            bug of the adapter's author.
    """

    area: str = AREA
    accepted: str = ""
    refusals: Mapping[str, Meaning] = field(default_factory=dict)
    end: str = "\n"
    encoding: str = "utf-8"
    greeting: bool = False
    login: Callable[[LineClient[Any]], object] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        wrong = [
            f"'{each}' means none of {', '.join(get_args(Meaning))}"
            for each in self.refusals.values()
            if each not in get_args(Meaning)
        ]
        if "" in self.refusals:
            wrong.append("a refusal needs a beginning")
        if not self.end or not _plain(self.end, self.encoding):
            wrong.append(f"lines cannot end like this in {self.encoding!r}")
        if wrong:
            msg = f"The protocol of {self.area} does not fit: {wrong[0]}."
            raise ConfigurationError(msg, code="lines.protocol")

    def connect(self, config: C, net: Net, *, area: str = AREA) -> LineClient[C]:
        """A connected client; what `make_adapter` takes as ``connect``.

        Args:
            config: The settings.
            net: The adapter's way to the network.
            area: First word of the codes, where the protocol names none.
        """
        named = self if self.area != AREA else replace(self, area=area)
        return LineClient(net, config, named)

    def refused(self, first: str) -> MoatbridgeError | None:
        """What a first line that says no means; None for every other one.

        Only the declared beginning is shown: the rest may hold values.
        """
        found = [each for each in self.refusals if _begins(first, each)]
        if not found:
            return None
        word = max(found, key=len)
        meaning = self.refusals[word]
        code = f"{self.area}.{meaning}"
        said = f"The system answers '{word}'"
        if meaning == "auth":
            words = f"{said}: the credentials are not accepted. Check them."
            return ConfigurationError(words, code=code)
        if meaning in _KINDS:
            words = f"{said}; repeating it is pointless."
            return Rejected(words, code=code, kind=cast("RejectKind", meaning))
        return NotApplied(f"{said}; try again later.", code=code)

    def said(self, first: str) -> str:
        """What stands behind the accepted word.

        Raises:
            Broken: The line does not begin with it.
        """
        if not _begins(first, self.accepted):
            raise Broken("lines.unexpected", "gives an answer that is not understood")
        return first[len(self.accepted) :].removeprefix(" ")


def _begins(line: str, word: str) -> bool:
    """Whether a line begins with a word, and not with a longer one."""
    rest = line[len(word) :]
    longer = word[-1:].isalpha() and rest[:1].isalnum()
    return line.startswith(word) and not longer


def _plain(end: str, encoding: str) -> bool:
    try:
        return (end + "a").encode(encoding) == (end + "a").encode("ascii")
    except (LookupError, UnicodeError):
        return False

"""``[flows.NAME.decide]``: replies that become decisions in a legacy system."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from moatbridge.config.systems import Table

_WORD: Final = re.compile(r"[^\W_](?:[\w'-]{0,30})")

TEXTS: Final = {
    "unmapped": "Your account is not linked to anybody who may decide here. Nothing "
    "was decided.",
    "ambiguous": "Your account is linked to more than one person. Nothing was decided; "
    "please ask the directory's administrator.",
    "not-allowed": "You may not decide this. Nothing was decided.",
    "unknown-word": "This was not understood, and nothing was decided. Please reply "
    "with one of these words first: {words}.",
    "edited": "An edited reply does not count. If you want to decide, please write a "
    "new reply.",
    "changed": "The post has changed since you wrote, or is about to change. Nothing "
    "was decided; please look again and reply anew.",
    "conflict": "This was decided already, has changed, or can no longer be decided. "
    "Your decision was not taken.",
    "rights": "The system does not accept this decision from you (rights or limits). "
    "Nothing was decided.",
    "data": "The system does not accept this decision. Nothing was decided.",
    "not-approved": "Your decision had to be approved by somebody else and was not "
    "approved. Nothing was decided.",
}
"""Why nothing was decided -> what the person reads."""

Why = Literal[
    "unmapped", "ambiguous", "not-allowed", "unknown-word", "edited", "changed",
    "conflict", "rights", "data", "not-approved",
]  # fmt: skip


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        msg = "must be one word of letters"
        raise ValueError(msg)
    return text


class AllowedConfig(Table):
    """Who may decide: people whose record's field holds one of these texts."""

    field: str = Field(min_length=1)
    one_of: tuple[str, ...] = Field(min_length=1)


class DecideConfig(Table):
    """How replies become decisions.

    Args:
        posts: The flow whose posts are replied to.
        words: First word of a reply, in any case -> ``Accept`` or ``Reject``.
        people: Address of the directory stream that knows who is who.
        account: Its record field that holds the platform account.
        account_by: What of an account is compared, where a reply names both.
        identity: Its record field that is the legacy login.
        allowed: Whom the bridge lets decide; there is no default.
        answers: Address of the stream where people get an answer.
        texts: Other words for the answers.
    """

    posts: str
    words: dict[Annotated[str, AfterValidator(_word)], Literal["Accept", "Reject"]]
    people: str
    account: str
    account_by: Literal["name", "id"] = "name"
    identity: str
    allowed: AllowedConfig | Literal["anyone-mapped"] | None = None
    answers: str
    texts: dict[Why, Annotated[str, Field(min_length=1, max_length=400)]] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _distinct(self) -> DecideConfig:
        if self.allowed is None:
            msg = (
                "needs `allowed`: whom the bridge lets decide, such as "
                "{ field = 'role', one_of = ['approver'] }; or 'anyone-mapped'"
            )
            raise ValueError(msg)
        if not self.words:
            msg = "needs at least one word, such as approve = 'Accept'"
            raise ValueError(msg)
        if len(self.folded) != len(self.words):
            msg = "holds one word twice (case does not count)"
            raise ValueError(msg)
        return self

    @property
    def folded(self) -> dict[str, str]:
        """The words as they are compared."""
        return {word.casefold(): kind for word, kind in self.words.items()}

    def text(self, why: str) -> str:
        """What the person reads."""
        given: dict[Any, str] = dict(self.texts)
        words = ", ".join(self.words)
        return given.get(why, TEXTS[why]).replace("{words}", words)

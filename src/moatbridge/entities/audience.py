"""Who may read a post: the one comparison of audiences (entities 25, guard 20)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

AudienceKind: TypeAlias = Literal["people", "groups", "org", "public"]

AUDIENCES: Final[tuple[AudienceKind, ...]] = get_args(AudienceKind)
"""All kinds of audience, from narrow to wide."""

_NAMED: Final = frozenset({"people", "groups"})


def wider(
    audience: Mapping[str, Any] | AudienceKind, limit: Mapping[str, Any] | AudienceKind
) -> bool:
    """Whether ``audience`` may hold somebody whom ``limit`` does not.

    Kinds are compared first: people < groups < org < public. Two audiences of one kind
    are compared by whom they name. What is not a valid audience is wider than
    everything, as ``audience``, and narrower than everything, as ``limit``.

    Args:
        audience: An `Audience`, or a kind alone.
        limit: The same; a kind alone allows every audience of that kind.
    """
    mine, theirs = _kind(audience), _kind(limit)
    if mine is None or theirs is None:
        return True
    if mine != theirs or isinstance(limit, str):
        return AUDIENCES.index(mine) > AUDIENCES.index(theirs)
    if isinstance(audience, str):
        return mine in _NAMED
    return bool(_named(audience) - _named(limit))


def narrower(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """The audience for what both allow; None if that is nobody we could name.

    Of two kinds the narrower one is taken; of two audiences of one kind those whom both
    name. Somebody named in the narrower kind is not looked up in the wider one: a
    person need not be in the group that the other audience names.

    Args:
        one: A valid audience.
        other: Another one, for example the parent's of a reply.
    """
    mine, theirs = _kind(one), _kind(other)
    if mine is None or theirs is None:
        return None
    if mine != theirs:
        return dict(one if AUDIENCES.index(mine) < AUDIENCES.index(theirs) else other)
    if mine not in _NAMED:
        return {"kind": mine}
    both = _named(other)
    refs = [each for each in one["refs"] if _who(each) in both]
    return {"kind": mine, "refs": refs} if refs else None


def audience_fault(audience: object) -> str | None:
    """What is wrong with an audience, in words without values; None if nothing is."""
    if not isinstance(audience, dict):
        return "an object {kind, refs}"
    kind = audience.get("kind")
    if kind not in AUDIENCES:
        return f"a kind of {', '.join(AUDIENCES)}"
    refs = audience.get("refs") or []
    if kind in _NAMED and not (isinstance(refs, list) and refs):
        return f"at least one ref, since its kind is {kind}"
    if kind not in _NAMED and refs:
        return f"no refs, since its kind is {kind}"
    return None


def _kind(audience: Mapping[str, Any] | AudienceKind) -> AudienceKind | None:
    if isinstance(audience, str):
        return audience if audience in AUDIENCES else None
    if audience_fault(audience) is not None:
        return None
    found: AudienceKind = audience["kind"]
    return found


def _named(audience: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    return {_who(each) for each in audience.get("refs") or ()}


def _who(ref: Mapping[str, Any]) -> tuple[str, str, str]:
    """Whom a reference names: the name does not count beside an id."""
    by = "id" if "id" in ref else "name"
    return str(ref.get("stream", "")), by, str(ref.get(by, ""))

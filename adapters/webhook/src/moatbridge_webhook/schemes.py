"""Proving who sent a request: raw bytes first, nothing parsed before (platforms 30).

Every scheme tries every secret, compares in constant time, and fails in one way only.
Sources: Standard Webhooks 1.0.0; Slack "Verifying requests"; GitHub "Validating webhook
deliveries"; Discord "Interactions: security"; Microsoft Graph "Change notifications";
Matrix application service API (``hs_token``).
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Final

from moatbridge.errors import Rejected
from moatbridge_webhook import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter import Request, Secret
    from moatbridge_webhook.config import Verify

    Check = Callable[[Request], bool]

MAX_SIGNATURES: Final = 10
_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_IDENT: Final = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")


class Verifier:
    """One scheme with its secrets, which are read once, when it is made.

    Args:
        scheme: Its name.
        secrets: Any of them may prove a request.
        window: Seconds that a signed time may differ from the arrival.

    Raises:
        ConfigurationError: ``webhook.key``, ``webhook.ed25519``, ``secret.*``.
    """

    def __init__(
        self, scheme: Verify, secrets: Sequence[Secret], window: float
    ) -> None:
        self._window = window
        self._check: Check = _CHECKS[scheme](self, secrets)

    def verify(self, request: Request) -> None:
        """Return if the request is proved.

        Raises:
            Rejected: ``webhook.untrusted`` of kind ``rights``, whatever is wrong.
        """
        if not self._check(request):
            raise untrusted()

    def in_time(self, request: Request, text: str) -> bool:
        """Whether a signed time is near enough to the arrival."""
        if not _SECONDS.fullmatch(text):
            return False
        return abs(request.at - int(text)) <= self._window


def untrusted() -> Rejected:
    """The one error for every way of not being proved."""
    return Rejected(
        "A request to the inbox was not proved to come from the system; nothing was "
        "kept. If it is genuine, compare `verify` and `secrets` with the sender's.",
        code="webhook.untrusted",
        kind="rights",
    )


def _standard(verifier: Verifier, secrets: Sequence[Secret]) -> Check:
    public, shared = [], []
    for secret in secrets:
        if secret.get_secret_value().startswith(keys.PUBLIC):
            public.append(keys.public_key(keys.public_bytes(secret), secret))
        else:
            shared.append(keys.signing_key(secret))

    def check(request: Request) -> bool:
        ident = request.headers.get("webhook-id", "")
        moment = request.headers.get("webhook-timestamp", "")
        given = request.headers.get("webhook-signature", "").split(" ")
        if not _IDENT.fullmatch(ident) or not verifier.in_time(request, moment):
            return False
        if len(given) > MAX_SIGNATURES:
            return False
        content = f"{ident}.{moment}.".encode() + request.body
        wanted = [sign(content) for sign in shared]
        found = [keys.same(text, w) for text in given for w in wanted]
        found += [_signed(key, text, content) for text in given for key in public]
        return any(found)

    return check


def _signed(key: object, text: str, content: bytes) -> bool:
    version, _, encoded = text.partition(",")
    try:
        raw = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError):
        return False
    whole = binascii.b2a_base64(raw, newline=False).decode() == encoded
    return version == "v1a" and whole and keys.verifies(key, raw, content)


def _slack(verifier: Verifier, secrets: Sequence[Secret]) -> Check:
    shared = [secret.get_secret_value().encode() for secret in secrets]

    def check(request: Request) -> bool:
        moment = request.headers.get("x-slack-request-timestamp", "")
        given = request.headers.get("x-slack-signature", "")
        if not verifier.in_time(request, moment):
            return False
        content = f"v0:{moment}:".encode() + request.body
        wanted = ["v0=" + keys.signature_of(key, content) for key in shared]
        matched = [keys.same(given, text) for text in wanted]
        return any(matched)

    return check


def _sha256(verifier: Verifier, secrets: Sequence[Secret]) -> Check:
    del verifier  # nothing inside tells the time
    shared = [secret.get_secret_value().encode() for secret in secrets]

    def check(request: Request) -> bool:
        given = request.headers.get("x-hub-signature-256", "")
        given = given or request.headers.get("x-hub-signature", "")
        wanted = ["sha256=" + keys.signature_of(key, request.body) for key in shared]
        matched = [keys.same(given, text) for text in wanted]
        return any(matched)

    return check


def _discord(verifier: Verifier, secrets: Sequence[Secret]) -> Check:
    public = [keys.public_key(keys.public_bytes(secret), secret) for secret in secrets]

    def check(request: Request) -> bool:
        moment = request.headers.get("x-signature-timestamp", "")
        given = request.headers.get("x-signature-ed25519", "")
        try:
            raw = bytes.fromhex(given)
        except ValueError:
            return False
        if raw.hex() != given or not verifier.in_time(request, moment):
            return False
        content = moment.encode() + request.body
        matched = [keys.verifies(key, raw, content) for key in public]
        return any(matched)

    return check


def _bearer(verifier: Verifier, secrets: Sequence[Secret]) -> Check:
    del verifier
    wanted = ["Bearer " + secret.get_secret_value() for secret in secrets]

    def check(request: Request) -> bool:
        given = request.headers.get("authorization", "")
        matched = [keys.same(given, text) for text in wanted]
        return any(matched)

    return check


def _graph(verifier: Verifier, secrets: Sequence[Secret]) -> Check:
    """The secret stands in each notification: `events.client_states` checks it."""
    del verifier
    for secret in secrets:
        secret.get_secret_value()
    return lambda request: request.method == "POST"


def states_are(given: Sequence[object], secrets: Sequence[Secret]) -> bool:
    """Whether every ``clientState`` is one of ours (Microsoft Graph)."""
    wanted = [secret.get_secret_value() for secret in secrets]
    proved = [sum(_is(one, text) for text in wanted) > 0 for one in given]
    return bool(proved) and all(proved)


def _is(given: object, wanted: str) -> bool:
    return isinstance(given, str) and keys.same(given, wanted)


def digest(*parts: bytes) -> str:
    """A delivery id where the sender gives none: the same for the same bytes."""
    state = hashlib.blake2b(digest_size=20)
    for part in parts:
        state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()


_CHECKS: Final[dict[str, Callable[[Verifier, Sequence[Secret]], Check]]] = {
    "standard-webhooks": _standard,
    "slack-v0": _slack,
    "github-sha256": _sha256,
    "hub-sha256": _sha256,
    "ed25519-discord": _discord,
    "graph-client-state": _graph,
    "bearer": _bearer,
}

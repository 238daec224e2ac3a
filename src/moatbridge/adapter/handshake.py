"""The TLS handshake of a client, with a typed error for each way it can end.

The core's context (`Net.tls_context`) tells most failures apart by itself; what is left
is told here, so that every client of ours says the same.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moatbridge.errors import ConfigurationError, NotApplied

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def handshaking(host: str, *, late: str) -> Iterator[None]:
    """Turn what a handshake raises into errors of ours; nothing was sent by then.

    Args:
        host: Whose certificate it is, for messages.
        late: Code for a handshake that was not over in time.

    Raises:
        ConfigurationError: ``net.tls.certificate``, ``net.tls.protocol``.
        NotApplied: ``net.tls.broken-off``, and ``late``.
    """
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        message = f"The certificate of {host} fails check {error.verify_code}."
        raise ConfigurationError(message, code="net.tls.certificate") from None
    except TimeoutError:
        message = f"The TLS handshake with {host} did not end in time."
        raise NotApplied(message, code=late) from None
    except ssl.SSLEOFError as error:
        raise _broken_off(host) from error
    except ssl.SSLError as error:
        reason = (error.reason or "unknown").lower().replace("_", "-")
        message = f"No TLS with {host}: {reason}. Check port, protocol and client_cert."
        raise ConfigurationError(message, code="net.tls.protocol") from None
    except OSError as error:
        raise _broken_off(host) from error


def _broken_off(host: str) -> NotApplied:
    message = f"{host} broke the TLS handshake off; nothing was sent."
    return NotApplied(message, code="net.tls.broken-off")

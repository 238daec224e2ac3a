"""X.509 signatures of SOAP messages: ``sign`` what we send, ``verify`` what comes.

Needs the extra ``moatbridge-soap[x509]`` (``cryptography``): import it only where a
signature is configured. For the caller::

    signer = Signer.load(cert_pem, key_pem, password=None)
    sign(envelope, signer, parts=("body", "timestamp"), reference="token")

    trust = Trust.load(certificates=server_pem)        # or authorities=ca_pem
    decoder.read(chunks, content_type=..., verify=lambda root: verify(root, trust))

`sign` changes the envelope in place and must be the last thing done to it; `verify`
returns the Body that was signed.
"""

from __future__ import annotations

from moatbridge_soap.signing.signer import KeyReference, Part, Signer, sign
from moatbridge_soap.signing.verifier import Trust, verify

__all__ = ["KeyReference", "Part", "Signer", "Trust", "sign", "verify"]

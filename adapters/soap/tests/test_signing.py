"""X.509 signatures: both ways against xmlsec, and what is refused (soap 25-27)."""

from __future__ import annotations

import copy
import datetime as dt
import time

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from moatbridge.errors import ConfigurationError, Rejected
from moatbridge_soap.signing import Signer, Trust, sign, verify
from moatbridge_soap.signing.names import BASE64, DS, ID, WSA, WSSE, WSU, X509V3

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
NOW = dt.datetime.now(dt.UTC)


def certificate(key, *, name="peer", issuer=None, by=None, ca=False, days=30):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - dt.timedelta(days=60))
        .not_valid_after(NOW + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .sign(by or key, hashes.SHA256())
    )


def pem(value):
    if isinstance(value, x509.Certificate):
        return value.public_bytes(serialization.Encoding.PEM)
    return value.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SIGNERS = {
    "rsa": Signer(certificate(RSA_KEY), RSA_KEY),
    "ecdsa": Signer(certificate(EC_KEY), EC_KEY),
}


def message(*, header=""):
    """An envelope with prefixes, attributes and text that C14N must treat rightly."""
    return etree.fromstring(
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:unused="urn:unused" xmlns:x="urn:x">'
        f"<s:Header>{header}</s:Header><s:Body><x:pay b='2' a='1' x:c='ä'>\n <x:to>me"
        f"&amp;you</x:to><plain xmlns='urn:p'>1</plain></x:pay></s:Body></s:Envelope>"
    )


def sent(envelope):
    """As it arrives: through bytes."""
    return etree.fromstring(etree.tostring(envelope))


def signed(signer=None, **options):
    envelope = message(header=options.pop("header", ""))
    sign(envelope, signer or SIGNERS["rsa"], **options)
    return sent(envelope)


TRUST = Trust(certificates=tuple(each.certificate for each in SIGNERS.values()))


@pytest.mark.parametrize("reference", ["token", "issuer-serial", "ski"])
@pytest.mark.parametrize("kind", SIGNERS)
def test_what_we_sign_we_verify(kind, reference):
    envelope = signed(SIGNERS[kind], reference=reference)
    assert verify(envelope, TRUST) is envelope.find(f"{{{SOAP}}}Body")


def xmlsec_key(kind):
    manager = xmlsec.Key.from_memory(pem(SIGNERS[kind].key), xmlsec.KeyFormat.PEM, None)
    manager.load_cert_from_memory(pem(SIGNERS[kind].certificate), xmlsec.KeyFormat.PEM)
    return manager


@pytest.mark.parametrize("kind", SIGNERS)
def test_xmlsec_verifies_what_we_sign(kind):
    envelope = signed(
        SIGNERS[kind],
        parts=("body", "timestamp", "token", "addressing"),
        header=f'<a:To xmlns:a="{WSA}">urn:x</a:To>',
    )
    assert len(envelope.findall(f".//{{{DS}}}Reference")) == 4
    context = xmlsec.SignatureContext()
    for node in envelope.iter(etree.Element):
        if node.get(ID):
            context.register_id(node, "Id", WSU)
    context.key = xmlsec_key(kind)
    context.verify(envelope.find(f".//{{{DS}}}Signature"))
    envelope.find(f".//{{{SOAP}}}Body")[0].set("a", "9")
    with pytest.raises(xmlsec.Error):
        context.verify(envelope.find(f".//{{{DS}}}Signature"))


def signed_by_xmlsec(kind, *, prefixes=None, transform=None):
    envelope = message()
    header, body = envelope
    security = etree.SubElement(header, f"{{{WSSE}}}Security", nsmap={"w": WSSE})
    stamp = etree.SubElement(security, f"{{{WSU}}}Timestamp", nsmap={"u": WSU})
    now = dt.datetime.now(dt.UTC)  # not NOW: the suite may have run for minutes
    for name, moment in (("Created", now), ("Expires", now + dt.timedelta(minutes=5))):
        etree.SubElement(stamp, f"{{{WSU}}}{name}").text = moment.isoformat()[:19] + "Z"
    token = etree.SubElement(security, f"{{{WSSE}}}BinarySecurityToken")
    token.set("ValueType", X509V3)
    token.set("EncodingType", BASE64)
    der = SIGNERS[kind].certificate.public_bytes(serialization.Encoding.PEM)
    token.text = "".join(der.decode().splitlines()[1:-1])
    for number, node in enumerate((body, stamp, token)):
        node.set(ID, f"n{number}")
    method = {
        "rsa": xmlsec.Transform.RSA_SHA256,
        "ecdsa": xmlsec.Transform.ECDSA_SHA256,
    }[kind]
    signature = xmlsec.template.create(
        envelope, xmlsec.Transform.EXCL_C14N, method, ns="d"
    )
    security.append(signature)
    for number in (0, 1):
        link = xmlsec.template.add_reference(
            signature, xmlsec.Transform.SHA256, uri=f"#n{number}"
        )
        xmlsec.template.add_transform(link, transform or xmlsec.Transform.EXCL_C14N)
    if prefixes:
        for each in signature.iter(f"{{{DS}}}Transform"):
            listed = etree.SubElement(
                each, "{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces"
            )
            listed.set("PrefixList", prefixes)
    info = xmlsec.template.ensure_key_info(signature)
    holder = etree.SubElement(info, f"{{{WSSE}}}SecurityTokenReference")
    etree.SubElement(holder, f"{{{WSSE}}}Reference").set("URI", "#n2")
    context = xmlsec.SignatureContext()
    for node in (body, stamp, token):
        context.register_id(node, "Id", WSU)
    context.key = xmlsec_key(kind)
    context.sign(signature)
    return sent(envelope)


@pytest.mark.parametrize("prefixes", [None, "s unused", "x"])
@pytest.mark.parametrize("kind", SIGNERS)
def test_we_verify_what_xmlsec_signs(kind, prefixes):
    envelope = signed_by_xmlsec(kind, prefixes=prefixes)
    assert verify(envelope, TRUST) is envelope[1]
    envelope[1][0].set("a", "9")
    refused(envelope, "changed")


def refused(envelope, why, trust=TRUST, **options):
    with pytest.raises(Rejected, match=why) as caught:
        verify(envelope, trust, **options)
    assert caught.value.code == "soap.signature"


def test_an_existing_token_and_timestamp_are_kept():
    header = (
        f'<w:Security xmlns:w="{WSSE}" xmlns:u="{WSU}"><u:Timestamp><u:Created>'
        f"{dt.datetime.now(dt.UTC).isoformat()[:19]}Z</u:Created></u:Timestamp><w:UsernameToken/>"
        "</w:Security>"
    )
    envelope = signed(header=header)
    assert len(envelope.findall(f".//{{{WSU}}}Timestamp")) == 1
    assert envelope.find(f".//{{{WSSE}}}UsernameToken") is not None
    verify(envelope, TRUST)


def test_an_envelope_without_header_gets_one():
    envelope = message()
    envelope.remove(envelope[0])
    sign(envelope, SIGNERS["rsa"])
    verify(sent(envelope), TRUST)


def test_a_signature_by_somebody_else_is_refused():
    key = rsa.generate_private_key(65537, 2048)
    stranger = Signer(certificate(key), key)
    refused(signed(stranger), "not trusted")
    refused(signed(stranger, reference="ski"), "not trusted")


def test_our_own_certificate_is_not_the_servers():
    trust = Trust(certificates=(SIGNERS["ecdsa"].certificate,))
    refused(signed(SIGNERS["rsa"]), "not trusted", trust)


def test_an_authority_vouches_for_its_children_only():
    root = rsa.generate_private_key(65537, 2048)
    authority = certificate(root, name="ca", ca=True)
    leaf = certificate(RSA_KEY, issuer=authority, by=root)
    trust = Trust.load(authorities=pem(authority))
    envelope = signed(Signer(leaf, RSA_KEY))
    assert verify(envelope, trust) is envelope[1]
    refused(signed(), "not trusted", trust)
    lower = certificate(EC_KEY, issuer=leaf, by=RSA_KEY)
    refused(signed(Signer(lower, EC_KEY)), "not trusted", trust)
    no_ca = Trust(authorities=(leaf,))
    refused(signed(Signer(lower, EC_KEY)), "not trusted", no_ca)


def test_an_expired_certificate_is_refused():
    old = certificate(RSA_KEY, days=-1)
    refused(signed(Signer(old, RSA_KEY)), "not trusted", Trust(certificates=(old,)))


@pytest.mark.parametrize("minutes", [-11, 6])
def test_an_old_or_future_timestamp_is_refused(minutes):
    made = NOW + dt.timedelta(minutes=minutes)
    refused(signed(now=made), "Timestamp", now=NOW)


def test_an_unsigned_answer_is_refused():
    refused(message(), "Security header")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (f".//{{{DS}}}Signature", "one signature"),
        (f".//{{{WSU}}}Timestamp", "reference|timestamp"),
        (f".//{{{DS}}}SignedInfo", "SignedInfo"),
        (f".//{{{DS}}}KeyInfo", "not trusted"),
        (f".//{{{WSSE}}}BinarySecurityToken", "not trusted"),
        (f".//{{{DS}}}SignatureValue", "SignatureValue"),
        (f".//{{{DS}}}Transforms", "wrong"),
    ],
)
def test_a_missing_part_is_refused(path, why):
    envelope = signed()
    node = envelope.find(path)
    node.getparent().remove(node)
    refused(envelope, why)


@pytest.mark.parametrize("part", ["body", "timestamp"])
def test_a_part_that_was_not_signed_is_refused(part):
    rest = tuple({"body", "timestamp"} - {part})
    refused(signed(parts=rest), f"its {part} is not what was signed")


@pytest.mark.parametrize(
    ("tag", "old", "new", "why"),
    [
        ("SignatureMethod", "rsa-sha256", "rsa-sha1", "not allowed"),
        ("SignatureMethod", "rsa-sha256", "rsa-sha512", "wrong"),
        ("SignatureMethod", "rsa-sha256", "ecdsa-sha256", "does not fit"),
        ("SignatureMethod", "rsa-sha256", "hmac-sha256", "not allowed"),
        ("CanonicalizationMethod", "xml-exc-c14n#", "xml-c14n", "exclusive"),
        ("DigestMethod", "sha256", "sha1", "wrong"),
        ("Transform", "xml-exc-c14n#", "xml-c14n", "wrong"),
    ],
)
def test_a_downgraded_algorithm_is_refused(tag, old, new, why):
    envelope = signed()
    node = envelope.find(f".//{{{DS}}}{tag}")
    node.set("Algorithm", node.get("Algorithm").replace(old, new))
    refused(envelope, why)


def test_weak_algorithms_are_refused_also_when_honestly_signed(monkeypatch):
    from moatbridge_soap.signing import signer as module

    class Names:
        """The module's names with SHA-1 in their place."""

        def __getattr__(self, name):
            real = getattr(module_names, name)
            return (
                "http://www.w3.org/2000/09/xmldsig#sha1" if name == "SHA256" else real
            )

    module_names = module.names
    monkeypatch.setattr(module, "names", Names())
    refused(signed(), "digest algorithm")


# -- signature wrapping: a forged Body beside the signed original ----------------------


def forged(envelope):
    """The Body of the attacker, and the signed one taken out of its place."""
    real = envelope.find(f"{{{SOAP}}}Body")
    fake = copy.deepcopy(real)
    fake[0][0].text = "the attacker"
    envelope.replace(real, fake)
    return real, fake


def wrapped_in_header(envelope):
    real, fake = forged(envelope)
    del fake.attrib[ID]
    etree.SubElement(envelope[0], "wrapper").append(real)


def wrapped_in_security(envelope):
    real, fake = forged(envelope)
    del fake.attrib[ID]
    envelope.find(f".//{{{WSSE}}}Security").append(real)


def wrapped_in_signature_object(envelope):
    real, fake = forged(envelope)
    del fake.attrib[ID]
    signature = envelope.find(f".//{{{DS}}}Signature")
    etree.SubElement(signature, f"{{{DS}}}Object").append(real)


def wrapped_with_the_same_id(envelope):
    real, _ = forged(envelope)
    etree.SubElement(envelope[0], "wrapper").append(real)


def wrapped_as_second_body(envelope):
    real, fake = forged(envelope)
    fake.set(ID, "fake")
    envelope.append(real)


def wrapped_inside_the_forged_body(envelope):
    real, fake = forged(envelope)
    fake.set(ID, "fake")
    fake.append(real)


def wrapped_whole_envelope(envelope):
    inner = copy.deepcopy(envelope)
    real = envelope.find(f"{{{SOAP}}}Body")
    del real.attrib[ID]
    real[0][0].text = "the attacker"
    envelope.append(inner)


def wrapped_with_plain_id(envelope):
    real, fake = forged(envelope)
    name = fake.attrib.pop(ID)
    fake.set("Id", name)
    etree.SubElement(envelope[0], "wrapper").append(real)


def wrapped_timestamp(envelope):
    real = envelope.find(f".//{{{WSU}}}Timestamp")
    fake = copy.deepcopy(real)
    del fake.attrib[ID]
    real.getparent().replace(real, fake)
    etree.SubElement(envelope[0], "wrapper").append(real)


def second_security_header(envelope):
    security = envelope.find(f".//{{{WSSE}}}Security")
    other = copy.deepcopy(security)
    for node in other.iter(etree.Element):
        node.attrib.pop(ID, None)
    envelope[0].insert(0, other)


WRAPPINGS = [
    wrapped_in_header, wrapped_in_security, wrapped_in_signature_object,
    wrapped_with_the_same_id, wrapped_as_second_body, wrapped_inside_the_forged_body,
    wrapped_whole_envelope, wrapped_with_plain_id, wrapped_timestamp,
    second_security_header,
]  # fmt: skip


@pytest.mark.parametrize("attack", WRAPPINGS)
def test_a_wrapped_signature_is_refused(attack):
    envelope = signed()
    verify(copy.deepcopy(envelope), TRUST)
    attack(envelope)
    refused(sent(envelope), "refused")


def test_a_token_outside_the_security_header_does_not_count():
    envelope = signed()
    token = envelope.find(f".//{{{WSSE}}}BinarySecurityToken")
    envelope[0].append(token)
    refused(envelope, "not trusted")


# -- keys ------------------------------------------------------------------------------


def test_keys_are_loaded_from_pem():
    ours = SIGNERS["rsa"]
    loaded = Signer.load(pem(ours.certificate), pem(ours.key))
    verify(signed(loaded), Trust.load(certificates=pem(ours.certificate)))
    secret = b"opensesame"
    locked = ours.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(secret),
    )
    Signer.load(pem(ours.certificate), locked, password=secret)
    assert "BEGIN" not in repr(loaded)
    assert "Certificate" not in repr(loaded)


SHORT = rsa.generate_private_key(65537, 1024)


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        (b"nonsense", b"nonsense", "PEM"),
        (pem(SIGNERS["rsa"].certificate), pem(EC_KEY), "does not belong"),
        (pem(certificate(SHORT)), pem(SHORT), "2048"),
    ],
)
def test_a_key_that_cannot_be_used_is_a_configuration_error(cert, key, why):
    with pytest.raises(ConfigurationError, match=why) as caught:
        Signer.load(cert, key)
    assert caught.value.code == "soap.signing-key"
    with pytest.raises(ConfigurationError):
        Trust.load(certificates=b"nonsense")
    with pytest.raises(ConfigurationError):
        Trust.load()


def test_a_signature_costs_little():
    envelopes = [message() for _ in range(50)]
    began = time.process_time()
    for envelope in envelopes:
        sign(envelope, SIGNERS["rsa"])
    assert (time.process_time() - began) / 50 < 0.02

"""Urls, host keys, algorithms and our own key: what needs no server."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.storage import Jump, SshAuth, SshSettings, arriving, endpoints
from moatbridge_sftp.storage.urls import Place, parse_url
from moatbridge_sftp.wire import algorithms, hostkeys
from moatbridge_sftp.wire.keys import load_key
from servers.openssh import held

KEY = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + bytes(range(32))


def test_a_url_is_taken_apart():
    assert parse_url("sftp://acme@files.example:2222/out%20box") == Place(
        "sftp", "acme", "files.example", 2222, "/out box"
    )
    assert parse_url("sftp://acme@files.example").path == "/~"
    assert parse_url("file:///srv/drop").path == "/srv/drop"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a@b/c", "sftp://b/c", "sftp://a:hidden-word@b/c", "sftp://a@b:70000/",
        "file://other/srv", "sftp://a@b/c?x=1", "sftp://a@b/c#d", "sftp://a@b/%00",
    ],
)  # fmt: skip
def test_a_url_with_more_or_less_than_it_needs_is_refused(url):
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert caught.value.code == "sftp.url"
    assert "hidden-word" not in str(caught.value)


def test_only_the_jump_host_is_dialled():
    ssh = SshSettings(jump=Jump(url="ssh://me@jump.example:2200"))
    assert endpoints("sftp://a@b.example/c") == [("b.example", 22)]
    assert endpoints("sftp://a@b.example/c", ssh) == [("jump.example", 2200)]
    assert endpoints("file:///srv") == []


def test_the_pinned_host_key_passes_and_two_may_be_pinned():
    other = hostkeys.fingerprint(b"another key")
    pins = hostkeys.pins("h", 22, [other, hostkeys.fingerprint(KEY)], None)
    hostkeys.check(KEY, pins, "h", 22)


@pytest.mark.parametrize("own", [None, SshAuth(password=held("outer"))])
def test_a_jump_host_never_gets_the_servers_password(monkeypatch, own):
    """Its key is a proof and may be shown; a password is given away."""
    shown = {}

    def connect(peer, net, below=None):
        shown[peer.host] = peer.auth

    monkeypatch.setattr(arriving.ssh, "connect", connect)
    auth = SshAuth(key=held("k"), password=held("inner"), answers={"PIN": held("7")})
    pin = hostkeys.fingerprint(KEY)
    jump = Jump(url="sftp://me@outer", host_keys=(pin,), auth=own)
    settings = SshSettings(host_keys=(pin,), auth=auth, jump=jump)
    arriving.dial(parse_url("sftp://me@inner/x"), settings, None)
    assert shown["inner"] == auth
    assert shown["outer"] == (own or SshAuth(key=auth.key))


@given(st.binary(max_size=80).filter(lambda key: key != KEY))
def test_any_other_host_key_is_refused_with_both_fingerprints(key):
    pins = hostkeys.pins("h", 22, [hostkeys.fingerprint(KEY)], None)
    with pytest.raises(ConfigurationError) as caught:
        hostkeys.check(key, pins, "h", 22)
    assert caught.value.code == "sftp.host-key"
    assert hostkeys.fingerprint(KEY) in str(caught.value)
    assert hostkeys.fingerprint(key) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "MD5:aa:bb", "SHA256:", "SHA256:AAAA", "*", "any"]
)
def test_a_pin_that_pins_nothing_is_refused(text):
    with pytest.raises(ConfigurationError, match="ssh-keygen"):
        hostkeys.pins("h", 22, [text], None)


def test_without_a_pin_there_is_no_connection():
    with pytest.raises(ConfigurationError, match="show-host-key"):
        hostkeys.pins("h", 22, [], None)


def hashed(name: str) -> str:
    salt = bytes(range(20))
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    both = (base64.b64encode(one).decode() for one in (salt, digest))
    return "|1|" + "|".join(both)


@pytest.mark.parametrize(
    "names",
    ["[files.example]:2222", "x,[FILES.example]:2222", hashed("[files.example]:2222")],
)
def test_known_hosts_gives_keys_and_the_types_to_ask_for_first(names, tmp_path):
    body = base64.b64encode(KEY).decode()
    lines = f"# comment\n\nother ssh-rsa AAAA\n{names} ssh-ed25519 {body} note\n"
    path = tmp_path / "known_hosts"
    path.write_text(lines)
    pins = hostkeys.pins("files.example", 2222, [], str(path))
    hostkeys.check(KEY, pins, "files.example", 2222)
    assert pins.algorithms == ("ssh-ed25519",)
    with pytest.raises(ConfigurationError, match="No host key"):
        hostkeys.pins("files.example", 22, [], str(path))


@pytest.mark.parametrize("marker", ["@revoked", "@cert-authority"])
def test_a_marked_line_of_known_hosts_is_not_passed_over(marker):
    line = f"{marker} files.example ssh-ed25519 {base64.b64encode(KEY).decode()}"
    with pytest.raises(ConfigurationError, match="marker"):
        hostkeys.known_keys([line], "files.example")
    assert hostkeys.known_keys([line], "other.example") == []


def test_the_pinned_key_type_is_asked_for_first():
    known = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
    assert algorithms.key_types(known, ("rsa-sha2-512",))[0] == "rsa-sha2-512"
    assert set(algorithms.key_types(known, ("rsa-sha2-512",))) == set(known)


def test_gcm_comes_first_and_weak_algorithms_are_off():
    offer = algorithms.offer(())
    assert offer.ciphers[0] == "aes128-gcm@openssh.com"
    assert offer.strict_kex
    weak = ("cbc", "3des", "md5", "sha1", "-96")
    assert not [
        name for name in offer.ciphers + offer.macs if any(w in name for w in weak)
    ]


def test_legacy_algorithms_come_last():
    offer = algorithms.offer(["3des-cbc", "hmac-sha1", "no-strict-kex"])
    assert offer.ciphers[-1] == "3des-cbc"
    assert offer.macs[-1] == "hmac-sha1"
    assert not offer.strict_kex


@pytest.mark.parametrize("name", ["ssh-rsa", "ssh-dss", "arcfour", "zlib"])
def test_what_cannot_be_allowed_says_to_update_the_server(name):
    with pytest.raises(ConfigurationError, match="updated") as caught:
        algorithms.offer([name])
    assert caught.value.code == "sftp.algorithms"


def private(key, password=None, form=serialization.PrivateFormat.OpenSSH):
    cipher = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, form, cipher).decode()


@pytest.mark.parametrize("form", ["OpenSSH", "PKCS8"])
@pytest.mark.parametrize(
    ("made", "name"),
    [
        (ed25519.Ed25519PrivateKey.generate(), "ssh-ed25519"),
        (ec.generate_private_key(ec.SECP256R1()), "ecdsa-sha2-nistp256"),
        (rsa.generate_private_key(65537, 2048), "ssh-rsa"),
    ],
)
def test_a_key_of_each_kind_and_form_is_read(made, name, form):
    text = private(made, form=getattr(serialization.PrivateFormat, form))
    # a secret's trailing newline is taken off when it is resolved
    assert load_key(SshAuth(key=held(text.rstrip("\n")))).get_name() == name


def test_passphrase_mistakes_are_told_apart_and_never_shown():
    made = ed25519.Ed25519PrivateKey.generate()
    locked, plain = private(made, b"open-sesame-77"), private(made)
    right = SshAuth(key=held(locked), passphrase=held("open-sesame-77"))
    assert load_key(right).get_name() == "ssh-ed25519"
    for auth, words in (
        (SshAuth(key=held(locked)), "set `auth.passphrase`"),
        (SshAuth(key=held(locked), passphrase=held("open-wrong-77")), "does not open"),
        (SshAuth(key=held(plain), passphrase=held("open-sesame-77")), "remove"),
        (SshAuth(key=held("not a key at all")), "not a private key"),
        (SshAuth(key=held(plain), certificate=held("nonsense")), "certificate"),
    ):
        with pytest.raises(ConfigurationError, match=words) as caught:
            load_key(auth)
        assert caught.value.code == "sftp.key"
        assert "77" not in str(caught.value)


def test_a_dsa_key_is_refused():
    made = dsa.generate_private_key(1024)
    text = private(made, form=serialization.PrivateFormat.PKCS8)
    with pytest.raises(ConfigurationError, match="Ed25519, ECDSA or RSA"):
        load_key(SshAuth(key=held(text)))

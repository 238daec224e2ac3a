"""Where documents may come from, and what a WSDL must be (soap 3.A)."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_soap import SoapConfig
from moatbridge_soap.wsdl import choose_port, describe
from servers.soap_scripted import ScriptedSoap, Told
from servers.soap_world import adapter, orders, system

ENDPOINT = "http://127.0.0.1:9/erp"
HEAD = '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t">'


def config(path, **more):
    return SoapConfig(wsdl=str(path), endpoint=ENDPOINT, **more)


def refused(path, **more):
    with pytest.raises(ConfigurationError) as caught:
        describe(config(path, **more), None)
    return caught.value


def importing(folder, location, namespace="urn:other"):
    path = folder / "main.wsdl"
    at = f'schemaLocation="{location}"' if location is not None else ""
    path.write_text(
        f'{HEAD}<wsdl:types><xsd:schema targetNamespace="urn:t"><xsd:import namespace="{namespace}" {at}/></xsd:schema></wsdl:types></wsdl:definitions>'
    )
    return path


SCHEMA = '<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" targetNamespace="{}"><xsd:element name="a" type="xsd:string"/></xsd:schema>'


def test_an_html_login_page_is_no_wsdl(tmp_path):
    page = tmp_path / "login.html"
    page.write_text("<html><head><title>Login</title></head><body/></html>")
    error = refused(page)
    assert error.code == "soap.wsdl"
    assert "html" in error.message
    broken = tmp_path / "broken.html"
    broken.write_text("<html><br><p>Login secret-word</html>")
    error = refused(broken)
    assert error.code == "soap.wsdl"
    assert "secret-word" not in str(error)


def test_an_empty_or_foreign_document_is_no_wsdl(tmp_path):
    for text in ("", "<a/>", SCHEMA.format("urn:x")):
        path = tmp_path / "x.wsdl"
        path.write_text(text)
        assert refused(path).code == "soap.wsdl"


def test_a_missing_file_is_told(tmp_path):
    assert refused(tmp_path / "nobody.wsdl").code == "soap.wsdl"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_doctype_is_refused_in_any_encoding(tmp_path, encoding):
    path = tmp_path / "dtd.wsdl"
    text = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{HEAD}</wsdl:definitions>'
    path.write_bytes(text.encode(encoding))
    assert refused(path).code == "soap.wsdl"


@pytest.mark.parametrize(
    "location",
    ["file:///etc/hostname", "/etc/hostname", "../outside.xsd", "../../../../../../etc/hostname", "ftp://files.example/x.xsd", "http://127.0.0.1:9/x.xsd", "https://elsewhere.example/x.xsd", "//elsewhere.example/x.xsd"],
)  # fmt: skip
def test_imports_from_elsewhere_are_refused(tmp_path, location):
    folder = tmp_path / "wsdl"
    folder.mkdir()
    (tmp_path / "outside.xsd").write_text(SCHEMA.format("urn:other"))
    error = refused(importing(folder, location))
    assert error.code in {"soap.import-refused", "soap.wsdl"}
    assert "passwd" not in str(error)
    if not location.startswith(("//", "ftp:")):  # those are read as paths in the folder
        assert error.code == "soap.import-refused", error


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "wsdl"
    folder.mkdir()
    (tmp_path / "outside.xsd").write_text(SCHEMA.format("urn:other"))
    (folder / "inside.xsd").symlink_to(tmp_path / "outside.xsd")
    assert refused(importing(folder, "inside.xsd")).code == "soap.import-refused"


def test_local_imports_and_cycles_resolve(tmp_path):
    (tmp_path / "types").mkdir()
    (tmp_path / "types" / "other.xsd").write_text(
        '<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:other">'
        '<xsd:include schemaLocation="more.xsd"/></xsd:schema>'
    )
    (tmp_path / "types" / "more.xsd").write_text(
        '<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:other">'
        '<xsd:include schemaLocation="other.xsd"/><xsd:element name="a" type="xsd:string"/></xsd:schema>'
    )
    found = describe(config(importing(tmp_path, "types/other.xsd")), None)
    assert found.document.types.get_element("{urn:other}a") is not None


def test_documents_replace_a_broken_import(tmp_path):
    copy = tmp_path / "copy.xsd"
    copy.write_text(SCHEMA.format("urn:other"))
    url = "http://127.0.0.1:9/broken.xsd"
    path = importing(tmp_path, url)
    found = describe(config(path, documents={url: str(copy)}), None)
    assert found.document.types.get_element("{urn:other}a") is not None


def test_documents_by_namespace_fill_an_empty_import(tmp_path):
    copy = tmp_path / "copy.xsd"
    copy.write_text(SCHEMA.format("urn:other"))
    path = importing(tmp_path, None)
    found = describe(config(path, documents={"urn:other": str(copy)}), None)
    assert found.document.types.get_element("{urn:other}a") is not None


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("http://schemas.xmlsoap.org/soap/encoding/", "string"),
        ("http://www.w3.org/2005/05/xmlmime", None),
        ("http://www.w3.org/2004/08/xop/include", "Include"),
        ("http://www.w3.org/2005/08/addressing", "EndpointReference"),
        ("http://schemas.microsoft.com/2003/10/Serialization/", "guid"),
    ],
)
@pytest.mark.parametrize("location", [None, "http://machine.invalid/missing.xsd"])
def test_stubs_stand_for_well_known_namespaces(tmp_path, namespace, name, location):
    found = describe(config(importing(tmp_path, location, namespace)), None)
    if name is not None:
        assert found.document.types.get_element(f"{{{namespace}}}{name}") is not None


def test_limits_on_documents_size_and_depth(tmp_path):
    for number in range(30):
        text = SCHEMA.format("urn:other").replace(
            "<xsd:element",
            f'<xsd:include schemaLocation="d{number + 1}.xsd"/><xsd:element',
            1,
        )
        (tmp_path / f"d{number}.xsd").write_text(text)
    path = importing(tmp_path, "d0.xsd")
    assert "deeper" in refused(path).message
    assert (
        "one document more"
        in refused(path, max_wsdl={"documents": 5, "depth": 50}).message
    )
    assert "larger" in refused(path, max_wsdl={"size": 600}).message


def test_errors_of_zeep_become_ours(tmp_path):
    path = tmp_path / "odd.wsdl"
    path.write_text(
        f'{HEAD}<wsdl:binding name="b" type="nobody"/><wsdl:service name="s"><wsdl:port name="p" binding="none"/></wsdl:service></wsdl:definitions>'
    )
    with pytest.raises(ConfigurationError) as caught:
        choose_port(describe(config(path), None).document, config(path))
    assert caught.value.code in {"soap.wsdl", "soap.unsupported"}


def test_a_second_instance_shares_the_parsed_wsdl(erp_server):
    first = describe(system(erp_server), None)
    assert describe(system(erp_server), None) is first


def test_a_changed_file_is_read_again(tmp_path):
    path = importing(tmp_path, None, "http://www.w3.org/2005/08/addressing")
    first = describe(config(path), None)
    path.write_text(path.read_text() + "<!-- newer -->")
    second = describe(config(path), None)
    assert second is not first
    assert second.digest != first.digest


def test_redirects_are_refused_on_load_and_post(tmp_path):
    """The password inside the body must not follow a 307 (soap 3)."""
    with ScriptedSoap(lambda _: Told(200, "<a/>")) as other:
        away = Told(307, headers={"Location": f"{other.origin}/erp?token=abc"})
        with ScriptedSoap(lambda _: away) as peer:
            remote = adapter(
                system(peer.in_folder(tmp_path), wsdl=f"{peer.origin}/erp?wsdl"), {}
            )
            with pytest.raises(ConfigurationError) as loading:
                remote.open()
            made = adapter(system(peer.in_folder(tmp_path)), {"orders": orders()})
            with made, pytest.raises(ConfigurationError) as posting:
                list(made.scan("orders", made.split("orders", 1)[0], None))
        assert other.asked == []
        for caught in (loading, posting):
            assert caught.value.code == "soap.redirect"
            assert str(other.port) in str(caught.value)
            assert "abc" not in str(caught.value)


def remote(peer, tmp_path, **more):
    settings = {"wsdl": f"{peer.origin}/erp?wsdl", "endpoint": peer.endpoint()}
    return SoapConfig(**settings, **more)


def test_a_download_is_kept_and_validated(tmp_path):
    with ScriptedSoap(lambda _: Told(404)) as peer:
        text = peer.in_folder(tmp_path).wsdl_file().read_text()

        def script(asked):
            if asked.headers.get("if-none-match") == '"v1"':
                return Told(304)
            return Told(200, text, {"ETag": '"v1"'})

        peer.script = script
        kept = tmp_path / "kept"
        made = adapter(remote(peer, tmp_path, cache=str(kept)), {"orders": orders()})
        with made:
            assert made.streams()[0].name == "orders"
        assert len(peer.asked) == 1
        for path in kept.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        again = remote(peer, tmp_path, cache=str(kept), documents={"urn:unused": "x"})
        with adapter(again, {}):
            assert len(peer.asked) == 1, "fresh for a day"
        aged(kept)
        third = remote(peer, tmp_path, cache=str(kept), documents={"urn:unused": "y"})
        with adapter(third, {}):
            assert peer.asked[-1].headers["if-none-match"] == '"v1"'
        peer.script = lambda _: Told(500)
        aged(kept)
        down = remote(peer, tmp_path, cache=str(kept), documents={"urn:unused": "z"})
        with adapter(down, {}):
            pass  # the server is down: what it said last still holds
        bare = remote(peer, tmp_path, documents={"urn:unused": "q"})
        with pytest.raises(NotApplied):
            adapter(bare, {}).open()


def aged(folder):
    import json

    for path in Path(folder).glob("*.json"):
        note = json.loads(path.read_text())
        path.write_text(json.dumps(note | {"at": note["at"] - 90_000}))


_FRESH = """
import sys
import moatbridge as mb
from moatbridge.config import load
from moatbridge.testing import net
from moatbridge_soap import SoapAdapter
config = load(sys.argv[1], mb.Registry()).systems["erp"].settings
made = SoapAdapter(config, {})
made.net = net(SoapAdapter.endpoints(config))
with made:
    print(made._connection.port.qname)
"""


def opened_afresh(file):
    """What a process of its own says that opens a configured system."""
    return subprocess.run(
        [sys.executable, "-c", _FRESH, str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_new_process_opens_while_the_servers_of_documents_are_down(tmp_path):
    """Without any setting: copies lie beside the configuration file (soap 9)."""
    wsdl = {}
    with ScriptedSoap(lambda _: Told(200)) as service:
        with ScriptedSoap(lambda _: Told(200, wsdl["text"])) as shelf:
            wsdl["text"] = service.in_folder(tmp_path).wsdl_file().read_text()
            file = tmp_path / "moatbridge.toml"
            text = (
                f'[systems.erp]\nadapter = "soap"\nwsdl = "{shelf.origin}/orders"\n'
                f'endpoint = "{service.endpoint()}"\n'
            )
            file.write_text(text)
            first = opened_afresh(file)
            assert first.stdout.strip().endswith("}Orders"), first.stderr
            assert len(shelf.asked) == 1
        kept = tmp_path / ".moatbridge" / "wsdl"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o700
        assert {p.suffix for p in kept.iterdir()} == {".json", ".xml"}
        aged(kept)  # a day has gone by: it asks, and nobody is there
        assert opened_afresh(file).stdout == first.stdout
        file.write_text(f"{text}cache = false\n")
        assert "NotApplied" in opened_afresh(file).stderr


def test_a_tampered_copy_is_not_used(tmp_path):
    from moatbridge_soap.wsdl._cache import DocumentCache

    cache = DocumentCache(str(tmp_path / "c"))
    cache.write("https://x.example/a", b"<a/>", None)
    assert cache.read("https://x.example/a").content == b"<a/>"
    for path in (tmp_path / "c").glob("*.xml"):
        path.write_bytes(b"<b/>")
    assert cache.read("https://x.example/a") is None
    assert cache.read("https://x.example/b") is None


def test_the_advertised_address_is_only_compared(hr_server):
    """Axis prints the machine's internal name; we go to ``endpoint``."""
    from moatbridge_soap import SoapConfig

    settings = SoapConfig(wsdl=str(hr_server.wsdl), endpoint=hr_server.endpoint())
    with adapter(settings, {}) as made:
        assert any(
            "hr.internal.example" in warning for warning in made.probe().warnings
        )


def test_several_ports_must_be_chosen(tmp_path, erp_server):
    text = erp_server.wsdl_file().read_text()
    port = '<wsdl:port name="Orders" binding="tns:Orders">'
    assert port in text
    start = text.index(port)
    end = text.index("</wsdl:port>", start) + len("</wsdl:port>")
    second = text[start:end].replace('name="Orders"', 'name="Second"')
    path = tmp_path / "two.wsdl"
    path.write_text(text[:end] + second + text[end:])
    with pytest.raises(ConfigurationError) as caught:
        choose_port(describe(config(path), None).document, config(path))
    assert caught.value.code == "soap.wsdl"
    assert "Second" in caught.value.message
    chosen = config(path, port="Second")
    assert choose_port(describe(chosen, None).document, chosen).qname.endswith(
        "}Second"
    )


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"key": ["orderNo"]}, "orderNr"),
        ({"fields": ["titel"]}, "title"),
        ({"version": "versoin"}, "version"),
    ],
)
def test_unknown_fields_are_found_at_load(erp_server, change, hint):
    made = adapter(system(erp_server), {"orders": orders(**change)})
    with pytest.raises(ConfigurationError) as caught:
        made.open()
    assert caught.value.code == "soap.path"
    assert f"did you mean {hint!r}" in caught.value.message


def test_unknown_operations_and_paths_are_found_at_load(erp_server):
    listing = {"operation": "ListOrder", "items": "ListOrdersResponse/orders/order"}
    made = adapter(system(erp_server), {"orders": orders(list=listing)})
    with pytest.raises(ConfigurationError, match="did you mean 'ListOrders'"):
        made.open()
    listing = {
        "operation": "ListOrders",
        "items": "ListOrdersResponse/orders/ordr",
        "request": {"max": 1},
    }
    made = adapter(system(erp_server), {"orders": orders(list=listing)})
    with pytest.raises(ConfigurationError, match="order") as caught:
        made.open()
    assert caught.value.code == "soap.path"

"""echo and send call as the node does: by its title, with its certificate."""

import time
from types import SimpleNamespace

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from ichnode.app import certificates
from ichnode.cli.context import Exit
from ichnode.tls.contexts import server_context
from tests.certificates import Authority
from tests.unit.cli.test_cli_images import HEAD

JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


@pytest.fixture
def tls(config, authority):
    """The node has a certificate; returns its lines under [tls]."""
    files = authority.issue()
    lines = [f'{name} = "{getattr(files, name)}"' for name in ("certificate", "key", "ca")]
    config.write_text(config.read_text() + "[tls]\n" + "\n".join(lines) + "\n")
    return files


@pytest.fixture
def start_pacs():
    """Starts a PACS, over TLS where it is given files; returns its port, and the titles that will have called it."""
    servers = []

    def start(files=None):
        titles: list[str] = []

        def on_accepted(event) -> None:
            titles.append(event.assoc.requestor.ae_title)

        def on_store(_event) -> int:
            return 0x0000

        entity = AE(ae_title="PACS")
        entity.require_called_aet = True
        entity.add_supported_context(Verification)
        entity.add_supported_context(CTImageStorage, JPEG_LS_LOSSLESS)
        handlers = [(evt.EVT_ACCEPTED, on_accepted), (evt.EVT_C_STORE, on_store)]
        context = server_context(files, mutual=True) if files else None
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers))
        return servers[-1].server_address[1], titles

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("verb", [["echo"], ["send", HEAD / "01.dcm"]])
def test_an_address_is_called_by_the_nodes_own_title(ichnode, config, start_pacs, verb):
    config.write_text(config.read_text().replace("[node]", '[node]\nae_title = "WARD7"'))
    port, titles = start_pacs()

    assert ichnode(*verb, f"127.0.0.1:{port}", "--called", "PACS").code == Exit.OK
    assert ichnode(*verb, f"127.0.0.1:{port}", "--called", "PACS", "--calling", "CT9").code == Exit.OK

    assert titles == ["WARD7", "CT9"]


@pytest.mark.parametrize(("verb", "title"), [(["echo"], "ICHNODE"), (["send", HEAD / "01.dcm"], "ICHNODE-SEND")])
def test_without_a_configuration_an_address_is_called_all_the_same(
    ichnode, tmp_path, monkeypatch, start_pacs, verb, title
):
    monkeypatch.delenv("ICHNODE_CONFIG")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    port, titles = start_pacs()

    assert ichnode(*verb, f"127.0.0.1:{port}", "--called", "PACS").code == Exit.OK

    assert titles == [title]
    said = ichnode(*verb, f"127.0.0.1:{port}", "--tls")
    assert said.code == Exit.USAGE
    assert "TLS needs a configuration with tls.ca" in said.err


@pytest.mark.usefixtures("tls")
@pytest.mark.parametrize("verb", [["echo"], ["send", HEAD / "01.dcm"]])
def test_a_named_destination_is_called_as_the_deliverer_calls_it(ichnode, add_remote, start_pacs, authority, verb):
    port, titles = start_pacs(authority.issue())
    add_remote("destination", port, more="tls = true")

    assert ichnode(*verb, "pacs").code == Exit.OK

    assert titles == ["ICHNODE"]


@pytest.mark.usefixtures("tls")
@pytest.mark.parametrize("verb", [["echo"], ["send", HEAD / "01.dcm"]])
def test_an_address_is_called_over_tls_with_the_nodes_certificate(ichnode, start_pacs, authority, verb):
    right, _ = start_pacs(authority.issue())
    other, _ = start_pacs(authority.issue(names="DNS:elsewhere"))

    assert ichnode(*verb, f"127.0.0.1:{right}", "--called", "PACS", "--tls").code == Exit.OK
    refused = ichnode(*verb, f"127.0.0.1:{other}", "--called", "PACS", "--tls")
    assert (refused.code, "is not accepted" in refused.out) == (Exit.NO, True)
    assert ichnode(*verb, f"127.0.0.1:{other}", "--called", "PACS", "--tls-name", "elsewhere").code == Exit.OK
    assert ichnode(*verb, f"127.0.0.1:{right}", "--called", "PACS").code == Exit.NO


def test_config_check_loads_the_tls_files_and_shows_their_port(ichnode, config, authority, tls):
    config.write_text(config.read_text().replace("port = 11112", "port = 11112\ntls_port = 2762"))
    said = ichnode("config", "check")
    assert said.code == Exit.OK
    assert "and over TLS on 127.0.0.1:2762; callers show a certificate" in said.out

    other = authority.issue()
    config.write_text(config.read_text().replace(str(tls.key), str(other.key)))
    said = ichnode("config", "check")
    assert said.code == Exit.USAGE
    assert f"The certificate {tls.certificate} cannot be used with its key: key values mismatch." in said.err

    config.write_text(config.read_text().replace(str(other.key), str(tls.key)).replace(str(tls.ca), "/nowhere/ca.pem"))
    said = ichnode("config", "check")
    assert (said.code, "The CA certificates /nowhere/ca.pem cannot be used" in said.err) == (Exit.USAGE, True)


def test_config_check_says_which_tls_file_is_not_there_or_holds_no_certificate(ichnode, config, tls):
    text = config.read_text()
    config.write_text(text.replace(str(tls.key), "/nowhere/node.key"))
    said = ichnode("config", "check")
    assert (said.code, "The key /nowhere/node.key cannot be used: No such file" in said.err) == (Exit.USAGE, True)

    swapped = text.replace(str(tls.key), "KEY").replace(str(tls.certificate), str(tls.key))
    tls.certificate.chmod(0o600)
    config.write_text(swapped.replace("KEY", str(tls.certificate)))
    said = ichnode("config", "check")
    assert (said.code, f"There is no certificate in {tls.key}" in said.err) == (Exit.USAGE, True)


@pytest.mark.parametrize(("days", "code", "told"), [(60, Exit.OK, ""), (12, Exit.OK, "warn   The certificate ")])
def test_config_check_warns_of_a_certificate_that_ends(ichnode, config, authority, tls, days, code, told):
    files = authority.issue(days=days)
    text = config.read_text().replace(str(tls.key), str(files.key))
    config.write_text(text.replace(str(tls.certificate), str(files.certificate)))
    said = ichnode("config", "check")
    assert (said.code, "warn   " in said.out) == (code, bool(told))
    assert told in said.out


def test_config_check_warns_of_a_ca_that_ended_while_another_is_good(ichnode, config, authority, tls, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.ca.read_bytes() + Authority(tmp_path / "old").ended().read_bytes())
    config.write_text(config.read_text().replace(str(tls.ca), str(bundle)))

    said = ichnode("config", "check")

    assert said.code == Exit.OK
    assert f"warn   Certificate 2 of {bundle} ended on " in said.out
    assert "this CA alone vouches for are refused." in said.out


@pytest.mark.parametrize(("shift_s", "words"), [(1e9, "ended on"), (-1e9, "is valid from")])
@pytest.mark.usefixtures("tls")
def test_a_certificate_out_of_its_time_is_no_configuration(ichnode, monkeypatch, shift_s, words):
    assert ichnode("config", "check").code == Exit.OK
    monkeypatch.setattr(certificates, "time", SimpleNamespace(time=lambda: time.time() + shift_s))
    said = ichnode("config", "check")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert words in said.err

"""What [tls], the peers' rights and the limits may say, and what of it contradicts itself."""

import pytest

from ichnode.app.wire import destinations_of, scp_settings
from ichnode.config.file import load_config
from ichnode.domain.errors import ConfigError
from ichnode.receive.allow import EVERYTHING, Right

PEER = '[[receive.peer]]\nae_title = "CT1"\nnetwork = "10.0.0.0/8"\n'
PACS = '[[destination]]\nname = "pacs"\nhost = "pacs.example"\nport = 2762\nae_title = "PACS"\n'
PAIR = 'certificate = "node.pem"\nkey = "node.key"\n'
CA = 'ca = "ca.pem"\n'


@pytest.fixture
def load(tmp_path):
    def _load(text: str):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return load_config(path)

    return _load


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PEER + '[tls]\ncertificate = "node.pem"\n', "tls: certificate and key come together"),
        (PEER + '[tls]\nkey = "node.key"\n', "tls: certificate and key come together"),
        (PEER + "[receive]\ntls_port = 2762\n", "receive.tls_port: needs tls.certificate and tls.key"),
        (PEER + "[receive]\ntls_port = 2762\n[tls]\n" + PAIR, "receive.tls_port: needs tls.ca"),
        (PEER + "[receive]\ntls_port = 11112\n[tls]\n" + PAIR + CA, "receive.tls_port: is the port for plain text"),
        (PEER + 'tls = "required"\n', "receive.peer#1.tls: there is no receive.tls_port"),
        (PEER + 'tls_names = "ct1.example.org"\n', "receive.peer#1.tls_names: should be a list"),
        (PEER + 'tls_names = [""]\n', "receive.peer#1.tls_names#1: "),
        (PEER + 'tls_names = ["ct1.example.org"]\n', "receive.peer#1.tls_names: there is no receive.tls_port"),
        (
            f'{PEER}tls_names = ["ct1.example.org"]\n[receive]\ntls_port = 2762\n[tls]\n{PAIR}{CA}mutual = false\n',
            "receive.peer#1.tls_names: needs tls.mutual = true",
        ),
        (PEER + PACS + "tls = true\n", "destination#1.tls: needs tls.ca"),
        (PEER + PACS.replace("destination", "pacs") + "tls = true\n", "pacs#1.tls: needs tls.ca"),
        (PEER + "[receive]\nmax_memory_mb = 100\n", "receive.max_memory_mb: is less than max_instance_mb"),
        (PEER + 'may = ["store", "query"]\n', "receive.peer#1.may#2: should be 'store', 'echo' or 'commitment'"),
        (PEER + "max_per_minute = 0\n", "receive.peer#1.max_per_minute: should be greater than or equal to 1"),
        (PEER + '[tls]\npassphrase = "secret"\n', "tls.passphrase: unknown key"),
    ],
)
def test_a_contradiction_is_named_with_its_key(load, text, said):
    with pytest.raises(ConfigError) as error:
        load(text)

    assert said in str(error.value)


def test_files_are_relative_to_the_configuration(load, tmp_path):
    config = load(PEER + "[receive]\ntls_port = 2762\n[tls]\n" + PAIR + 'ca = "/etc/ca.pem"\n')

    assert config.tls.files.key == tmp_path / "node.key"
    assert str(config.tls.files.ca) == "/etc/ca.pem"
    port = scp_settings(config).tls
    assert (port.port, port.files, port.mutual) == (2762, config.tls.files, True)


def test_a_destination_is_called_by_its_host_unless_another_name_is_given(load):
    config = load(
        PEER + "[tls]\n" + CA + PACS + "tls = true\n" + PACS.replace('"pacs"', '"b"') + 'tls = true\ntls_name = "*"\n'
    )

    assert [d.peer.tls.name for d in destinations_of(config)] == ["pacs.example", "*"]


def test_without_a_word_a_peer_may_everything_in_plain_text_and_within_the_common_limits(load):
    settings = scp_settings(load(PEER))

    (peer,) = settings.allow
    assert (peer.may, peer.tls_required, peer.max_associations, peer.max_per_minute) == (EVERYTHING, False, None, None)
    assert settings.tls is None
    assert settings.maximum_instance_bytes == 512 * 2**20


def test_rights_and_limits_of_a_peer_come_to_the_gate(load):
    text = 'may = ["store"]\nmax_associations = 2\nmax_per_minute = 100\nmax_instance_mb = 3\n'

    (peer,) = scp_settings(load(PEER + text)).allow

    assert peer.may == {Right.STORE}
    assert (peer.max_associations, peer.max_per_minute, peer.max_instance_bytes) == (2, 100, 3 * 2**20)

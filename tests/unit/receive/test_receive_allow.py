import pytest

from ichnode.domain.errors import ConfigError
from ichnode.receive.allow import AllowedPeer


@pytest.mark.parametrize(
    ("title", "network", "caller", "address", "admitted"),
    [
        ("CT1", "10.1.2.0/24", "CT1", "10.1.2.3", True),
        ("CT1", "10.1.2.0/24", "CT1", "10.1.3.3", False),
        ("CT1", "10.1.2.0/24", "CT2", "10.1.2.3", False),
        ("CT1", "10.1.2.3", "CT1", "10.1.2.3", True),
        ("CT1", "10.1.2.3/24", "CT1", "10.1.2.9", True),
        ("CT1", "*", "CT1", "192.0.2.1", True),
        ("*", "10.0.0.0/8", "ANY", "10.9.9.9", True),
        ("*", "*", "ANY", "2001:db8::1", True),
        ("CT1", "10.1.2.0/24", "CT1", "::ffff:10.1.2.3", True),
        ("CT1", "fe80::/10", "CT1", "fe80::1%eth0", True),
        ("CT1", "10.1.2.0/24", "CT1", "2001:db8::1", False),
    ],
)
def test_who_is_admitted(title, network, caller, address, admitted):
    assert AllowedPeer(ae_title=title, network=network).admits(caller, address) is admitted


@pytest.mark.parametrize(("title", "network"), [("", "*"), (" ", "10.0.0.0/8"), ("CT1", ""), ("CT1", "everyone")])
def test_anyone_has_to_be_written_out(title, network):
    with pytest.raises(ConfigError):
        AllowedPeer(ae_title=title, network=network)

"""DICOM over TLS with dcmtk and Orthanc, in both directions, through the real receiver and deliverer."""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ichnode.domain.tls import TlsFiles
from tests.certificates import Authority
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc, free_port
from tests.peers.results import add_result
from tests.peers.series import phantom, send, uid, written
from tests.peers.tools import program, wait_until

# dcmtk 3.6.7 names the profiles of PS3.15 as they were then: B.10, B.9, B.11
PROFILES = {"+py": "non-downgrading BCP 195", "+px": "BCP 195", "+pz": "extended BCP 195"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def theirs(authority) -> TlsFiles:
    """What a peer shows."""
    return authority.issue()


@dataclass
class Secured:
    """A node, its port for TLS and its certificate; not configured yet."""

    node: Node
    port: int
    files: TlsFiles

    def configure(self, *destinations: Orthanc, forms=(), **tls: str) -> None:
        files = {name: str(getattr(self.files, name)) for name in ("certificate", "key", "ca")}
        self.node.configure(destinations, {"receive": {"tls_port": self.port}, "tls": files | tls}, forms)


@pytest.fixture
def secured(make_node, authority):
    node = make_node()
    yield Secured(node, free_port(), authority.issue())
    node.close()


def dcmtk(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [program(name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def shows(files: TlsFiles) -> list[object]:
    """dcmtk's options to show and to demand a certificate."""
    return ["+tls", files.key, files.certificate, "+cf", files.ca]


@pytest.mark.parametrize("profile", PROFILES, ids=PROFILES.values())
def test_storescu_stores_in_each_profile_of_dcmtk(secured, theirs, tmp_path, profile):
    secured.configure()
    secured.node.start("receive")
    [path] = written(phantom(profile)[:1], tmp_path)

    done = dcmtk("storescu", *shows(theirs), profile, "-aec", "ICHNODE", "127.0.0.1", secured.port, path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert secured.node.history(uid(profile, "study"))


def test_what_is_kept_is_for_the_user_of_the_service_alone_and_no_secret_is_in_the_list_of_processes(
    secured, theirs, tmp_path
):
    secured.configure()
    node = secured.node
    node.start("receive", "deliver")
    [path] = written(phantom("private")[:1], tmp_path)
    dcmtk("storescu", *shows(theirs), "-aec", "ICHNODE", "127.0.0.1", secured.port, path)

    kept = [entry for entry in node.state_dir.rglob("*") if not entry.is_symlink()]
    assert any(entry.suffix == ".dcm" for entry in kept)
    assert [entry for entry in kept if entry.stat().st_mode & 0o077] == []
    secret = secured.files.key.read_text().splitlines()[1]
    for service in ("receive", "deliver"):
        seen = [Path(f"/proc/{node.pid(service)}/{name}").read_text() for name in ("cmdline", "environ")]
        assert secret not in "".join([*seen, node.log(service)])


def test_storescu_without_a_certificate_of_our_ca_stores_nothing(secured, theirs, tmp_path):
    secured.configure()
    node = secured.node
    node.start("receive")
    [path] = written(phantom("stranger")[:1], tmp_path)
    stranger = Authority(tmp_path / "other").issue()
    strange = ["+tls", stranger.key, stranger.certificate, "+cf", theirs.ca]
    for options in (["+tla", "-ic"], strange, []):
        done = dcmtk("storescu", *options, "-to", 5, "-aec", "ICHNODE", "127.0.0.1", secured.port, path)
        assert done.returncode != 0, options

    assert not node.history(uid("stranger", "study"))
    assert "refused 127.0.0.1: no TLS" in " ".join(node.json("status")["alarms"])
    assert set(send([path], node.port).values()) == {0}  # the plain port was never disturbed


def test_who_must_use_tls_is_not_let_in_without(secured, theirs):
    secured.configure()
    node = secured.node
    node.config.write_text(node.config.read_text().replace('ae_title = "*"', 'ae_title = "*"\ntls = "required"'))
    node.start("receive")
    call = ["-aec", "ICHNODE", "127.0.0.1"]

    assert dcmtk("echoscu", *call, node.port).returncode != 0
    assert dcmtk("echoscu", *shows(theirs), *call, secured.port).returncode == 0


def test_with_the_certificate_of_another_scanner_nobody_stores_under_its_title(secured, authority, tmp_path):
    secured.configure()
    node = secured.node
    entry = '[[receive.peer]]\nae_title = "CT1"\nnetwork = "127.0.0.1/32"\ntls_names = ["ct1.example.org"]\n'
    node.config.write_text(entry + node.config.read_text())
    node.start("receive")
    [path] = written(phantom("named")[:1], tmp_path)
    call = ["-aet", "CT1", "-aec", "ICHNODE", "127.0.0.1", secured.port, path]
    first, second = (authority.issue(names=f"DNS:{name}.example.org") for name in ("ct1", "ct2"))

    assert dcmtk("storescu", *shows(second), *call).returncode != 0
    assert not node.history(uid("named", "study"))
    assert "CT1 at 127.0.0.1: its certificate is made out to ct2.example.org, not to ct1" in " ".join(
        node.json("status")["alarms"]
    )

    assert dcmtk("storescu", *shows(first), *call).returncode == 0
    assert node.history(uid("named", "study"))


def test_a_new_certificate_is_shown_without_a_restart(secured, authority, theirs, tmp_path):
    place = TlsFiles(certificate=tmp_path / "node.pem", key=tmp_path / "node.key", ca=authority.ca)
    secured.files = place
    put(Authority(tmp_path / "other").issue(), place)
    secured.configure()
    secured.node.start("receive")
    echo = ["echoscu", *shows(theirs), "-aec", "ICHNODE", "127.0.0.1", secured.port]
    assert dcmtk(*echo).returncode != 0  # it is of a CA that the caller does not trust

    put(authority.issue(), place)

    assert dcmtk(*echo).returncode == 0


def put(files: TlsFiles, place: TlsFiles) -> None:
    for name in ("certificate", "key"):
        getattr(place, name).write_bytes(getattr(files, name).read_bytes())
    place.key.chmod(0o600)


@pytest.fixture
def storescp(tmp_path, theirs):
    """dcmtk's storescp over TLS: its port, and the folder of what it has."""
    port, folder = free_port(), tmp_path / "stored"
    folder.mkdir()
    command = [program("storescp"), *map(str, shows(theirs)), "-rc", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    yield port, folder
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


def add_storescp(node: Node, port: int) -> None:
    place = f'name = "dcmtk"\nhost = "127.0.0.1"\nport = {port}\nae_title = "STORESCP"\n'
    table = f'[[destination]]\n{place}tls = true\ncommitment = "no"\n'
    node.config.write_text(node.config.read_text() + table)


def test_results_go_to_storescp_over_tls(secured, storescp):
    port, folder = storescp
    secured.configure()
    node = secured.node
    add_storescp(node, port)
    wait_until(lambda: node.json("echo", "dcmtk")["dcmtk"]["ok"], "storescp answers", limit_s=30)
    uids = add_result(node, "dcmtk", "dcmtk")
    node.start("deliver")

    wait_until(lambda: len(list(folder.iterdir())) == len(uids), "all are stored", limit_s=60)


def test_nothing_goes_to_a_storescp_whose_certificate_our_ca_did_not_sign(secured, storescp, tmp_path):
    port, folder = storescp
    secured.configure(ca=str(Authority(tmp_path / "other").ca))
    node = secured.node
    add_storescp(node, port)

    wait_until(lambda: "not accepted" in node.json("echo", "dcmtk")["dcmtk"]["reason"], "it is told", limit_s=30)
    assert not list(folder.iterdir())


@pytest.fixture
def orthanc_over_tls(make_orthanc, theirs, secured):
    """An Orthanc that speaks TLS alone, and knows the node by its port for TLS."""
    orthanc = make_orthanc()
    orthanc.more = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(theirs.certificate),
        "DicomTlsPrivateKey": str(theirs.key),
        "DicomTlsTrustedCertificates": str(theirs.ca),
        "DicomTlsRemoteCertificateRequired": True,
    }
    orthanc.modalities = {"ichnode": {"AET": "ICHNODE", "Host": "127.0.0.1", "Port": secured.port, "UseDicomTls": True}}
    orthanc.start()
    yield orthanc
    orthanc.stop()


def test_orthanc_takes_results_over_tls_and_commits_to_them_over_tls(secured, orthanc_over_tls):
    secured.configure(orthanc_over_tls, forms=[{"tls": True}])
    node = secured.node
    uids = add_result(node, "tls-out", "pacs-1")
    node.start("receive", "deliver")

    wait_until(lambda: states(node, "tls-out") == ["committed"] * 3, "all is committed", limit_s=60)
    assert orthanc_over_tls.uids(uid("tls-out", "study")) == sorted(uids)


def test_an_orthanc_that_speaks_tls_gets_nothing_in_plain_text(secured, orthanc_over_tls):
    secured.configure(orthanc_over_tls)

    assert not secured.node.json("echo", "pacs-1")["pacs-1"]["ok"]


def test_orthanc_sends_a_study_over_tls(secured, orthanc_over_tls, tmp_path):
    secured.configure()
    secured.node.start("receive")
    for path in written(phantom("tls-in")[:5], tmp_path):
        orthanc_over_tls.put(Path(path).read_bytes())

    answer = orthanc_over_tls.send("ichnode", uid("tls-in", "study"))

    assert answer["FailedInstancesCount"] == 0
    wait_until(lambda: kept(secured.node, "tls-in") == [5], "the node has them", limit_s=20)


def states(node: Node, name: str) -> list[str]:
    return [d["state"] for row in node.history(uid(name, "study")) for d in row["deliveries"]]


def kept(node: Node, name: str) -> list[int]:
    return [row["instances"] for row in node.history(uid(name, "study"))]

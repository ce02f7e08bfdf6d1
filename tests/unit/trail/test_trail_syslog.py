"""Syslog over TLS, to a server of our own and to a real rsyslog."""

import re
import socket
import ssl
import subprocess
import threading
from functools import partial

import pytest

from ichnode.domain.tls import TlsFiles
from ichnode.tls.contexts import client_context
from ichnode.trail import events, forward
from ichnode.trail.forward import Forwarder, read_cursor
from ichnode.trail.message import to_xml
from ichnode.trail.records import parse
from ichnode.trail.syslog import framed, send
from tests.certificates import Authority
from tests.peers.tools import program, wait_until
from tests.unit.trail.schema import errors

# RFC 5424 6: PRI, version, time, host, application, process, message id, structured data, BOM and message
SYSLOG = re.compile(
    rb"<(\d+)>1 (\S+Z) (\S+) ichnode - DICOM\+RFC3881 \[meta sequenceId=\"(\d+)\"\] \xef\xbb\xbf(<Aud.*)", re.DOTALL
)


class Collector:
    """A TLS server that reads what comes, connection by connection; it may stop reading and reset."""

    def __init__(self, certificates, *, resets_after=None, hangs_up=False, port=0):
        self.received, self.resets_after, self.hangs_up = bytearray(), resets_after, hangs_up
        self.hung_up = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.certificate, certificates.key)
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            with plain:
                try:
                    with self._context.wrap_socket(plain, server_side=True) as secured:
                        if not self.hangs_up:
                            self._read(secured)
                except (ssl.SSLError, ConnectionError):
                    continue
            self.hung_up.set()

    def _read(self, secured):
        while data := secured.recv(1000):
            self.received += data
            if self.resets_after is not None and len(self.received) > self.resets_after:
                secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                secured.close()  # a reset, with bytes of ours unread
                return
        secured.unwrap()

    def messages(self):
        """The syslog messages, by their octet counts."""
        left, found = bytes(self.received), []
        while left:
            count, _, rest = left.partition(b" ")
            found.append(rest[: int(count)])
            left = rest[int(count) :]
        return found

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificates(authority):
    return authority.issue(names="DNS:localhost")


@pytest.fixture
def collector(certificates):
    collector = Collector(certificates)
    yield collector
    collector.close()


@pytest.fixture
def make_forwarder(chain, certificates):
    def make(port, files=None):
        def send_all(frames):
            context = client_context(files or TlsFiles(ca=certificates.ca), check_name=True)
            send(frames, "localhost", port, context)

        return Forwarder(chain.folder, send_all, print)

    return make


def fill(chain, us, count):
    for number in range(count):
        chain.append(
            to_xml(events.associated(us, "CT1", "10.1.2.3", "wrong called AE title" if number % 2 else ""), us.source)
        )


def test_a_record_becomes_a_syslog_message_with_its_length(chain, us):
    fill(chain, us, 2)
    good, bad = (parse(line) for line in chain.folder.current.read_bytes().splitlines())

    count, _, message = framed(good).partition(b" ")

    assert int(count) == len(message)
    priority, at, _, number, xml = SYSLOG.fullmatch(message).groups()
    assert (priority, at, number) == (b"85", b"2026-11-22T00:00:00.500Z", b"1")
    assert errors(xml) == []
    assert framed(bad).partition(b" ")[2].startswith(b"<84>1 ")  # a warning


def test_all_records_arrive_in_their_order_and_none_twice(chain, us, collector, make_forwarder, monkeypatch):
    monkeypatch.setattr(forward, "BATCH", 4)
    fill(chain, us, 10)
    forwarder = make_forwarder(collector.port)

    assert [forwarder.once() for _ in range(4)] == [4, 4, 2, 0]

    fill(chain, us, 3)
    assert make_forwarder(collector.port).once() == 3  # another process goes on from the cursor
    wait_until(lambda: len(collector.messages()) == 13, "13 messages", limit_s=10)
    assert [int(SYSLOG.fullmatch(m)[4]) for m in collector.messages()] == list(range(1, 14))


def test_records_of_closed_files_are_sent_too(make_chain, us, collector, make_forwarder):
    chain = make_chain(max_bytes=3000)
    fill(chain, us, 4)
    forwarder = make_forwarder(collector.port)
    forwarder.once()
    fill(chain, us, 20)
    assert len(chain.folder.segments()) > 4

    forwarder.once()

    numbers = [int(SYSLOG.fullmatch(m)[4]) for m in collector.messages()]
    assert numbers == list(range(1, 25))


def test_what_a_server_has_not_read_is_sent_again(chain, us, certificates, make_forwarder):
    fill(chain, us, 50)
    cut = Collector(certificates, resets_after=5000)
    with pytest.raises(OSError):
        make_forwarder(cut.port).once()
    cut.close()
    assert read_cursor(chain.folder) == 0

    whole = Collector(certificates)
    make_forwarder(whole.port).once()
    assert len(whole.messages()) == 50
    whole.close()


@pytest.mark.parametrize("waits", [False, True])
def test_a_server_that_hangs_up_without_reading_has_not_got_it(certificates, waits):
    """As rsyslog does with a certificate that it does not like. Its close may come before our first byte, or after."""
    collector = Collector(certificates, hangs_up=True)
    context = client_context(TlsFiles(ca=certificates.ca), check_name=True)

    def frames():
        if waits:
            assert collector.hung_up.wait(10)
        yield b"5 abcde"

    for _ in range(20):
        collector.hung_up.clear()
        with pytest.raises(OSError):
            send(frames(), "localhost", collector.port, context)
    collector.close()


def test_a_server_that_cannot_show_who_it_is_gets_nothing(chain, us, collector, make_forwarder, tmp_path):
    fill(chain, us, 1)
    strangers = Authority(tmp_path / "strangers")
    with pytest.raises(ssl.SSLCertVerificationError):
        make_forwarder(collector.port, TlsFiles(ca=strangers.ca)).once()
    assert not collector.received
    assert read_cursor(chain.folder) == 0


def test_a_server_with_another_name_gets_nothing(chain, us, authority):
    fill(chain, us, 1)
    other = authority.issue(names="DNS:elsewhere.example")
    collector = Collector(other)
    context = client_context(TlsFiles(ca=other.ca), check_name=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
        Forwarder(chain.folder, partial(_send, collector.port, context), print).once()
    collector.close()


def _send(port, context, frames):
    send(frames, "localhost", port, context)


def test_a_dead_server_is_tried_again_and_gets_everything_once_it_lives(
    chain, us, certificates, make_forwarder, monkeypatch
):
    monkeypatch.setattr(forward, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(forward, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(forward, "ALARM_AFTER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    forwarder, stop = make_forwarder(port), threading.Event()
    alarms = []
    forwarder.alarm = alarms.append
    fill(chain, us, 3)
    thread = threading.Thread(target=forwarder.run, args=(stop,))
    thread.start()
    wait_until(lambda: alarms, "an alarm", limit_s=10)

    collector = Collector(certificates, port=port)

    wait_until(lambda: read_cursor(chain.folder) == 3, "the server has it", limit_s=10)
    stop.set()
    thread.join(10)
    assert len(collector.messages()) == 3
    assert len(alarms) == 1
    collector.close()


def test_a_real_rsyslog_that_asks_who_we_are_takes_the_messages(
    chain, us, authority, certificates, make_forwarder, tmp_path
):
    """Debian's, with gtls: RFC 5425 as the rest of the world speaks it."""
    ours = authority.issue(names="DNS:ct-node.example")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log, config = tmp_path / "messages", tmp_path / "rsyslog.conf"
    config.write_text(f"""
global(workDirectory="{tmp_path}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{certificates.ca}"
  defaultNetstreamDriverCertFile="{certificates.certificate}" defaultNetstreamDriverKeyFile="{certificates.key}")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/name"
  PermittedPeer=["ct-node.example"])
input(type="imtcp" port="{port}" address="127.0.0.1")
template(name="all" type="string" string="%pri% %msgid% %structured-data% %msg%\\n")
action(type="omfile" file="{log}" template="all")
""")
    daemon = subprocess.Popen([program("rsyslogd"), "-n", "-iNONE", "-f", str(config)], stderr=subprocess.PIPE)
    try:
        fill(chain, us, 300)
        forwarder = make_forwarder(port, ours)

        def is_taken():
            try:
                forwarder.once()
            except ConnectionRefusedError:  # it starts
                assert daemon.poll() is None, daemon.stderr.read()
            return read_cursor(chain.folder) == 300

        wait_until(is_taken, "rsyslog has read all", limit_s=30)
        wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") == 300, "rsyslog has written all", limit_s=30)
    finally:
        daemon.terminate()
        daemon.wait(30)
        daemon.stderr.close()
    for number, line in enumerate(log.read_bytes().splitlines(), 1):
        priority, msgid, sd, xml = re.fullmatch(rb"(\d+) (\S+) (\[.*?\]) (.*)", line).groups()
        assert (priority, msgid) == (b"85" if number % 2 else b"84", b"DICOM+RFC3881")
        assert sd == b'[meta sequenceId="%d"]' % number
        assert errors(xml.removeprefix(b"\xef\xbb\xbf")) == []

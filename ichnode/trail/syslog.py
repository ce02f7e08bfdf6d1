"""Audit messages as syslog over TLS. Source: PS3.15 A.6, RFC 5424, RFC 5425."""

import errno
import fcntl
import re
import socket
import ssl
import sys
import termios
import time
from collections.abc import Iterable
from typing import Final

from ichnode.trail.records import Record

NOTICE: Final = 10 * 8 + 5  # A.6: facility 10 (security), severity 5
WARNING: Final = 10 * 8 + 4  # severity 4, "if that is appropriate to the more detailed information"
MSGID: Final = "DICOM+RFC3881"
BOM: Final = b"\xef\xbb\xbf"  # RFC 5424 6.4: says that what follows is UTF-8
LARGEST_SEQUENCE_ID: Final = 2147483647  # RFC 5424 7.3.1; then it begins at 1 again
NIL: Final = "-"
TIME_LIMIT_S: Final = 10.0
TCP_CLOSE_WAIT: Final = 8  # <netinet/tcp.h>: the other side has closed in order, we have not yet
WHEN: Final = re.compile(rb'EventDateTime="([^"]+)"')
WELL: Final = b'EventOutcomeIndicator="0"'


def framed(record: Record) -> bytes:
    """The record as a syslog message with its length before it. The sequence id is the record's number: who collects
    sees what is missing."""
    priority = NOTICE if WELL in record.message else WARNING
    when = WHEN.search(record.message)
    stamp = NIL if when is None else when[1].decode()
    host = re.sub(r"[^!-~]", "?", socket.gethostname())[:255] or NIL
    number = (record.number - 1) % LARGEST_SEQUENCE_ID + 1
    head = f'<{priority}>1 {stamp} {host} ichnode {NIL} {MSGID} [meta sequenceId="{number}"] '
    message = head.encode() + BOM + record.message
    return b"%d %s" % (len(message), message)


def send(frames: Iterable[bytes], host: str, port: int, context: ssl.SSLContext) -> None:
    """Sends the messages over a connection of their own, and returns once the server has read them all.

    Syslog has no answer. But a close in order has: the server reads our close_notify (RFC 5425 4.4) behind the last
    message, and closes in turn; one that was stopped or cut off before resets the connection. Raises OSError.
    """
    with (
        socket.create_connection((host, port), timeout=TIME_LIMIT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        for frame in frames:
            secured.sendall(frame)
        try:
            secured.unwrap()
        except ssl.SSLEOFError:  # rsyslog closes at TCP's level alone
            _check_arrival(secured)


def _check_arrival(closed: socket.socket) -> None:
    """The other side has closed: after it had read all, or before? Then what came too late was answered by a reset.

    Raises OSError. Source: tcp(7), SIOCOUTQ and TCP_INFO.
    """
    deadline = time.monotonic() + TIME_LIMIT_S
    while int.from_bytes(fcntl.ioctl(closed.fileno(), termios.TIOCOUTQ, b"\0" * 4), sys.byteorder):
        if time.monotonic() > deadline:
            raise TimeoutError("the server has closed and does not say what it has got")
        time.sleep(0.01)
    state = closed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    if state != TCP_CLOSE_WAIT:  # the error itself may have been read and cleared by a write
        raise ConnectionResetError(errno.ECONNRESET, "the server has closed without reading all")

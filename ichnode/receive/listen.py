"""A port that listens, in plain text or over TLS. Nothing that one peer does or leaves undone holds up another."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from ssl import SSLContext
from typing import Any, Final

from pynetdicom import AE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from ichnode.receive.waiting import (
    ASSOCIATE_REQUEST,
    SLOWEST_BYTES_PER_S,
    TOO_LONG,
    Waiting,
    cut,
    receive,
)
from ichnode.tls.reasons import of_caller
from ichnode.tls.renewal import ServerContext

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
MOST_HANDSHAKES: Final = 64  # at once
MOST_HANDSHAKES_OF_ONE: Final = 8  # of them from one address
MOST_PDU_BYTES: Final = 2**20  # 128 contexts with all their syntaxes and names come to a quarter of it
CALLING_AE: Final = slice(26, 42)  # of an association request, PS3.8 9.3.2
PART: Final = 8192  # of a PDU, after which it counts as coming
BACKLOG: Final = 128  # with the 5 of socketserver, callers in a crowd wait for seconds until TCP tries again
REJECTION: Final = b"\x03\x00\x00\x00\x00\x04\x00"  # A-ASSOCIATE-RJ as far as its reason, PS3.8 9.3.4

Handler = tuple[Any, Callable[..., Any]]


class Listener(ThreadedAssociationServer):  # type: ignore[misc]
    """A listening port; it lives from its construction to ``shutdown``.

    pynetdicom does the handshake of TLS in the loop that accepts connections, without a time limit: one silent client
    would shut everyone out. Here it has its own thread and its limit. So has the wait for the association request:
    pynetdicom gives two threads and one of the places to each connection, whether it says a word or not.

    ``knows`` tells whether an address may try; ``refused`` is told (address, why) of those that never come to ask for
    an association; ``turn_away`` judges (title, address) of those that do, None for whoever may go on; ``ended`` is
    told of each association whose thread has ended, however it came to that.
    """

    request_queue_size = BACKLOG

    def __init__(
        self,
        *arguments: Any,
        tls: ServerContext | None,
        knows: Callable[[str], bool],
        refused: Callable[[str, str], None],
        turn_away: Callable[[str, str], tuple[int, int, int] | None],
        ended: Callable[[Any], None],
        **options: Any,
    ) -> None:
        self.daemon_threads = True  # shutdown shall not wait for those that say nothing
        self._tls, self._knows, self._refused = tls, knows, refused
        self._turn_away, self.ended = turn_away, ended
        self._waiting = Waiting()
        self.first_pdus: dict[socket, bytes] = {}  # of connections whose association is about to be made
        self._lock = threading.Lock()
        self._shaking: dict[socket, str] = {}  # connection -> address
        super().__init__(*arguments, request_handler=_Handler, **options)

    def process_request_thread(self, request: socket, client_address: tuple[Any, ...]) -> None:
        """The handshake, then the association, in a thread of its own: even to tell of a refusal may take long."""
        address = str(client_address[0])
        why = self._why_not_shake(request, address) if self._tls is not None else ""
        try:
            if self._tls is not None and not why:
                request = self._shake(request, self._tls.current())
        except OSError as error:
            why = f"no TLS: {of_caller(error)}"
        if why or not self._is_asked(request, address):
            self.shutdown_request(request)
            if why:
                self._refused(address, why)
        else:
            super().process_request_thread(request, client_address)

    def _is_asked(self, request: socket, address: str) -> bool:
        """Waits for the association request. False when none comes, or from whom it must not."""
        limit_s, most = self.ae.acse_timeout, max(MOST_PDU_BYTES, self.ae.maximum_pdu_size)
        try:
            pdu = self._waiting.first_pdu(request, address, limit_s=limit_s, most_bytes=most)
        except OSError as error:
            # An error of the system's own has a number, and says nothing to anybody: the peer is gone.
            if error.errno is None:
                self._refused(address, str(error))
            return False
        if not pdu:
            return False
        with suppress(OSError):
            request.settimeout(self.ae.network_timeout)  # within a PDU pynetdicom waits without limit
            reason = None
            if pdu[0] == ASSOCIATE_REQUEST:
                reason = self._turn_away(pdu[CALLING_AE].decode("ascii", "replace").strip(), address)
            if reason is None:
                self.first_pdus[request] = pdu
                return True
            request.sendall(REJECTION + bytes(reason))
        return False

    def server_close(self) -> None:
        """Closes the port, and cuts the handshakes and the waits that are under way."""
        super().server_close()
        with self._lock:
            shaking = list(self._shaking)
        for request in shaking:
            cut(request)
        self._waiting.cut_all()

    def handle_error(self, _request: Any, client_address: tuple[Any, ...]) -> None:
        """Instead of a traceback on standard error."""
        log.exception("a connection from %s failed", client_address[0], extra={"action": "connect"})

    def _why_not_shake(self, request: socket, address: str) -> str:
        """A handshake is costly: only with whom it may be, and not with too many at once."""
        if not self._knows(address):
            return "not on the list of allowed peers"
        with self._lock:
            if self._too_many(address):
                return "too many TLS handshakes at once"
            self._shaking[request] = address
        return ""

    def _too_many(self, address: str) -> bool:
        counts = Counter(self._shaking.values())
        return counts.total() >= MOST_HANDSHAKES or counts[address] >= MOST_HANDSHAKES_OF_ONE

    def _shake(self, request: socket, context: SSLContext) -> socket:
        shaken: socket = request
        try:
            request.settimeout(HANDSHAKE_S)
            wrapped = context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            with self._lock:
                self._shaking[wrapped] = self._shaking.pop(request)
            shaken = wrapped
            wrapped.do_handshake()
        except OSError:
            shaken.close()
            raise
        finally:
            with self._lock:
                self._shaking.pop(shaken, None)
        return wrapped


def listen(entity: AE, address: tuple[str, int], handlers: list[Handler], **options: Any) -> Listener:
    """Starts a listener of ``entity``; ``options`` as of Listener. Raises OSError where the port is taken."""
    try:
        server = entity.make_server(address, evt_handlers=handlers, server_class=Listener, **options)
    except OSError as error:  # which names no port
        key = "receive.port" if options.get("tls") is None else "receive.tls_port"
        raise OSError(error.errno, error.strerror, f"{address[0]}:{address[1]} ({key})") from error
    threading.Thread(target=server.serve_forever, name=f"listen-{server.server_address[1]}", daemon=True).start()
    entity._servers.append(server)  # as start_server does: shutdown takes it off again
    return server  # type: ignore[no-any-return]


class _Handler(RequestHandler):  # type: ignore[misc]
    def _create_association(self) -> Any:
        association = super()._create_association()
        first = bytearray(self.server.first_pdus.pop(self.request))
        channel, timeout_s = association.dul.socket, self.ae.network_timeout
        most = max(MOST_PDU_BYTES, self.ae.maximum_pdu_size)

        def _recv(count: int) -> bytearray:
            """pynetdicom takes the length that a PDU claims at its word, up to 4 GiB, and waits for it as long as a
            byte comes now and then."""
            if first:
                data = first[:count]
                del first[:count]
                return data
            if count > most:
                raise OSError(TOO_LONG)
            data, deadline = bytearray(), time.monotonic() + timeout_s + count / SLOWEST_BYTES_PER_S
            try:
                while part := receive(channel.socket, min(PART, count - len(data)), deadline, silent_s=timeout_s):
                    data += part
                    association.dul._idle_timer.restart()  # a PDU that comes slowly is no silence
                return data
            finally:
                channel.socket.settimeout(timeout_s)

        channel.recv = _recv
        association.dul._read_pdu_data()  # it would look for it on the wire
        association.run = self._to_the_end(association, association.run)
        return association

    def _to_the_end(self, association: Any, run: Callable[[], None]) -> Callable[[], None]:
        """pynetdicom tells of releases and aborts, but not of the end by an exception of its own, and leaves the
        connection open then."""

        def _run() -> None:
            channel = association.dul.socket
            try:
                run()
            finally:
                association.dul.kill_dul()
                channel.close()
                self.server.ended(association)

        return _run

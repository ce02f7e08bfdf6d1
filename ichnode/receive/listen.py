"""A port that listens, in plain text or over TLS. Nothing that one peer does or leaves undone holds up another."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from ssl import SSLError
from typing import Any, Final

from pynetdicom import AE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from ichnode.tls.contexts import ServerContext

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
MOST_HANDSHAKES: Final = 64  # at once
MOST_HANDSHAKES_OF_ONE: Final = 8  # of them from one address
MOST_PDU_BYTES: Final = 2**20  # 128 contexts with all their syntaxes and names come to a quarter of it

Handler = tuple[Any, Callable[..., Any]]


class Listener(ThreadedAssociationServer):  # type: ignore[misc]
    """A listening port; it lives from its construction to ``shutdown``.

    pynetdicom does the handshake of TLS in the loop that accepts connections, without a time limit: one silent client
    would shut everyone out. Here it has its own thread and its limit. ``knows`` tells whether an address may try;
    ``refused`` is told (address, why) of those whose handshake comes to nothing.
    """

    def __init__(
        self,
        *arguments: Any,
        tls: ServerContext | None,
        knows: Callable[[str], bool],
        refused: Callable[[str, str], None],
        **options: Any,
    ) -> None:
        self.daemon_threads = True  # shutdown shall not wait for those that say nothing
        self._tls, self._knows, self._refused = tls, knows, refused
        self._lock = threading.Lock()
        self._shaking: dict[socket, str] = {}  # connection -> address
        super().__init__(*arguments, request_handler=_Handler, **options)

    def verify_request(self, request: socket, client_address: tuple[Any, ...]) -> bool:
        """Whether a connection is worth a thread: over TLS, only of who may try, and not of too many at once."""
        if self._tls is None:
            return True
        address = str(client_address[0])
        why = "" if self._knows(address) else "not on the list of allowed peers"
        with self._lock:
            if not why and self._too_many(address):
                why = "too many TLS handshakes at once"
            if not why:
                self._shaking[request] = address
        if why:
            self._refused(address, why)
        return not why

    def process_request_thread(self, request: socket, client_address: tuple[Any, ...]) -> None:
        """The handshake, then the association, in a thread of its own."""
        try:
            # Within a PDU pynetdicom waits without limit.
            request.settimeout(HANDSHAKE_S if self._tls else self.ae.network_timeout)
            if self._tls is not None:
                request = self._shake(request)
                request.settimeout(self.ae.network_timeout)
        except OSError as error:
            reason = (error.reason or "").lower().replace("_", " ") if isinstance(error, SSLError) else ""
            self._refused(str(client_address[0]), f"no TLS: {reason or 'the handshake did not come to its end'}")
            self.shutdown_request(request)
            return
        super().process_request_thread(request, client_address)

    def server_close(self) -> None:
        """Closes the port, and cuts the handshakes that are under way."""
        super().server_close()
        with self._lock:
            shaking = list(self._shaking)
        for request in shaking:
            _cut(request)

    def handle_error(self, _request: Any, client_address: tuple[Any, ...]) -> None:
        """Instead of a traceback on standard error."""
        log.exception("a connection from %s failed", client_address[0], extra={"action": "connect"})

    def _too_many(self, address: str) -> bool:
        counts = Counter(self._shaking.values())
        return counts.total() >= MOST_HANDSHAKES or counts[address] >= MOST_HANDSHAKES_OF_ONE

    def _shake(self, request: socket) -> socket:
        assert self._tls is not None
        shaken: socket = request
        try:
            wrapped = self._tls.current().wrap_socket(request, server_side=True, do_handshake_on_connect=False)
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
    server = entity.make_server(address, evt_handlers=handlers, server_class=Listener, **options)
    threading.Thread(target=server.serve_forever, name=f"listen-{server.server_address[1]}", daemon=True).start()
    entity._servers.append(server)  # as start_server does: shutdown takes it off again
    return server  # type: ignore[no-any-return]


class _Handler(RequestHandler):  # type: ignore[misc]
    def _create_association(self) -> Any:
        association = super()._create_association()
        channel = association.dul.socket
        receive = channel.recv

        def _recv(count: int) -> bytearray:
            """pynetdicom takes the length that a PDU claims at its word, up to 4 GiB."""
            if count > max(MOST_PDU_BYTES, self.ae.maximum_pdu_size):
                raise OSError("a PDU claims to be longer than any may be")
            return bytearray(receive(count))

        channel.recv = _recv
        return association


def _cut(request: socket) -> None:
    with suppress(OSError):
        request.shutdown(SHUT_RDWR)

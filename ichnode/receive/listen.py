"""A port that listens, in plain text or over TLS. Nothing that one peer does or leaves undone holds up another."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from ssl import SSLContext, SSLError
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

    def process_request_thread(self, request: socket, client_address: tuple[Any, ...]) -> None:
        """The handshake, then the association, in a thread of its own: even to tell of a refusal may take long."""
        address = str(client_address[0])
        why = self._why_not_shake(request, address) if self._tls is not None else ""
        try:
            if self._tls is not None and not why:
                request = self._shake(request, self._tls.current())
            request.settimeout(self.ae.network_timeout)  # within a PDU pynetdicom waits without limit
        except OSError as error:
            reason = (error.reason or "").lower().replace("_", " ") if isinstance(error, SSLError) else ""
            why = f"no TLS: {reason or 'the handshake did not come to its end'}"
        if why:
            self.shutdown_request(request)
            self._refused(address, why)
        else:
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
            data: bytearray = receive(count)
            return data

        channel.recv = _recv
        return association


def _cut(request: socket) -> None:
    with suppress(OSError):
        request.shutdown(SHUT_RDWR)

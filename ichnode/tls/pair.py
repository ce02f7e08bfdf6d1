"""A certificate and its key, held in memory: the pair in use outlasts the files that it was read from."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MFD_NOEXEC_SEAL: Final = 0x8  # memfd_create(2), from Linux 6.3 on


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both PEM, as they stood in their files at one moment. ``key`` None: it stands with the certificate."""

    certificate: bytes = field(repr=False)
    key: bytes | None = field(repr=False)

    def show_in(self, context: ssl.SSLContext) -> None:
        """Lets the context show it. Raises OSError."""
        key_path = nullcontext() if self.key is None else _path_of(self.key)
        with _path_of(self.certificate) as certificate, key_path as key:
            # Without a password OpenSSL would ask for one on the terminal, for ever.
            context.load_cert_chain(certificate, key, password="")


@contextmanager
def _path_of(pem: bytes) -> Iterator[Path]:
    """A path for OpenSSL, which takes nothing else: of memory that stands in no folder, while this is open."""
    with os.fdopen(_memory(), "wb") as file:
        file.write(pem)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")


def _memory() -> int:
    """A descriptor of memory that nobody can run: a host with vm.memfd_noexec = 2 gives no other. Raises OSError."""
    try:
        return os.memfd_create("pem", os.MFD_CLOEXEC | MFD_NOEXEC_SEAL)
    except OSError:
        return os.memfd_create("pem")  # an older kernel

"""Who calls, and what a call brings, from the objects of pynetdicom."""

from ssl import SSLSocket
from typing import Any

from pynetdicom.events import Event

from ichnode.receive.intake import Arrival


def arrival_of(event: Event, *, calling_ae: str) -> Arrival:
    """The instance that a C-STORE request brings, to the SCP or as the sub-operation of a C-GET."""
    request = event.request
    return Arrival(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        data_set=request.DataSet,
        calling_ae=calling_ae,
        address=event.assoc.requestor.address,
    )


def is_tls(association: Any) -> bool:
    """Whether it calls over TLS."""
    transport = association.dul.socket
    return transport is not None and isinstance(transport.socket, SSLSocket)


def caller_of(association: Any) -> tuple[str, str]:
    """Who calls: title and address."""
    return association.requestor.ae_title.strip(), association.requestor.address

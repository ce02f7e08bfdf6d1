"""The codes of audit messages. Source: PS3.15 A.5.1.2 and A.5.3; PS3.16 CID 400 to 405; RFC 3881 5.5.4."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Code:
    """A coded value."""

    value: str
    scheme: str
    meaning: str


# CID 400: what happened
APPLICATION_ACTIVITY: Final = Code("110100", "DCM", "Application Activity")
AUDIT_LOG_USED: Final = Code("110101", "DCM", "Audit Log Used")
BEGIN_TRANSFERRING: Final = Code("110102", "DCM", "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED: Final = Code("110103", "DCM", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED: Final = Code("110104", "DCM", "DICOM Instances Transferred")
STUDY_DELETED: Final = Code("110105", "DCM", "DICOM Study Deleted")
IMPORT: Final = Code("110107", "DCM", "Import")
SECURITY_ALERT: Final = Code("110113", "DCM", "Security Alert")

# CID 401 and 403: of what kind
APPLICATION_START: Final = Code("110120", "DCM", "Application Start")
APPLICATION_STOP: Final = Code("110121", "DCM", "Application Stop")
NODE_AUTHENTICATION: Final = Code("110126", "DCM", "Node Authentication")
RECORDING_STOPPED: Final = Code("110133", "DCM", "Audit Recording Stopped")
RECORDING_STARTED: Final = Code("110134", "DCM", "Audit Recording Started")
# CID 403 is a defined group and has no word for these.
PRIVATE_SCHEME: Final = "99ICHNODE"
QUARANTINED: Final = Code("QUARANTINED", PRIVATE_SCHEME, "Instances put into quarantine")
OBJECT_ALTERED: Final = Code("OBJECT_ALTERED", PRIVATE_SCHEME, "Stored object altered")
TRAIL_DAMAGED: Final = Code("TRAIL_DAMAGED", PRIVATE_SCHEME, "Audit trail damaged")
REPLAY: Final = Code("REPLAY", PRIVATE_SCHEME, "Analysis asked for by hand")
RESEND: Final = Code("RESEND", PRIVATE_SCHEME, "Delivery asked for by hand")
RELEASE: Final = Code("RELEASE", PRIVATE_SCHEME, "Held results released by hand")
ACKNOWLEDGED: Final = Code("ACKNOWLEDGED", PRIVATE_SCHEME, "Alarms acknowledged by hand")
ANALYSIS: Final = Code("ANALYSIS", PRIVATE_SCHEME, "Analysed")

# CID 402 and 405: who and from where
APPLICATION: Final = Code("110150", "DCM", "Application")
APPLICATION_LAUNCHER: Final = Code("110151", "DCM", "Application Launcher")
DESTINATION_ROLE: Final = Code("110152", "DCM", "Destination Role ID")
SOURCE_ROLE: Final = Code("110153", "DCM", "Source Role ID")
SOURCE_MEDIA: Final = Code("110155", "DCM", "Source Media")
MEDIA_URI: Final = Code("110037", "DCM", "URI")

# CID 404 and RFC 3881: what an identifier identifies
STUDY_UID: Final = Code("110180", "DCM", "Study Instance UID")
NODE_ID: Final = Code("110182", "DCM", "Node ID")
PATIENT_NUMBER: Final = Code("2", "RFC-3881", "Patient Number")
URI: Final = Code("12", "RFC-3881", "URI")

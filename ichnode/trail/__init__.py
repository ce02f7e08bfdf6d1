"""The audit trail: who did what with whose images, as DICOM audit messages in a chain that shows tampering."""

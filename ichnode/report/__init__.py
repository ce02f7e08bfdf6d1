"""Turns findings into DICOM objects: segmentation, structured report, pictures; and checks them before they leave."""

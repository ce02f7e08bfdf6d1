"""From DICOM images to a volume in Hounsfield units, and on to what the network sees. It thinks and touches nothing."""

"""DICOM over TLS: the contexts in which we call and are called, and the certificates behind them."""

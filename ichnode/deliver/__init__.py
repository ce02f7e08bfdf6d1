"""C-STORE SCU, retries, C-ECHO and retrieval: everything for which the node calls another application entity."""

"""Bytes on disk: written so that they survive a power cut, reconciled with the queue, kept no longer than allowed."""

"""What comes in: the C-STORE SCP, which series are analysed, and when a series is complete."""

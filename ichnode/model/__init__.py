"""The network, its weights and their card, and the runtimes that execute it. Thinks only: no clock, no database."""

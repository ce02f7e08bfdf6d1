"""The head CT that ships with the package: a real head with a synthetic bleed of known volume placed in it."""

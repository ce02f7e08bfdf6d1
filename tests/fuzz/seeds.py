"""Writes the committed seeds anew: ``python -m tests.fuzz.seeds``. Inputs once found (``found-*``) stay."""

from tests.fuzz.names import CORPUS, TARGETS, module_of


def main() -> None:
    """One file a seed."""
    for target in TARGETS:
        for name, data in module_of(target).seeds():
            path = CORPUS / target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


if __name__ == "__main__":
    main()

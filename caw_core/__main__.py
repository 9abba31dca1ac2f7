"""``python -m caw_core`` is the same as ``caw``."""

from caw_core.cli import main

if __name__ == "__main__":
    main()

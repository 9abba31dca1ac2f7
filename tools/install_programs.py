"""Install the real programs that tests start, with a word about each."""

from __future__ import annotations

import sys
import time

from caw_testkit.programs import ProgramInstallError, installed_program, pins, programs_dir


def main() -> int:
    """Install what is missing; return 1 if something could not be installed."""
    for pin in pins().values():
        place = programs_dir() / f"{pin.name}-{pin.version}"
        if place.is_dir():
            continue
        print(f"installing {pin.spec} from npm to {place}", flush=True)
        started = time.monotonic()
        try:
            installed_program(pin.name)
        except ProgramInstallError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"installed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

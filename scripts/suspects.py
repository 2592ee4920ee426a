"""The same as `audionet suspects`; audionet/commands/suspects.py has its options."""

import sys

from audionet.commands.suspects import main

if __name__ == "__main__":
    sys.exit(main())

"""The same as `audionet verify`; audionet/commands/verify.py has its options."""

import sys

from audionet.commands.verify import main

if __name__ == "__main__":
    sys.exit(main())

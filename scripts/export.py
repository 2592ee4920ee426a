"""The same as `audionet export`; audionet/commands/export.py has its options."""

import sys

from audionet.commands.export import main

if __name__ == "__main__":
    sys.exit(main())

"""The same as `audionet inspect`; audionet/commands/inspect.py has its options."""

import sys

from audionet.commands.inspect import main

if __name__ == "__main__":
    sys.exit(main())

"""The same as `audionet listen`; audionet/commands/listen.py has its options."""

import sys

from audionet.commands.listen import main

if __name__ == "__main__":
    sys.exit(main())

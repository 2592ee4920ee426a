"""The same as `audionet app`; audionet/commands/app.py has its options."""

import sys

from audionet.commands.app import main

if __name__ == "__main__":
    sys.exit(main())

"""The same as `audionet demo`; audionet/commands/demo.py has its options."""

import sys

from audionet.commands.demo import main

if __name__ == "__main__":
    sys.exit(main())

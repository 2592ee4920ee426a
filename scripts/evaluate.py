"""The same as `audionet evaluate`; audionet/commands/evaluate.py has its options."""

import sys

from audionet.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())

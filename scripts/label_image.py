"""The same as `audionet label`; audionet/commands/label.py has its options."""

import sys

from audionet.commands.label import main

if __name__ == "__main__":
    sys.exit(main())

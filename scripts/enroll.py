"""The same as `audionet enroll`; audionet/commands/enroll.py has its options."""

import sys

from audionet.commands.enroll import main

if __name__ == "__main__":
    sys.exit(main())

"""The same as `audionet doctor`; audionet/commands/doctor.py has its options."""

import sys

from audionet.commands.doctor import main

if __name__ == "__main__":
    sys.exit(main())

"""The same as `audionet review`; audionet/commands/review.py has its options."""

import sys

from audionet.commands.review import main

if __name__ == "__main__":
    sys.exit(main())

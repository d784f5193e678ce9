"""`python -m harness` is `smsbench`."""

import sys

from harness.cli import main

sys.exit(main())

from __future__ import annotations

import sys

from throwaway.cli import main

sys.exit(main())

"""The scripts of samples/ import each other as plain modules; tests do the same."""

from __future__ import annotations

import sys
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "samples"
if str(SAMPLES) not in sys.path:
    sys.path.insert(0, str(SAMPLES))

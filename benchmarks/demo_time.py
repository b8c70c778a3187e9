"""How long the demo command takes on this machine: the whole of it, and the part before generation starts.

    python benchmarks/demo_time.py --repeat 3

Prints one JSON object: seconds of every run, and of `--help`. Run it on an idle machine; the first run after an
installation also compiles Python files and is reported, not hidden.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "visualize_heatmap.py"]


def demo_run() -> dict[str, float]:
    """Seconds from the start of the process to the first notice after loading, and to its end."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*COMMAND, "--config", "configs/demo.yaml", "--output_dir", folder]
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        loaded = float("nan")
        for line in process.stderr or ():
            if "recording:" in line and loaded != loaded:
                loaded = time.perf_counter() - start
        if process.wait() != 0:
            raise SystemExit("the demo command failed; run it by itself to see why")
        return {"import_and_load_s": round(loaded, 2), "total_s": round(time.perf_counter() - start, 2)}


def help_seconds() -> float:
    """Seconds of `--help`."""
    start = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], cwd=ROOT, check=True, capture_output=True)
    return round(time.perf_counter() - start, 3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command (default 3)")
    repeat = parser.parse_args().repeat
    result = {
        "demo": [demo_run() for _ in range(repeat)],
        "help_s": [help_seconds() for _ in range(repeat)],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""Measure the peak memory of one tool's ablations over one sequence, beyond the loaded model.

python -m benchmarks.memory TOOL TOKENS
"""

import json
import sys
from pathlib import Path

import torch

from benchmarks import inputs, tools


def status(entry: str) -> float:
    """Return an entry of this process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{entry}:")) / 1024


if __name__ == "__main__":
    tool, length = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(2)
    text, replacement = inputs.text(), inputs.replacement()
    apl = tools.TOOLS[tool](inputs.folder())
    apl(text[:, :40], 32, replacement, [0])  # a first pass makes buffers
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of loading
    before = status("VmRSS")
    apl(text[:, :length], length - inputs.WINDOW, replacement, [15])
    print(json.dumps({"mib": status("VmHWM") - before}))

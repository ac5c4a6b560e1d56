# SPDX-License-Identifier: MIT
"""What all records have in common."""

import os
from pathlib import Path


def machine():
    """The processor and how many of it."""
    model = next((line.split(":")[1].strip() for line in
                  Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
                 "unknown processor")
    return f"{model}, {os.cpu_count()} cores"


def write(path, text):
    """Whole or not at all."""
    part = Path(f"{path}.part")
    part.write_text(text)
    os.replace(part, path)

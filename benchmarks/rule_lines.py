# SPDX-License-Identifier: MIT
"""Lines of code of each header in rule/ and topology/, without blank lines and comments.

    rule_lines.py [FOLDER...]
"""

import sys
from pathlib import Path


def code_lines(path):
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(1 for line in lines if line and not line.startswith("//"))


def main(folders):
    print("| header | lines of code |\n|---|---|")
    total = 0
    for folder in folders:
        for path in sorted(Path(folder).glob("*.hpp")):
            count = code_lines(path)
            total += count
            print(f"| {path.parent.name}/{path.name} | {count} |")
    print(f"| all | {total} |")


if __name__ == "__main__":
    library = Path(__file__).parent.parent / "include" / "gossamer"
    main(sys.argv[1:] or [library / "rule", library / "topology"])

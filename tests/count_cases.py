# SPDX-License-Identifier: MIT
"""Prints "N passed, N failed": test cases where a program counted them, else programs.

count_cases.py --junit REPORT        a report of CTest
count_cases.py --log FILE STATUS     what one test program printed, and its exit status
"""
import re
import sys
import xml.etree.ElementTree as xml


def cases(output, succeeded):
    """Passed and failed cases by the summary that Catch2 2 or 3 or a script prints at its end."""
    passed = failed = 0
    if match := re.search(r"All tests passed \(.* in (\d+) test cases?\)", output):
        passed = int(match[1])
    elif match := re.search(r"^test cases: .*$", output, re.MULTILINE):
        for number, what in re.findall(r"(\d+) (passed|failed as expected|failed)", match[0]):
            if what == "failed":
                failed += int(number)
            else:
                passed += int(number)
    elif match := re.search(r"^(\d+) passed, (\d+) failed\s*\Z", output, re.MULTILINE):
        passed, failed = int(match[1]), int(match[2])
    elif succeeded and "No tests ran" not in output:
        passed = 1
    if not succeeded and failed == 0:
        failed = 1  # a crash, a sanitizer's report, a time limit
    return passed, failed


def main(kind, path, status="0"):
    if kind == "--log":
        with open(path, errors="replace") as log:
            counts = [cases(log.read(), status == "0")]
    else:
        counts = [cases(test.findtext("system-out") or "", test.get("status") == "run")
                  for test in xml.parse(path).iter("testcase")]
    print(f"{sum(p for p, _ in counts)} passed, {sum(f for _, f in counts)} failed")


main(*sys.argv[1:])

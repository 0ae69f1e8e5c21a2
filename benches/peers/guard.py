#!/usr/bin/env python3
"""Counts the instructions of the three main cases, and compares them with those that are kept.

    cargo xtask bench guard            fails where a case takes more than it did
    cargo xtask bench guard --bless    keeps what is counted

Time goes up and down with the machine; instructions, counted by callgrind, hardly do. They are those of the whole process,
for 100,000 members. Another compiler or other versions of the libraries give other counts: bless them before the change that
is to be judged. The files of callgrind stay in the folder of the bench, for callgrind_annotate to say where the
instructions went.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import scd2

KEPT = pathlib.Path(__file__).parent.parent / "instructions.json"
# Threads meet at other moments each time.
TOLERANCE = 0.03


def main():
    options = arguments()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is missing (for example apt-get install valgrind)")
    os.makedirs(options.dir, exist_ok=True)
    scd2.make(options)
    counted = count(options)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    grown = []
    for case, instructions in counted.items():
        change = instructions / kept[case] - 1 if case in kept else 0.0
        print(f"{case:<12} {instructions / 1e6:>8.0f} million instructions, {change:+.1%}")
        if change > TOLERANCE:
            grown.append(case)
    if options.bless:
        KEPT.write_text(json.dumps(counted, indent=2) + "\n")
    elif grown:
        sys.exit(f"{', '.join(grown)}: more than {TOLERANCE:.0%} above {KEPT.name}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kimball", required=True, type=os.path.abspath)
    parser.add_argument("--dir", default="guard", type=os.path.abspath)
    parser.add_argument("--bless", action="store_true")
    parser.set_defaults(rows=100_000, changed=0.01, new=0.001, layout="scattered")
    return parser.parse_args()


def count(options):
    counted = {}
    folder = os.path.join(options.dir, "kimball")
    for case, day, missing in [("incremental", "changes", "on_missing: ignore"), ("snapshot", "day2", "")]:
        scd2.project(folder, missing)
        scd2.give(options, folder, "day1")
        counted["first load"] = instructions(options, folder, "first load")
        scd2.give(options, folder, day)
        counted[case] = instructions(options, folder, case)
    return counted


def instructions(options, folder, case):
    """Instructions of one run, by all of its threads."""
    out = os.path.join(options.dir, f"{case.replace(' ', '_')}.callgrind")
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", options.kimball, "run", "-q"]
    ran = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode != 0 or not found:
        sys.exit(f"{case}: {ran.stderr}")
    return int(found.group(1))


if __name__ == "__main__":
    main()

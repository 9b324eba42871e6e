"""Run the campaign in pieces, and write HOSTILE.md once all of them are there.

    python -m benchmarks.hostile                 # go on where it was stopped: an hour on 2 cores
    python -m benchmarks.hostile rows --case 17  # show what comes of one case

Each finished piece is a line of a file in the cache. A piece of another commit is run again.
"""

import argparse
import collections
import datetime
import importlib
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.hostile.outcome import ACCEPTED, FAULTS, REFUSED
from wor import paths

CASES = {"parameters": 10_000, "rows": 2_000, "folders": 500, "environments": 300}
PIECE = {"parameters": 500, "rows": 200, "folders": 25, "environments": 20}
TITLES = {
    "parameters": "params.yaml, mutated",
    "rows": "rows, files and answers",
    "folders": "model folders",
    "environments": "shells and folders",
}
SHOWN = 20  # faults that the table's page lists
OUT = Path(__file__).parent.with_name("HOSTILE.md")


def commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run_piece(part: str, start: int) -> dict:
    """Run the cases of a piece, and return its counts and faults."""
    run_case = importlib.import_module(f"benchmarks.hostile.{part}").run_case
    counts: collections.Counter[str] = collections.Counter()
    faults, begin = [], time.time()
    for number in range(start, min(start + PIECE[part], CASES[part])):
        outcome = run_case(number)
        counts[outcome.kind] += 1
        if outcome.kind in FAULTS:
            faults.append([number, *outcome])
    return {"part": part, "start": start, "counts": counts, "faults": faults, "seconds": time.time() - begin}


def page(pieces: list[dict], described: str) -> str:
    """Return the page: a row per part with what came of its cases, and the first faults."""
    rows = ["| | cases | " + " | ".join((ACCEPTED, REFUSED, *FAULTS)) + " |", "| --- |" + " ---: |" * (3 + len(FAULTS))]
    for part, title in TITLES.items():
        total = collections.Counter[str]()
        for piece in pieces:
            total.update(piece["counts"] if piece["part"] == part else {})
        rows.append(
            f"| {title} | {total.total():,} | " + " | ".join(f"{total[kind]:,}" for kind in (ACCEPTED, REFUSED, *FAULTS)) + " |"
        )
    faults = [
        f"- {piece['part']} {number}, {kind}: {' '.join(detail.split())}"
        for piece in pieces
        for number, kind, detail in piece["faults"]
    ]
    minutes = sum(piece["seconds"] for piece in pieces) / 60
    return f"""# Hostile inputs, and what comes of them

A case is right if it is refused in one line with exit code 2, or accepted and equal to what someone else reads in the same \
input: DVC for parameters, the drawn value for numbers, the file's own tensors for models, the same command in a quiet shell \
for environments.

- **params.yaml**: hostile values, names and places, and files that were cut or saved by another program.
- **Rows, files and answers**: numbers as people write them in tables and as models state them, cells without a value, files of \
other encodings and shapes.
- **Model folders**: a tiny model of which a file, a tensor or a key of a configuration was changed.
- **Shells and folders**: variables, home, cache and mask as hooks, containers and people set them, with a decoy repository.

{chr(10).join(rows)}

{chr(10).join(["Faults:", "", *faults[:SHOWN]]) if faults else "No fault."}

*{datetime.date.today()}, commit {described}, {minutes:.0f} minutes, Python {platform.python_version()}, {platform.system()}. \
Made by `python -m benchmarks.hostile`. A case is drawn from the seed of its part and its number: \
`python -m benchmarks.hostile PART --case NUMBER` shows it.*
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*CASES, []], help="which parts to run; all, if none is named")
    parser.add_argument("--case", type=int, help="the number of one case of one part")
    args = parser.parse_args()
    parts = args.parts or list(CASES)
    if args.case is not None:
        print(*importlib.import_module(f"benchmarks.hostile.{parts[0]}").run_case(args.case), sep="\n")
        return
    described = commit()
    record = paths.cache() / "hostile" / f"{described}.jsonl"
    record.parent.mkdir(parents=True, exist_ok=True)
    pieces = [json.loads(line) for line in record.read_text().splitlines()] if record.is_file() else []
    done = {(piece["part"], piece["start"]) for piece in pieces}
    for part in parts:
        for start in range(0, CASES[part], PIECE[part]):
            if (part, start) not in done:
                pieces.append(run_piece(part, start))
                with record.open("a") as file:
                    file.write(json.dumps(pieces[-1]) + "\n")
                print(f"{time.strftime('%H:%M:%S')} {part} {start}: {dict(pieces[-1]['counts'])}", file=sys.stderr, flush=True)
    if {piece["part"] for piece in pieces} == set(CASES):
        OUT.write_text(page(pieces, described))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""Records, and what is made of them.

    records.py add QUESTION NAME FROM    a line of records/QUESTION.jsonl: of a run folder of cifar10,
                                         or of the file that a benchmark has written
    records.py lines QUESTION FILE       all lines of a file, for a program that prints lines
    records.py tables [QUESTION...]      the tables (Markdown, CSV), in pages, too; all without names
    records.py plot QUESTION...          the figures (needs python3-matplotlib)
    records.py held [NAME...]            prints figures of speed; fails if one misses its limit
    records.py check                     fails if a table is not what its record says

Between the lines `<!-- FILE.md -->` and `<!-- end -->` a page has what is in records/FILE.md, and with
`<!-- FILE.md 2 -->` only the second table of it.
"""

import importlib.util
import re
import sys
from pathlib import Path

here = Path(__file__).parent
sys.path.append(str(here))
import speed
import theory
from record_io import FOLDER, add, read, save_figure, write

PAGES = (here / "README.md", here.parent / "README.md")


def load(name):
    """benchmarks/NAME/NAME.py, which has record, texts and often draw."""
    spec = importlib.util.spec_from_file_location(name, here / name / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


QUESTIONS = {**{name: load(name) for name in
                ("adopt", "cluster", "dadao", "ddp", "decoupled", "dynamic_weighting", "figure",
                 "language", "ledger", "methods", "mnist", "observe")},
             **speed.QUESTIONS, **theory.QUESTIONS}


def runs_of(question):
    if question not in QUESTIONS:
        sys.exit(f"records.py: no question is called {question}; there are: {', '.join(QUESTIONS)}")
    return read(FOLDER / f"{question}.jsonl")


def texts(questions):
    """{file: what it must hold}"""
    result = {}
    for question in questions:
        if runs := runs_of(question):
            result.update({here / name: text
                           for name, text in QUESTIONS[question].texts(runs).items()})
    return result


def filled(page, made):
    """The page with its tables as they must be."""

    def put_in(match):
        name, number = match[1], match[2]
        text = made.get(FOLDER / name) or (FOLDER / name).read_text()
        if number:
            text = re.findall(r"(?:^\|.*\n)+", text, re.M)[int(number) - 1]
        return f"{match[0].splitlines()[0]}\n{text}<!-- end -->\n"

    return re.sub(r"^<!-- (\w+\.md)(?: (\d+))? -->\n(?:(?!<!--).*\n)*<!-- end -->\n", put_in,
                  page.read_text(), flags=re.M)


def make_tables(questions):
    made = texts(questions)
    made.update({page: filled(page, made) for page in PAGES if page.exists()})
    for path, text in made.items():
        if not path.exists() or path.read_text() != text:
            write(path, text)
    return made


def tables(*questions):
    made = make_tables(questions or QUESTIONS)
    if questions:
        print("\n".join(text for path, text in made.items()
                        if path.suffix == ".md" and path not in PAGES), end="")


def plot(*questions):
    import matplotlib
    matplotlib.use("Agg")

    tables(*questions)
    for question in questions:
        runs = runs_of(question)
        if not runs:
            sys.exit(f"records.py: there is no record; run benchmarks/{question}/run.sh first")
        save_figure(QUESTIONS[question].draw(runs), here / question / f"{question}.png")


def check():
    made = texts(QUESTIONS)
    made.update({page: filled(page, made) for page in PAGES if page.exists()})
    wrong = [str(path.relative_to(here.parent)) for path, text in made.items()
             if not path.exists() or path.read_text() != text]
    if wrong:
        sys.exit(f"not what the records say, see benchmarks/records.py tables: {', '.join(wrong)}")
    print(f"{len(made)} files are what the records say")


def add_line(question, name, source):
    runs_of(question)  # refuses what is no question
    add(FOLDER / f"{question}.jsonl", {name: QUESTIONS[question].record(name, source)})


def add_lines(question, source):
    runs_of(question)
    new = read(source)
    if not new:
        sys.exit(f"records.py: {source} holds no line")
    add(FOLDER / f"{question}.jsonl", new)


if __name__ == "__main__":
    commands = {"add": add_line, "lines": add_lines, "tables": tables, "plot": plot,
                "check": check, "held": lambda *names: speed.held(names)}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])

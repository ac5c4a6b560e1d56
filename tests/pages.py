# SPDX-License-Identifier: MIT
"""That the pages (README.md and all other *.md) say what is there.

    python3 tests/pages.py [FILE.md...]    default: all that git has

Of each page:
    links      a relative link, or an image's, leads to a file or folder, and an anchor to a heading
    commands   a command in a block of code, or in backticks with ./ before it, names a program of
               this repository that exists, and options that the program's source has
    names      a C++ name with :: in backticks, or in a block of C++, exists in include/
    code       a block after the line <!-- FILE --> stands in that file, word for word
    metrics    observe/README.md has the name of each metric in observe/metrics.hpp, and no other

Prints each mistake as FILE:LINE: what; the status is 1 if there is one.
"""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Namespaces of others; and what a user's program calls its own.
FOREIGN = {"std", "torch", "at", "c10", "asio", "spdlog", "nn", "optim", "CMake"}
NAME = re.compile(r"\b[A-Za-z_]\w*(?:::[A-Za-z_]\w*)+")
LONG_OPTION = re.compile(r"--[a-z][a-z0-9-]*")


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


@cache
def text_of(path):
    return path.read_text(encoding="utf-8", errors="replace")


# Pages.

class Page:
    """Paragraphs of prose and blocks of code, with the numbers of their first lines."""

    def __init__(self, path):
        self.path = path
        self.prose, self.blocks, self.headings = [], [], []
        block = marker = None
        for number, line in enumerate(text_of(path).split("\n"), 1):
            if fence := re.match(r"^(```+)(\w*)$", line):
                if block is None:
                    block = (number + 1, fence[2], [], marker)
                else:
                    self.blocks.append(block)
                    block = None
                marker = None
                self.prose.append((number, ""))
            elif block is not None:
                block[2].append(line)
            else:
                self.add_prose(number, line)
                found = re.match(r"^<!-- (\S+/\S+) -->$", line)
                marker = found[1] if found else None
                if heading := re.match(r"^#+ +(.*)$", line):
                    self.headings.append(heading[1])

    def add_prose(self, number, line):
        """Lines in a row are a paragraph, but for those of a table."""
        if line and self.prose and self.prose[-1][1] and not line.startswith("|"):
            first, text = self.prose.pop()
            self.prose.append((first, f"{text}\n{line}"))
        else:
            self.prose.append((number, line))

    def find(self, pattern, clean=lambda text: text):
        """The first group of each match, without line breaks, and the line where it begins."""
        for first, text in self.prose:
            text = clean(text)
            for match in re.finditer(pattern, text):
                yield first + text.count("\n", 0, match.start()), match[1].replace("\n", " ")

    def anchors(self):
        """As GitHub makes them: words in lower case, hyphens for spaces, a number for repetitions."""
        made, seen = set(), {}
        for heading in self.headings:
            slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower())
            slug = slug.replace(" ", "-")
            count = seen.get(slug, 0)
            seen[slug] = count + 1
            made.add(f"{slug}-{count}" if count else slug)
        return made


@cache
def page_of(path):
    return Page(path)


def check_links(page):
    def without_code(text):
        return re.sub(r"`[^`]*`", lambda code: re.sub(r"[^\n]", " ", code[0]), text)

    for number, target in page.find(r"\]\(([^)\s]+)\)", without_code):
        if re.match(r"^[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        if not path.exists():
            yield number, f"the link {target} leads nowhere"
        elif anchor and path.suffix != ".md":
            yield number, f"the link {target} has an anchor, and {name} no headings"
        elif anchor and anchor not in page_of(path).anchors():
            yield number, f"the link {target} names no heading of {path.relative_to(ROOT)}"


# Commands.

@cache
def examples():
    found = re.findall(r"^add_example\((\w+)", text_of(ROOT / "examples/CMakeLists.txt"), re.M)
    return set(found)


@cache
def sources(program):
    """All text in which an option of a program may stand."""
    files = [program]
    if program.suffix == ".sh":
        files += [ROOT / name for name in
                  re.findall(r'(?:source|python3) "\$root/([\w./-]+)"', text_of(program))]
    return "\n".join(text_of(path) for path in files if path.exists())


@cache
def example_sources(name):
    folders = [f"examples/{name}", "examples/shared"]
    return "\n".join(text_of(path) for path in tracked(*folders)
                     if path.suffix in (".cpp", ".hpp", ".sh"))


@cache
def all_programs():
    """What an option in a sentence may be of."""
    return "\n".join(text_of(path) for path in tracked("*.cpp", "*.sh", "*.py")
                     if path.name != "lint.sh") + ' "--help" '  # that one has wrong ones


def words_of(command):
    """The words of a command, without what stands before the program, and after a comment."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        return []
    while words and (re.match(r"^[A-Z_]+=", words[0]) or words[0] in ("nice", "bash", "python3")):
        words.pop(0)
    if words and words[0] == "mpirun":
        words = words[3:] if words[1:2] == ["-np"] else words[1:]
    return words


def check_options(options, text, whose):
    for option in options:
        if found := LONG_OPTION.match(option):
            if not re.search(rf"(?<![\w-]){re.escape(found[0])}(?![\w-])", text):
                yield f"{whose} has no option {found[0]}"


def check_command(command):
    words = words_of(command)
    if not words:
        return
    program, arguments = words[0], words[1:]
    if program.startswith("build/release/examples/"):
        return (yield from check_example(Path(program).name, arguments))
    if program.startswith("build/") or "/" not in program:
        return
    path = ROOT / program
    if not path.is_file():
        yield f"there is no program {program}"
        return
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else program
    text = sources(path)
    if name == "examples/run.sh":
        example = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "cifar10"
        if script := {"report": "report/report.py", "assess": "assess/assess.py",
                      "trace": "trace/merge.py"}.get(example):
            text = text_of(ROOT / "examples" / script)
            return (yield from check_options(arguments, text, example))
        return (yield from check_example(example, arguments, text))
    if name == "examples/launch.sh":
        if len(arguments) < 3 or arguments[0] != "-n":
            yield "launch.sh needs -n N and an example"
            return
        return (yield from check_example(arguments[2], arguments[3:]))
    if name == "tests/run.sh" and "--" in arguments:
        arguments = arguments[:arguments.index("--")]
    yield from check_options(arguments, text, program)


def check_example(name, arguments, also=""):
    if name.isupper():  # "NAME"
        return
    if name not in examples():
        yield f"there is no example {name}"
        return
    own = arguments[:arguments.index(">")] if ">" in arguments else arguments
    text = example_sources(name) + also + ' "--help" '
    yield from check_options(own, text, f"the example {name}")
    for argument in own:
        if argument.startswith("examples/") and not (ROOT / argument).exists():
            yield f"there is no file {argument}"


def check_commands(page):
    for first, language, lines, _ in page.blocks:
        if language not in ("", "sh", "bash"):
            continue
        joined, begin = "", first
        for offset, line in enumerate(lines):
            begin = begin if joined else first + offset
            joined += line.removesuffix("\\")
            if line.endswith("\\"):
                continue
            for mistake in check_command(joined):
                yield begin, mistake
            joined = ""
    for number, code in page.find(r"`(\./[^`]+)`"):
        yield from ((number, mistake) for mistake in check_command(code))
    for number, code in page.find(r"`(--[^`]+)`"):
        yield from ((number, mistake) for mistake in
                    check_options([code], all_programs(), "this repository"))


# Names and quotations.

@cache
def words_of_headers():
    """For each header, its words."""
    return [set(re.findall(r"\w+", text_of(path))) for path in tracked("include/*.hpp")]


@cache
def targets():
    cmake = "\n".join(text_of(path) for path in tracked("CMakeLists.txt", "cmake/*", "*.cmake"))
    return set(re.findall(r"gossamer::\w+", cmake))


@cache
def exists(name):
    """A header has the last two parts of the name, and each part before them is in one, too."""
    parts = [part for part in name.split("::") if part != "gossamer"]
    last = set(parts[-2:])
    return (any(last <= words for words in words_of_headers())
            and all(any(part in words for words in words_of_headers()) for part in parts))


def check_names(page):
    spans = list(page.find(r"`([^`]+)`"))
    spans += [(first + offset, line) for first, language, lines, marker in page.blocks
              if language == "cpp" and marker is None for offset, line in enumerate(lines)]
    for number, code in spans:
        for name in NAME.findall(code):
            if name.split("::")[0] in FOREIGN or name in targets() or exists(name):
                continue
            yield number, f"nothing in include/ is called {name}"
        called = re.match(r"^([a-z]\w*)\([^)]*\)$", code)
        if called and called[1] != "find_package" and not any(
                called[1] in words for words in words_of_headers()):
            yield number, f"no function in include/ is called {called[1]}"


def check_code(page):
    for first, _, lines, marker in page.blocks:
        if marker is None:
            continue
        path = ROOT / marker
        if not path.is_file():
            yield first, f"there is no file {marker} to be quoted"
        elif "\n".join(lines) + "\n" not in text_of(path):
            yield first, f"{marker} has not these lines"


def check_metrics(page):
    if page.path != ROOT / "include/gossamer/observe/README.md":
        return
    pattern = r"gossamer_[a-z_]*[a-z]"
    there = set(re.findall(f'"({pattern})"', text_of(page.path.with_name("metrics.hpp"))))
    named = list(page.find(f"`({pattern})`"))
    yield from ((1, f"the metric {name} is not here") for name in
                sorted(there - {name for _, name in named}))
    yield from ((number, f"there is no metric {name}") for number, name in named
                if name not in there)


def main(names):
    pages = [Path(name).resolve() for name in names] or sorted(tracked("*.md"))
    mistakes = 0
    for path in pages:
        page = page_of(path)
        for check in (check_links, check_commands, check_names, check_code, check_metrics):
            for number, mistake in check(page):
                print(f"{path.relative_to(ROOT)}:{number}: {mistake}")
                mistakes += 1
    if mistakes == 0:
        print(f"{len(pages)} pages say what is there")
    return min(mistakes, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: MIT
"""examples/cifar10/download.sh with servers that behave, break off, cheat or are gone, and with
archives of all kinds: download_test.py [PROGRAM]. PROGRAM is the main example. The last line is
"N passed, N failed"."""

import hashlib
import io
import os
import pathlib
import pty
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

from http_server import HttpServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples/cifar10/download.sh"
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else None
ARCHIVE = "data.tar.gz"
FOLDER = "cifar-10-batches-bin"
NAMES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
# Bytes that do not compress, other ones for each file.
FILES = {name: random.Random(name).randbytes(20_000) for name in NAMES}


def entry(path, content=b"", symlink="", hardlink=""):
    """A member of an archive and what is in it."""
    member = tarfile.TarInfo(path)
    member.size = len(content)
    if symlink or hardlink:
        member.type = tarfile.SYMTYPE if symlink else tarfile.LNKTYPE
        member.linkname = symlink or hardlink
    return member, content


def entries():
    """The official archive's members, small."""
    folder = tarfile.TarInfo(FOLDER)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    return [(folder, b"")] + [entry(f"{FOLDER}/{name}", FILES[name]) for name in NAMES]


def make_archive(file, members):
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))


def environment(**changes):
    """This process's, without what would change the script's ways; None takes a variable away."""
    result = dict(os.environ, no_proxy="127.0.0.1", LC_ALL="C", **changes)
    for name in ("GOSSAMER_DATA", "XDG_CACHE_HOME"):
        if name not in changes:
            result.pop(name, None)
    return {name: str(value) for name, value in result.items() if value is not None}


class Scene(unittest.TestCase):
    """A folder for the data that is not there yet."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.data = self.folder / "some" / "data: x"  # tar must not take it for a host
        self.archive = self.data / ARCHIVE
        self.part = self.data / (ARCHIVE + ".part")

    def call(self, *arguments, **changes):
        return subprocess.run([SCRIPT, *map(str, arguments)], env=environment(**changes), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def refused(self, *texts, by):
        """`by` ended badly, without a folder, and its last line of error has the texts."""
        self.assertNotEqual(by.returncode, 0)
        self.assertEqual(by.stdout, "")
        last = by.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("download.sh: "), by.stderr)
        for text in texts:
            self.assertIn(text, last)

    def unpacked(self, result):
        """The files are there, and nothing half-written beside them."""
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, f"{self.data / FOLDER}\n")
        self.check_files()
        self.assertFalse(self.part.exists())

    def check_files(self):
        for name in NAMES:
            self.assertEqual((self.data / FOLDER / name).read_bytes(), FILES[name])
        self.assertFalse((self.data / (FOLDER + ".part")).exists())


class DownloadTest(Scene):
    def setUp(self):
        super().setUp()
        self.served = self.folder / "served" / ARCHIVE
        make_archive(self.served, entries())
        self.whole = self.served.read_bytes()
        self.bytes = len(self.whole)
        self.digest = hashlib.sha256(self.whole).hexdigest()
        self.server = HttpServer(self.served.parent)
        self.addCleanup(self.server.stop)

    def url(self, manner):
        return self.server.url(f"{manner}/{ARCHIVE}")

    def arguments(self, url, **changes):
        options = {"data": self.data, "url": url, "sha256": self.digest, "bytes": self.bytes,
                   "pause": 0, **changes}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def download(self, manner, **changes):
        return self.call(*self.arguments(self.url(manner), **changes))

    def start_with(self, file, content):
        self.data.mkdir(parents=True)
        file.write_bytes(content)

    def test_a_download_ends_unpacked_says_what_it_does_and_is_not_repeated(self):
        result = self.download("range")
        self.unpacked(result)
        self.assertEqual(result.stderr,
                         f"fetching {self.url('range')}\nunpacking {self.archive}\n")
        self.assertEqual(self.server.requests, [f"/range/{ARCHIVE} -"])
        self.server.stop()
        again = self.download("range")  # nobody to ask
        self.unpacked(again)
        self.assertEqual(again.stderr, "")
        shutil.rmtree(self.data / FOLDER)
        self.unpacked(self.download("range"))  # unpacked again

    def test_a_terminal_sees_the_progress(self):
        screen, end = pty.openpty()
        with subprocess.Popen([SCRIPT, *map(str, self.arguments(self.url("range")))], stderr=end,
                              stdout=subprocess.PIPE, env=environment()) as process:
            os.close(end)
            text = b""
            try:
                while piece := os.read(screen, 4096):
                    text += piece
            except OSError:
                pass  # the other end is closed
            process.stdout.read()
        os.close(screen)
        self.assertEqual(process.returncode, 0, text)
        self.assertIn(b"100.0%", text)
        self.check_files()

    def test_a_transfer_that_breaks_off_twice_asks_only_for_the_rest(self):
        result = self.download("breaks")
        self.unpacked(result)
        first = self.bytes // 3
        second = first + (self.bytes - first) // 3
        path = f"/breaks/{ARCHIVE}"
        self.assertEqual(self.server.requests,
                         [f"{path} -", f"{path} bytes={first}-", f"{path} bytes={second}-"])
        self.assertIn(f"broke off after {first} bytes", result.stderr)

    def test_a_server_that_cannot_resume_is_taken_from_the_start(self):
        result = self.download("cut")
        self.unpacked(result)
        self.assertIn("the server cannot resume; starting over", result.stderr)

    def test_the_part_of_an_earlier_call_is_gone_on_with(self):
        self.start_with(self.part, self.whole[:50_000])
        result = self.download("range")
        self.unpacked(result)
        self.assertIn("resuming after 50000 bytes", result.stderr)
        self.assertEqual(self.server.requests, [f"/range/{ARCHIVE} bytes=50000-"])

    def test_a_part_that_is_the_whole_is_not_fetched(self):
        self.start_with(self.part, self.whole)
        self.unpacked(self.download("range"))
        self.assertEqual(self.server.requests, [])

    def test_a_part_that_is_more_than_the_whole_is_thrown_away(self):
        self.start_with(self.part, self.whole + b"x")
        self.unpacked(self.download("range"))
        self.assertEqual(self.server.requests, [f"/range/{ARCHIVE} -"])

    def test_a_wrong_digest_deletes_the_file_and_names_it_and_both_digests(self):
        wrong = "0" * 64
        result = self.download("range", sha256=wrong)
        self.refused(f"{self.part}, from {self.url('range')}, must have the SHA-256 digest {wrong}, "
                     f"got {self.digest}; the file was deleted", by=result)
        for left in (self.part, self.archive, self.data / FOLDER):
            self.assertFalse(left.exists())

    def test_the_official_archive_is_what_its_authors_publish(self):
        self.assertIn("\nurl=https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz\n",
                      SCRIPT.read_text())
        result = self.call("--data", self.data, "--url", self.url("short"), "--pause", 0)
        self.refused("of 170052171 bytes", by=result)
        self.data.joinpath(ARCHIVE).write_bytes(b"damaged")
        result = self.call("--data", self.data, "--url", self.url("range/none"), "--pause", 0)
        self.assertIn("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                      result.stderr)

    def test_a_damaged_part_is_deleted_and_the_next_call_succeeds(self):
        self.start_with(self.part, b"x" * 10_000)
        self.refused("SHA-256", by=self.download("range"))
        self.unpacked(self.download("range"))

    def test_a_damaged_archive_is_named_and_fetched_again(self):
        self.start_with(self.archive, b"damaged")
        result = self.download("plain")
        self.unpacked(result)
        self.assertIn(f"{self.archive} must have the SHA-256 digest {self.digest}, got "
                      f"{hashlib.sha256(b'damaged').hexdigest()}; fetching it again", result.stderr)

    def test_a_server_that_sends_too_much_is_cut_off(self):
        for manner in ("long", "endless"):
            with self.subTest(manner):
                self.refused(f"must have {self.bytes} bytes, the server sends more",
                             by=self.download(manner))
                self.assertFalse(self.part.exists())

    def test_a_server_with_too_short_a_file_is_given_up(self):
        self.refused("broke off 5 times", by=self.download("short"))
        self.assertFalse(self.archive.exists())

    def test_a_server_that_always_breaks_off_is_given_up_and_the_part_is_kept(self):
        result = self.download("stops")
        self.refused(f"{self.url('stops')} broke off 5 times, at last after ",
                     f" of {self.bytes} bytes: ", by=result)
        self.assertEqual(len(self.server.requests), 5)
        kept = self.part.read_bytes()
        self.assertGreater(len(kept), self.bytes / 2)
        self.assertEqual(kept, self.whole[:len(kept)])

    def test_a_busy_server_is_asked_again_a_refusal_is_final(self):
        self.unpacked(self.download("busy"))
        self.assertEqual(len(self.server.requests), 2)
        shutil.rmtree(self.data)
        url = self.server.url("range/missing.tar.gz")
        self.refused(f"cannot fetch {url} ", "404", by=self.call(*self.arguments(url)))
        self.assertEqual(len(self.server.requests), 3)

    def test_a_redirection_is_followed_but_not_to_a_local_file(self):
        self.refused("cannot fetch ", by=self.download("escapes"))
        self.unpacked(self.download("moved"))

    def test_without_a_network_url_and_reason_are_named(self):
        self.server.stop()
        self.refused(f"cannot fetch {self.url('range')} ", "onnect", by=self.download("range"))
        self.assertFalse(self.archive.exists())

    def test_a_folder_that_cannot_be_made_is_named(self):
        (self.folder / "some").write_text("a file in the way")
        self.refused(f"cannot make the folder {self.data}: Not a directory",
                     by=self.download("range"))

    def test_two_that_share_a_folder_fetch_once(self):
        results = [None, None]

        def run(i):
            results[i] = self.download("range")

        threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            self.unpacked(result)
        self.assertEqual(len(self.server.requests), 1)

    def test_a_call_that_is_killed_is_gone_on_with(self):
        arguments = self.arguments(self.url("stops"), pause=999)
        with subprocess.Popen([SCRIPT, *map(str, arguments)], stderr=subprocess.PIPE, text=True,
                              env=environment(), start_new_session=True) as process:
            for line in process.stderr:
                if "broke off after" in line:
                    break
            os.killpg(process.pid, signal.SIGKILL)
        self.assertFalse((self.data / FOLDER).exists())
        self.unpacked(self.download("range"))
        self.assertEqual(self.server.requests[-1], f"/range/{ARCHIVE} bytes={self.bytes // 3}-")


class UnpackTest(Scene):
    """Archives that lie in the folder already, so that nobody is asked."""

    def unpack(self):
        whole = self.archive.read_bytes()
        return self.call("--data", self.data, "--url", f"https://example.invalid/{ARCHIVE}",
                         "--bytes", len(whole), "--sha256", hashlib.sha256(whole).hexdigest())

    def unpack_entries(self, members):
        make_archive(self.archive, members)
        return self.unpack()

    def test_only_the_expected_regular_files_leave_an_archive(self):
        result = self.unpack_entries(entries() + [
            entry(f"{FOLDER}/readme.html", b"welcome"),
            entry("../escaped.bin", b"bad"),
            entry(f"{FOLDER}/../../test_batch.bin", b"bad"),
            entry(str(self.folder / "absolute.bin"), b"bad"),
            entry("other/data_batch_1.bin", b"bad"),
            entry(f"{FOLDER}/data_batch_1.bin/x", b"bad"),
            entry(f"{FOLDER}/extra.bin", b"bad"),
            entry(f"{FOLDER}/batches.meta.txt", symlink="/etc/hostname"),
        ])
        self.unpacked(result)
        self.assertEqual((self.data / FOLDER / "readme.html").read_text(), "welcome")
        left = {file.name for file in self.folder.rglob("*") if not file.is_dir()}
        self.assertEqual(left, {*NAMES, "readme.html", ARCHIVE, ARCHIVE + ".lock"})

    def test_an_archive_that_is_cut_short_leaves_nothing(self):
        make_archive(self.archive, entries())
        self.archive.write_bytes(self.archive.read_bytes()[:70_000])
        self.refused(f"cannot unpack {self.archive}: ", by=self.unpack())
        self.nothing_left()

    def test_what_is_no_archive_leaves_nothing(self):
        self.data.mkdir(parents=True)
        self.archive.write_bytes(random.Random(1).randbytes(5_000))
        self.refused(f"cannot unpack {self.archive}: ", by=self.unpack())
        self.nothing_left()

    def test_a_file_that_is_missing_is_named(self):
        members = entries()
        del members[3]
        self.refused(f"{self.archive} must hold the file {FOLDER}/data_batch_3.bin",
                     by=self.unpack_entries(members))
        self.nothing_left()

    def test_a_link_in_the_place_of_a_file_is_none(self):
        members = entries()
        members[2] = entry(members[2][0].name, symlink="/etc/hostname")
        self.refused(f"{self.archive} must hold the file {FOLDER}/data_batch_2.bin",
                     by=self.unpack_entries(members))
        members[2] = entry(members[2][0].name, hardlink=members[1][0].name)
        self.refused(f"{self.archive} must hold the file {FOLDER}/data_batch_1.bin",
                     by=self.unpack_entries(members))
        self.nothing_left()

    def test_a_file_that_is_too_large_is_refused(self):
        members = entries()
        for size in (30_730_001, 60_000_000):
            members[5] = entry(members[5][0].name, bytes(size))
            self.refused(f"data_batch_5.bin in {self.archive} must have at most 30730000 bytes",
                         by=self.unpack_entries(members))
            self.nothing_left()

    def test_a_folder_that_lacks_a_file_is_kept_until_the_new_one_is_whole(self):
        folder = self.data / FOLDER
        folder.mkdir(parents=True)
        (folder / "data_batch_1.bin").write_text("old")
        self.refused("must hold the file", by=self.unpack_entries(entries()[:4]))
        self.assertEqual((folder / "data_batch_1.bin").read_text(), "old")
        self.unpacked(self.unpack_entries(entries()))

    def nothing_left(self):
        left = {file.name for file in self.data.iterdir()}
        self.assertEqual(left, {ARCHIVE, ARCHIVE + ".lock"})


class CommandLineTest(Scene):
    def fill(self, folder):
        folder.mkdir(parents=True)
        for name in NAMES:
            (folder / name).write_bytes(FILES[name])

    def test_the_folder_is_data_then_gossamer_data_then_the_cache(self):
        homes = {"HOME": self.folder / "home", "XDG_CACHE_HOME": self.folder / "cache"}
        cached = [self.folder / "home/.cache/gossamer", self.folder / "cache/gossamer"]
        for folder in (self.folder / "given", self.folder / "named", *cached):
            self.fill(folder / FOLDER)

        def found(*arguments, **changes):
            return self.call(*arguments, **{**homes, **changes}).stdout

        named = {"GOSSAMER_DATA": self.folder / "named"}
        self.assertEqual(found("--data", self.folder / "given", **named),
                         f"{self.folder / 'given' / FOLDER}\n")
        self.assertEqual(found(f"--data={self.folder / 'given' / FOLDER}"),
                         f"{self.folder / 'given' / FOLDER}\n")  # the folder, not its parent
        self.assertEqual(found(**named), f"{self.folder / 'named' / FOLDER}\n")
        self.assertEqual(found(), f"{cached[1] / FOLDER}\n")
        self.assertEqual(found(XDG_CACHE_HOME="relative"), f"{cached[0] / FOLDER}\n")
        self.assertEqual(found(XDG_CACHE_HOME=None), f"{cached[0] / FOLDER}\n")
        self.refused("XDG_CACHE_HOME or HOME must be an absolute path",
                     by=self.call(HOME=None))

    def test_odd_arguments_are_refused_in_one_sentence(self):
        for arguments, text in ((["--dta", "x"], "there is no option '--dta'"),
                                (["x"], "there is no option 'x'"),
                                (["--data"], "--data needs a value"),
                                (["--data", ""], "--data needs a value"),
                                (["--url", "file:///etc/hostname"], "--url must begin with https://"),
                                (["--url", "http://127.0.0.1/"], "end in a file's name, got"),
                                (["--url", "http://127.0.0.1/a/.."], "end in a file's name, got"),
                                (["--url", "http://127.0.0.1/a?b"], "end in a file's name, got"),
                                (["--sha256", "ABC"], "--sha256 must be 64 lower-case"),
                                (["--bytes", "0"], "--bytes must be a number above 0, got '0'"),
                                (["--bytes", "1x"], "--bytes must be a number above 0, got '1x'"),
                                (["--pause", "-1"], "--pause must be a whole number")):
            with self.subTest(arguments):
                result = self.call(*arguments, HOME=self.folder)
                self.refused(text, by=result)
                self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_help_names_every_option(self):
        result = self.call("--help")
        self.assertEqual(result.returncode, 0)
        for option in ("--data DIR", "--url URL", "--sha256", "--bytes", "--pause"):
            self.assertIn(option, result.stdout)

    def test_tools_that_are_missing_are_installed(self):
        """In a tree whose setup.sh installs a tool by linking it."""
        tree, tools = self.folder / "tree", self.folder / "tools"
        tools.mkdir()
        for tool in ("bash", "dirname", "cat", "ln", "mkdir", "rm", "stat", "flock", "gzip",
                     "sha256sum", "cut", "tar", "mv"):
            (tools / tool).symlink_to(shutil.which(tool))
        (tree / "examples/cifar10").mkdir(parents=True)
        (tree / "cmake").mkdir()
        shutil.copy(SCRIPT, tree / "examples/cifar10")
        (tree / "cmake/setup.sh").write_text(
            f'need_packages() {{ echo "$*"; ln -s {shutil.which("curl")} {tools}/curl; }}\n')
        make_archive(self.archive, entries())
        whole = self.archive.read_bytes()
        result = subprocess.run(
            [tree / "examples/cifar10/download.sh", "--data", self.data, "--bytes", str(len(whole)),
             "--sha256", hashlib.sha256(whole).hexdigest(), "--url", f"http://127.0.0.1/{ARCHIVE}"],
            env=environment(PATH=tools), text=True, capture_output=True, check=False)
        self.unpacked(result)
        self.assertEqual(result.stderr.splitlines()[0], "curl ca-certificates")
        self.assertTrue((tools / "curl").exists())

    def test_run_sh_fetches_and_passes_the_folder_on(self):
        """In a tree where nothing is built, and the example prints its arguments."""
        tree = self.folder / "tree"
        for part in ("examples/cifar10", "cmake", "build/release/examples"):
            (tree / part).mkdir(parents=True)
        shutil.copy(ROOT / "examples/run.sh", tree / "examples")
        shutil.copy(ROOT / "examples/CMakeLists.txt", tree / "examples")
        shutil.copy(SCRIPT, tree / "examples/cifar10")
        (tree / "cmake/setup.sh").write_text(
            f'root={tree}\nbuild_packages=()\nneed_packages() {{ :; }}\nconfigure() {{ :; }}\n'
            "build() { :; }\ndie() { echo \"$*\" >&2; exit 1; }\n")
        program = tree / "build/release/examples/cifar10"
        program.write_text('#!/usr/bin/env bash\nprintf "[%s]" "$@"\n')
        program.chmod(0o755)
        self.fill(self.data / FOLDER)

        def run(*arguments):
            return subprocess.run([tree / "examples/run.sh", *map(str, arguments)], text=True,
                                  env=environment(XDG_CACHE_HOME=self.folder / "cache"),
                                  capture_output=True, check=False)

        there = f"[--data][{self.data / FOLDER}]"
        for words in (["--download", "--data", self.data], ["--data", self.data, "--download"],
                      [f"--data={self.data}", "--download"]):
            self.assertEqual(run("cifar10", *words).stdout, there)
            self.assertEqual(run(*words, "--out", "a  b").stdout, there + "[--out][a  b]")
        self.assertEqual(run("cifar10", "--data", "x").stdout, "[--data][x]")  # not asked to fetch
        self.refused("--data needs a value", by=run("cifar10", "--download", "--data"))
        self.fill(self.folder / "cache/gossamer" / FOLDER)
        self.assertEqual(run("--download").stdout,
                         f"[--data][{self.folder / 'cache/gossamer' / FOLDER}]")

    @unittest.skipUnless(PROGRAM, "needs the program")
    def test_the_program_itself_names_the_script(self):
        result = subprocess.run([PROGRAM, "--download"], text=True, capture_output=True,
                                env=environment(), check=False)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertIn("./examples/run.sh", result.stderr)
        self.assertIn("examples/cifar10/download.sh", result.stderr)


if __name__ == "__main__":
    outcome = unittest.main(exit=False).result
    bad = len({getattr(case, "test_case", case).id()  # a case may fail in several subtests
               for case, _ in outcome.failures + outcome.errors})
    print(f"{outcome.testsRun - bad - len(outcome.skipped)} passed, {bad} failed")
    sys.exit(0 if outcome.wasSuccessful() else 1)

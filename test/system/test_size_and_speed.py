"""The program is small, static and quick to start; the sanitizer build really has its sanitizers."""

import re
import statistics
import subprocess
import time
import unittest

from deployment import BIN, BUILD

PROGRAM = BIN / "ctrl-exec"


def readelf(*options):
    return subprocess.run(["readelf", "--wide", *options, PROGRAM], check=True, capture_output=True,
                          timeout=60).stdout.decode()


def median_milliseconds(argv, times=20):
    def once():
        start = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=60)
        return (time.perf_counter() - start) * 1000

    return statistics.median(once() for _ in range(times))


class Release(unittest.TestCase):
    def test_at_most_five_megabytes(self):
        self.assertLessEqual(PROGRAM.stat().st_size, 5_000_000)

    def test_static(self):
        self.assertNotIn("INTERP", readelf("--program-headers"))
        self.assertNotIn("NEEDED", readelf("--dynamic"))

    def test_hardened(self):
        headers = readelf("--program-headers")
        self.assertIn("GNU_RELRO", headers)
        self.assertRegex(headers, r"GNU_STACK .* RW +0x")  # not RWE

    def test_stripped(self):
        self.assertNotIn(" .symtab ", readelf("--section-headers"))

    def test_version_is_there_in_ten_milliseconds(self):
        nothing = median_milliseconds(["/bin/true"])
        version = median_milliseconds([PROGRAM, "--version"])
        # What starting any process costs here is not ours: on a busy machine it alone may take longer.
        self.assertLess(version - nothing, 10, f"/bin/true takes {nothing:.1f} ms")
        self.assertTrue(version < 10 or version < 3 * nothing, f"{version:.1f} ms, /bin/true {nothing:.1f} ms")


class Debug(unittest.TestCase):
    def test_sanitizers_are_in(self):
        symbols = readelf("--dyn-syms")
        for symbol in ("__asan_init", "__ubsan_handle_"):
            self.assertRegex(symbols, rf"\b{re.escape(symbol)}", "the tests of this build would prove less")

    def test_version(self):
        self.assertLess(median_milliseconds([PROGRAM, "--version"], times=5), 5000)


if BUILD == "release":
    del Debug
else:
    del Release

if __name__ == "__main__":
    unittest.main()

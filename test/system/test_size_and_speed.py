"""The program is small, static and quick to start; the sanitizer build really has its sanitizers."""

import pathlib
import re
import statistics
import subprocess
import time
import unittest

from api import call_once, serve_api
from deployment import BIN, BUILD, Deployment

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


    def test_idle_api_takes_less_than_eight_megabytes(self):
        with Deployment(api_port=0, api_auth_default="allow") as deployment:
            api = serve_api(deployment)
            self.assertEqual(call_once(api, "GET", "/health")[0], 200)
            status = pathlib.Path(f"/proc/{api.pid}/status").read_text()
        self.assertLess(int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.M)[1]) * 1024, 8_000_000)


class Debug(unittest.TestCase):
    def test_sanitizers_are_in(self):
        self.assertRegex(readelf("--dyn-syms"), r"\b__asan_init\b", "the tests of this build would prove less")
        # UBSan's checks are traps (meson.build).
        code = subprocess.run(["objdump", "--disassemble", BIN / "core/libcore.a.p/json.cc.o"], check=True,
                              capture_output=True, timeout=60).stdout.decode()
        self.assertGreater(len(re.findall(r"\t(ud2|brk)\b", code)), 100, "the tests of this build would prove less")

    def test_starts_quickly_enough_for_thousands_of_tests(self):
        self.assertLess(median_milliseconds([PROGRAM, "--version"], times=9), 100 * median_milliseconds(["true"], times=9))


if BUILD == "release":
    del Debug
else:
    del Release

if __name__ == "__main__":
    unittest.main()

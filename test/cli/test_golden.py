"""Each file of test/cli/cases is one test; test/cli/golden.py describes the files."""

import concurrent.futures
import os
import pathlib
import tempfile
import unittest

import golden


class Golden(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.bin_dir = os.environ["CTRL_EXEC_BIN_DIR"]
        directory = tempfile.TemporaryDirectory(prefix="ctrl-exec-golden-")
        cls.addClassCleanup(directory.cleanup)
        cls.prepared = golden.set_up(pathlib.Path(directory.name), cls.bin_dir)
        # A second thread carries out cases from the last one on, until it meets the tests, which come from the first.
        pool = concurrent.futures.ThreadPoolExecutor(1)
        cls.addClassCleanup(pool.shutdown, cancel_futures=True)
        cls.ahead = {path: pool.submit(cls.actual, path) for path in reversed(CASES)}

    @classmethod
    def actual(cls, path):
        steps = golden.parse(path.read_text(encoding="utf-8"), path.name)
        with tempfile.TemporaryDirectory(prefix="ctrl-exec-golden-") as directory:
            return golden.render(golden.run(steps, pathlib.Path(directory), cls.bin_dir, cls.prepared))

    def check(self, path):
        expected = path.read_text(encoding="utf-8")
        actual = self.actual(path) if self.ahead[path].cancel() else self.ahead[path].result()
        if actual != expected and os.environ.get("ACCEPT") == "1":
            path.write_text(actual, encoding="utf-8")
            self.fail(f"{path.name} was rewritten because of ACCEPT=1; read the difference before you commit it")
        self.assertEqual(expected, actual, f"{path.name}: what came out differs (ACCEPT=1 takes it over)")


CASES = sorted(golden.CASES.glob("*.test"))
for case in CASES:
    setattr(Golden, "test_" + case.stem.replace("-", "_"), lambda self, path=case: self.check(path))

if __name__ == "__main__":
    unittest.main()

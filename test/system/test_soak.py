"""Half a minute of `./dev soak`: kill -9 at random moments, and every run has one outcome and has run at most once."""

import time
import unittest

from soak import PAUSE, soak

SECONDS = 30


class Soak(unittest.TestCase):
    def test_every_run_has_one_outcome_and_none_runs_twice(self):
        seed = str(time.time_ns())
        problems, counts = soak(SECONDS, seed, pause=PAUSE)
        self.assertFalse(problems, f"seed {seed}: {problems}")
        for what in ("agents killed", "dispatchers killed", "outcome ok", "outcome failed", "entries in the ledgers"):
            self.assertGreater(counts[what], 0, f"no {what}: {counts}")


if __name__ == "__main__":
    unittest.main()

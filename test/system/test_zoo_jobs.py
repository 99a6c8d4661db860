"""The zoo of zoo.py, as detached jobs."""

import unittest

from zoo import Detached, Zoo


class Jobs(Detached, Zoo, unittest.TestCase):
    """Callers ask later."""


if __name__ == "__main__":
    unittest.main()

"""The zoo of zoo.py, with an agent as hosts have it."""

import unittest

from zoo import Zoo


class Ordinary(Zoo, unittest.TestCase):
    """Callers wait."""


if __name__ == "__main__":
    unittest.main()

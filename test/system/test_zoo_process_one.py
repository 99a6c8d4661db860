"""The zoo of zoo.py, with an agent that is process 1 of a PID namespace, as in a container."""

import unittest

from zoo import Detached, ProcessOne, Zoo


class Ordinary(ProcessOne, Zoo, unittest.TestCase):
    """Callers wait."""


class Jobs(ProcessOne, Detached, Zoo, unittest.TestCase):
    """Callers ask later."""


if __name__ == "__main__":
    unittest.main()

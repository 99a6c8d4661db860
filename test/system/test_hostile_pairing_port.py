"""No bytes on the pairing port, however broken, leave anything behind: no request in the queue, no file, no process."""

import unittest

import hostile_pairing
from deployment import Deployment
from hostile_pairing import PairingPort, sent
from hostile_tables import PortTable, SlowCallers, SlowTable, tests_of, wait_footprint, wait_without_peers


class Listener(unittest.TestCase):
    """A pairing listener for the whole table."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = cls.enterClassContext(Deployment(pairing_max_queue=3))
        cls.daemon = cls.enterClassContext(cls.deployment.pairing_mode())
        cls.port = PairingPort(cls.daemon.address, cls.good_request, cls.deployment.state / "pairing")
        cls.good_request()
        cls.quiet = wait_without_peers(cls.daemon)

    @classmethod
    def good_request(cls):
        """A right request is queued; when its agent hangs up it is dropped again."""
        client, stored = cls.port.pair(sent(cls.port.body()))
        client.close()
        cls.daemon.wait_log(f"^ACTION=pair-end HOST=web-01 OUTCOME=gone REQID={stored['id']}$")


@tests_of(hostile_pairing.ROWS)
class PairingPortTable(PortTable, Listener):
    def check(self, row):
        super().check(row)
        self.assertEqual(self.port.waiting(), [])


@tests_of(hostile_pairing.SLOW)
class SlowAgents(SlowTable, Listener):
    """All of them at the same time, each for as long as the listener lets it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        callers = SlowCallers(cls.port, hostile_pairing.SLOW)
        cls.good_request()
        callers.watch()
        cls.ends = callers.ends
        cls.good_request()
        wait_footprint(cls.daemon, cls.quiet)


del Listener  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()

"""A run on a fleet in which some agents are dead, some stall and some fail: each of them is told apart."""

import os
import time
import unittest

from deployment import BUILD, FAILED, MISSING, Deployment
from fleet import Fleet, NetworkedFleet
from processes import poll

AGENTS = 60
PATIENCE = {"read_timeout": 10, "connect_timeout": 10}  # enough for all that answer, on a busy machine too
OUTCOMES = {"dead": ("missing", "refused"), "silent": ("missing", "no TLS handshake"), "stalled": ("missing", "no answer"),
            "failing": ("failed", "")}


class OneFleet(unittest.TestCase):
    def test_each_host_has_its_own_outcome(self):
        with Deployment(**PATIENCE) as deployment, \
                Fleet(deployment, AGENTS, dead=5, stalled=10, failing=10) as fleet:
            document = deployment.json("run", *fleet.names, "true", check=FAILED)
            results = {result["host"]: result for result in document["results"]}
            self.assertEqual(sorted(results), fleet.names)
            for conduct, (outcome, words) in OUTCOMES.items():
                self.assertEqual(len(fleet.of(conduct)), 6 if conduct == "failing" else 3)
                for name in fleet.of(conduct):
                    self.assertEqual(results[name]["outcome"], outcome, results[name])
                    self.assertIn(words, results[name].get("error", ""))
            for name in fleet.healthy:
                self.assertEqual((results[name]["outcome"], results[name]["exit"]), ("ok", 0), results[name])
            for name in fleet.of("failing"):
                self.assertEqual(results[name]["exit"], 1)

    def test_the_exit_code_is_that_of_what_went_wrong(self):
        with Deployment(**PATIENCE) as deployment, \
                Fleet(deployment, AGENTS, dead=5, stalled=10, failing=10) as fleet:
            deployment.dispatcher("run", *fleet.healthy, "true")
            deployment.dispatcher("run", *fleet.healthy, *fleet.of("dead"), "true", check=MISSING)
            deployment.dispatcher("run", *fleet.healthy[:3], *fleet.of("silent"), *fleet.of("stalled"), "true",
                                  check=MISSING)
            deployment.dispatcher("run", *fleet.of("failing"), "true", check=FAILED)
            deployment.dispatcher("run", "--min-success", len(fleet.healthy), *fleet.names, "true")

    def test_those_that_stall_do_not_hold_up_the_others(self):
        with Deployment(read_timeout=20, connect_timeout=20) as deployment, \
                Fleet(deployment, AGENTS, stalled=10) as fleet:
            stalled = set(fleet.of("silent") + fleet.of("stalled"))
            run = deployment.start(deployment.argv("run", *fleet.names, "true"), "run")
            poll("the results of all others", lambda: run.output.count("==> agent-") == AGENTS - len(stalled))
            self.assertFalse([name for name in stalled if name in run.output])
            self.assertTrue(run.running())
            run.kill()

    def test_a_low_limit_of_open_files_is_no_limit_of_hosts(self):
        with Deployment() as deployment, Fleet(deployment, AGENTS, canned=True) as fleet:
            limited = ["sh", "-c", f'ulimit -S -n {AGENTS // 2}; exec "$@"', "sh"]
            deployment.execute([*limited, *deployment.argv("run", *fleet.names, "true")])

    def test_many_hundred_hosts_are_one_call(self):
        count = 1200 if BUILD == "release" else 120
        with Deployment() as deployment, Fleet(deployment, count, canned=True) as fleet:
            results = deployment.json("run", "all", "true")["results"]
            self.assertEqual(sorted(result["host"] for result in results), fleet.names)

    def test_the_same_seed_gives_the_same_fleet(self):
        with Deployment() as deployment:
            chosen = []
            for seed, where in ((7, "one"), (7, "two"), (8, "three")):
                with Fleet(deployment, AGENTS, seed=seed, dead=10, failing=10,
                           directory=deployment.directory / where) as fleet:
                    chosen.append((fleet.of("dead"), fleet.of("failing")))
        self.assertEqual(chosen[0], chosen[1])
        self.assertNotEqual(chosen[0], chosen[2])


class Latency(unittest.TestCase):
    def test_hosts_are_waited_for_at_the_same_time(self):
        delay = 500
        with Deployment() as deployment, Fleet(deployment, 40, latency=delay, canned=True) as fleet:
            begin = time.monotonic()
            deployment.dispatcher("run", *fleet.names, "true")
            self.assertGreaterEqual(time.monotonic() - begin, delay / 1000)
            self.assertLess(time.monotonic() - begin, 40 * delay / 1000 / 2)

    def test_real_processes_are_a_fleet_too(self):
        count = 4 * (os.cpu_count() or 1)
        with Deployment() as deployment, Fleet(deployment, count, processes=True, dead=25) as fleet:
            self.assertEqual(len(fleet.pids), len(fleet.healthy))
            deployment.dispatcher("run", *fleet.healthy, "true")
            document = deployment.json("ping", *fleet.names, check=FAILED)
            self.assertEqual([result["host"] for result in document["results"] if result["status"] != "ok"],
                             fleet.of("dead"))


class Networked(unittest.TestCase):
    def test_a_host_whose_link_is_cut_is_missing_and_the_others_are_not(self):
        with Deployment(connect_timeout=5) as deployment, NetworkedFleet(deployment, 3) as fleet:
            first, cut, last = fleet.names
            deployment.dispatcher("run", *fleet.names, "true")
            fleet.cut(cut)
            document = deployment.json("run", *fleet.names, "true", check=MISSING)
            outcomes = {result["host"]: result["outcome"] for result in document["results"]}
            self.assertEqual(outcomes, {first: "ok", cut: "missing", last: "ok"})
            error = next(result["error"] for result in document["results"] if result["host"] == cut)
            self.assertIn("no answer from", error)


if __name__ == "__main__":
    unittest.main()

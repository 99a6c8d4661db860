"""GET /metrics: numbers that are so, in the format that Prometheus reads."""

import time
import unittest

from prometheus_client.parser import text_string_to_metric_families

from api import Client, serve_api
from deployment import Deployment


class Metrics(unittest.TestCase):
    def setUp(self):
        self.deployment = self.enterContext(Deployment(api_port=0, api_auth_default="allow"))
        self.agent = self.deployment.paired_agent("web-01")
        self.agent.script("ok", "#!/bin/sh\n")
        self.agent.script("fail", "#!/bin/sh\nexit 3\n")
        self.agent.serve()
        self.api = serve_api(self.deployment)
        self.client = self.enterContext(Client(self.api.address))

    def scrape(self):
        """{(name, labels as sorted pairs): value} of one scrape, as an independent parser reads it."""
        status, text = self.client.call("GET", "/metrics")
        self.assertEqual((status, self.client.headers["content-type"]),
                         (200, "text/plain; version=0.0.4; charset=utf-8"))
        samples = {}
        for family in text_string_to_metric_families(text):
            self.assertTrue(family.documentation, family.name)
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                self.assertNotIn(key, samples)
                samples[key] = sample.value
        return samples

    def value(self, name, **labels):
        return self.scrape().get((name, tuple(sorted(labels.items()))))

    def test_requests_are_counted_by_route_method_and_status(self):
        self.client.call("GET", "/health")
        self.client.call("GET", "/status/0123456789abcdef")
        self.client.call("GET", "/status/fedcba9876543210")
        self.client.call("GET", "/made/up")
        self.client.call("BREW", "/health")
        count = "ctrl_exec_http_requests_total"
        self.assertEqual(self.value(count, route="/health", method="GET", status="200"), 1)
        self.assertEqual(self.value(count, route="/status/{reqid}", method="GET", status="404"), 2)
        self.assertEqual(self.value(count, route="none", method="GET", status="404"), 1)
        self.assertEqual(self.value(count, route="/health", method="other", status="405"), 1)
        self.assertEqual(self.value(count, route="/metrics", method="GET", status="200"), 4)
        names = {label for name, labels in self.scrape() if name == count for label in labels}
        self.assertFalse([label for label in names if "made" in label[1] or "0123" in label[1]])

    def test_runs_are_counted_by_outcome(self):
        for script in ("ok", "ok", "fail", "missing"):
            self.client.call("POST", "/run", {"hosts": [self.agent.target], "script": script})
        self.client.call("POST", "/run", {"hosts": ["127.0.0.1:1"], "script": "ok"})
        outcomes = {dict(labels)["outcome"]: value for (name, labels), value in self.scrape().items()
                    if name == "ctrl_exec_runs_total"}
        self.assertEqual(outcomes, {"ok": 2, "failed": 1, "refused": 1, "refused-connection": 1})
        self.assertEqual(self.value("ctrl_exec_run_duration_seconds_count"), 5)
        self.assertEqual(self.value("ctrl_exec_http_request_duration_seconds_count", route="/run"), 5)

    def test_pings_and_auth_checks(self):
        self.client.call("POST", "/ping", {"hosts": [self.agent.target, "127.0.0.2:1"]})
        self.assertEqual(self.value("ctrl_exec_pings_total", outcome="ok"), 1)
        self.assertEqual(self.value("ctrl_exec_pings_total", outcome="failed"), 1)
        self.assertGreaterEqual(self.value("ctrl_exec_auth_checks_total", result="allow"), 3)
        self.assertEqual(self.value("ctrl_exec_auth_checks_total", result="deny"), 0)

    def test_agents_their_certificates_and_what_waits_for_pairing(self):
        samples = self.scrape()
        self.assertEqual(samples["ctrl_exec_agents", ()], 1)
        days = samples["ctrl_exec_agent_certificate_days_left", (("agent", "web-01"),)]
        self.assertAlmostEqual(days, 365, delta=2)
        self.assertAlmostEqual(samples["ctrl_exec_certificate_days_left", (("certificate", "dispatcher"),)], 825, delta=2)
        self.assertAlmostEqual(samples["ctrl_exec_certificate_days_left", (("certificate", "ca"),)], 3650, delta=2)
        self.assertEqual(samples["ctrl_exec_pairing_requests_waiting", ()], 0)
        with self.deployment.pairing_mode() as listener:
            with self.deployment.agent("web-02").request_pairing(listener) as asking:
                self.deployment.wait_request("web-02")
                self.assertEqual(self.value("ctrl_exec_pairing_requests_waiting"), 1)
                asking.kill()

    def test_connections_and_the_process(self):
        others = [self.enterContext(Client(self.api.address)) for _ in range(3)]
        for other in others:
            other.call("GET", "/livez")
        samples = self.scrape()
        self.assertEqual(samples["ctrl_exec_http_connections_open", ()], 4)
        self.assertAlmostEqual(samples["process_start_time_seconds", ()], time.time(), delta=60)
        self.assertGreater(samples["process_resident_memory_bytes", ()], 1e6)
        self.assertGreater(samples["process_open_fds", ()], 6)
        self.assertGreater(samples["process_max_fds", ()], samples["process_open_fds", ()])

    def test_it_is_gated_like_every_other_route(self):
        with self.deployment.config.open("a") as config:
            config.write("api_auth_default = deny\n")
        denying = serve_api(self.deployment)
        with Client(denying.address) as client:
            self.assertEqual(client.call("GET", "/metrics")[0], 403)


if __name__ == "__main__":
    unittest.main()

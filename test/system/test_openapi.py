"""The OpenAPI document says exactly what the API does: to an outside validator, in every answer, to a generated client."""

import copy
import json
import pathlib
import string
import subprocess
import unittest

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import openapi_strategies
from api import serve_api
from deployment import Deployment
from openapi_client import OpenApiClient
from openapi_document import Answer, Document
from openapi_exchange import Connection, send_once
from openapi_states import ApiStates, Walk

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "s3cret-of-alice"
JSON = {"Content-Type": "application/json"}

# Reproducible: the same examples in every run, which neither wait for nor write a database.
bounded = settings(max_examples=40, derandomize=True, database=None, deadline=None,
                   suppress_health_check=list(HealthCheck))


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.states = cls.enterClassContext(ApiStates())
        cls.api = cls.states.open()
        # The paths of the documents are the only ones that a client has to know.
        cls.document = Document(send_once(cls.api.address, "GET", "/openapi.json").value())
        send_once(cls.api.address, "GET", "/discovery")  # so that scripts have been seen
        cls.live = Document(send_once(cls.api.address, "GET", "/openapi-live.json").value())

    # --- the document itself -------------------------------------------------------------------------------------

    def test_outside_validator_accepts_both_documents(self):
        self.assertEqual(validate(self.document.content, self.live.content),
                         2 * [{"valid": True, "version": "3.1", "errors": []}])

    def test_outside_validator_refuses_what_is_wrong(self):
        wrong = []
        for change in (lambda content: content["paths"]["/"]["get"]["responses"]["200"].pop("description"),
                       lambda content: content["paths"].update({"no slash": {}}),
                       lambda content: content["info"].pop("title")):
            content = copy.deepcopy(self.document.content)
            change(content)
            wrong.append(content)
        self.assertEqual([each["valid"] for each in validate(*wrong)], [False] * len(wrong))

    def test_every_schema_is_one(self):
        count = 0
        for place, schema in [*self.document.schemas(), *self.live.schemas()]:
            with self.subTest(place):
                jsonschema.Draft202012Validator.check_schema(schema)
                count += 1
        self.assertGreater(count, 100)

    def test_every_example_is_one(self):
        places = set()
        for place, value, schema in self.document.examples():
            with self.subTest(place):
                self.document.check(value, schema, place)
                places.add(place)
        self.assertGreater(len(places), 20)

    def test_every_request_has_an_example(self):
        for operation in self.document.operations():
            with self.subTest(str(operation)):
                self.assertEqual(bool(operation.body_examples()), bool(operation.body))
                for parameter in operation.parameters:
                    self.assertTrue(not parameter.get("required") or "example" in parameter, parameter["name"])

    def test_answers_leave_nothing_open(self):
        """An object of an answer says what else it may hold, so that a member that is not documented is an error."""
        for place, schema in self.document.schemas("paths", "components"):
            if isinstance(schema, dict) and "properties" in schema and "type" in schema and "Request" not in place:
                with self.subTest(place):
                    self.assertTrue({"additionalProperties", "unevaluatedProperties"} & set(schema))

    def test_index_and_document_name_the_same_operations(self):
        index = self.client().index().body
        self.assertEqual({(each["method"], each["path"]) for each in index["endpoints"]},
                         {(each.method, each.path) for each in self.document.operations()})
        self.assertEqual(len(index["endpoints"]), len(self.document.operations()))
        self.assertEqual(index["version"], self.document.content["info"]["version"])
        names = [each.name for each in self.document.operations()]
        self.assertEqual(sorted(set(names)), sorted(names), "an operationId is an operation's own")

    def test_live_document_differs_in_enums_and_version_only(self):
        live = copy.deepcopy(self.live.content)
        enums = {name: schema.pop("enum") for name, schema in live["components"]["schemas"].items()
                 if schema.get("enum") != self.document.content["components"]["schemas"][name].get("enum")}
        self.assertEqual(enums, {"Host": ["db-01", "web-01"], "Script": ["check-disk"]})
        version, _, moment = live["info"]["version"].partition("+")
        self.assertRegex(moment, r"^\d{10,}$")
        live["info"]["version"] = version
        self.assertEqual(live, self.document.content)
        for name, values in enums.items():
            for value in values:
                self.document.check(value, {"$ref": f"#/components/schemas/{name}"}, name)

    # --- every answer --------------------------------------------------------------------------------------------

    def test_every_documented_answer_comes_and_no_other(self):
        walk = Walk(self.document)
        walk.examples(self.api)
        walk.mistakes(self.api)
        walk.permitted_site(self.api)
        walk.unknown_things(self.api)
        walk.repeats(self.api)
        with self.states.running(self.api, self.document):
            walk.examples(self.api)
        for state in (self.states.denying(), self.states.guarded(), self.states.limited(), self.states.broken(self.document), self.states.busy(),
                      self.states.stopping(self.document)):
            with state as api:
                walk.examples(api)
        # A client may follow the links that an answer has; what they lead to has been documented as well.
        run = self.document.operation("run")
        client = self.client()
        reply = client.run(**run.body_examples()[0])
        stored = client.follow(reply, "status")
        status = self.document.operation("status")
        reqid = {"reqid": stored.body["reqid"]}
        walk.check(status, send_once(self.api.address, "GET", status.target(reqid)))
        cancel, events = self.document.operation("cancel"), self.document.operation("events")
        walk.check(cancel, send_once(self.api.address, "POST", cancel.target(reqid)))
        walk.check(events, send_once(self.api.address, "GET", events.target(reqid)))
        heard = {"Last-Event-ID": f"stored-{len(stored.body['results'])}"}
        walk.check(events, send_once(self.api.address, "GET", events.target(reqid), headers=heard))
        background = next(body for body in run.body_examples() if body.get("async"))
        for link in ("status", "cancel", "events"):
            self.assertEqual(client.follow(client.run(**background), link).status, 200)
        self.assertEqual(walk.missing(), [], "documented, but never seen: see openapi_states.py")

    def test_allow_names_the_documented_methods(self):
        for path, item in self.document.content["paths"].items():
            with self.subTest(path):
                target = next(each for each in self.document.operations() if each.path == path).example_target()
                known = {method.upper() for method in item}
                known |= {"OPTIONS"} | ({"HEAD"} if "GET" in known else set())
                for method in ("OPTIONS", "BREW"):
                    allowed = send_once(self.api.address, method, target).header("allow").split(", ")
                    self.assertEqual((set(allowed), len(allowed)), (known, len(known)))

    def test_open_operations_are_those_that_answer_without_the_right_to(self):
        with self.states.denying() as api:
            for operation in self.document.operations():
                body = (operation.body_examples() or [None])[0]
                status = send_once(api.address, operation.method, operation.example_target(), body).status
                self.assertEqual(status == 200, operation.is_open, operation)

    def test_check_of_answers_finds_what_is_not_documented(self):
        """The checks that all others rely on can fail."""
        health = self.document.operation("health")
        good = send_once(self.api.address, "GET", health.path)
        health.check_answer(good)
        body = good.value()
        for change in ({"status": 418}, {"body": json.dumps({**body, "more": 1}).encode()},
                       {"body": json.dumps({"ok": True}).encode()}, {"body": b""},
                       {"headers": [*good.headers, ("x-more", "1")]}, {"headers": good.headers * 2},
                       {"headers": [each for each in good.headers if each[0] != "x-ctrl-exec"]},
                       {"headers": [(name, "text/html" if name == "content-type" else value)
                                    for name, value in good.headers]}):
            answer = Answer(**{"status": good.status, "headers": good.headers, "body": good.body, **change})
            with self.subTest(change), self.assertRaises((AssertionError, json.JSONDecodeError)):
                health.check_answer(answer)

    # --- requests that the document makes ------------------------------------------------------------------------

    def each_request_body(self, strategy, judge):
        """Sends bodies of strategy(document, schema) to each operation that takes one, over one connection."""
        operations = [each for each in self.live.operations() if each.body]
        self.assertTrue(operations)
        for operation in operations:
            documented = self.document.operation(operation.name)
            with self.subTest(str(operation)), Connection(self.api.address) as connection:

                @bounded
                @given(strategy(operation))
                def send(body):
                    data = body if isinstance(body, bytes) else json.dumps(body).encode()
                    answer = connection.send(operation.method, operation.example_target(), data, JSON)
                    documented.check_answer(answer)
                    judge(answer, body)

                send()
        self.assert_well()

    def test_requests_that_match_the_document_are_carried_out(self):
        accepted = (200, 202, 404)  # the last for a run that is not there
        self.each_request_body(
            lambda operation: openapi_strategies.valid(self.live, operation.body_schema),
            lambda answer, body: self.assertIn(answer.status, accepted, f"{body!r}: {answer.body!r}"))

    def test_requests_that_do_not_match_the_document_are_refused(self):
        def strategy(operation):
            # The document without enums is the judge: an unknown host is no mistake in a request.
            judge = self.document.validator(self.document.operation(operation.name).body_schema)
            return openapi_strategies.invalid(self.live, operation.body_schema, judge.is_valid)

        self.each_request_body(
            strategy, lambda answer, body: self.assertEqual(answer.status, 400, f"{body!r}: {answer.body!r}"))

    def test_bodies_that_are_no_json_are_refused(self):
        self.each_request_body(
            lambda operation: st.binary(min_size=1, max_size=60).filter(lambda data: not is_json(data)),
            lambda answer, body: self.assertEqual(answer.status, 400, f"{body!r}: {answer.body!r}"))

    def test_any_path_method_and_parameter_gets_a_documented_answer(self):
        paths = list(self.document.content["paths"])
        segment = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@%{}/?", max_size=12)
        values = [openapi_strategies.valid(self.document, parameter["schema"]).map(
            lambda value, operation=operation, name=parameter["name"]: operation.target({name: value}))
                  for operation, parameter in self.path_parameters()]
        target = st.one_of(*values, segment.map(lambda text: "/" + text),
                           st.builds(lambda path, text: path + text, st.sampled_from(paths), segment))
        method = st.sampled_from(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
        with Connection(self.api.address) as connection:

            @settings(bounded, max_examples=200)
            @given(method, target)
            def send(method, target):
                answer = connection.send(method, target)
                path = target.partition("?")[0]
                self.document.describing(method, path).check_answer(answer, head_only=method == "HEAD")
                self.assertLess(answer.status, 500)

            send()
        self.assert_well()

    def test_headers_with_any_value_get_a_documented_answer(self):
        names = st.sampled_from(["Authorization", "Content-Type", "Origin", "Accept", "X-Ctrl-Exec", "Content-Encoding",
                                 *[each["name"] for operation in self.document.operations()
                                   for each in operation.parameters if each["in"] == "header"]])
        values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7e), max_size=40)
        operations = [each for each in self.document.operations() if not each.body]
        with Connection(self.api.address) as connection:

            @settings(bounded, max_examples=100)
            @given(st.sampled_from(operations), st.dictionaries(names, values, max_size=4))
            def send(operation, headers):
                answer = connection.send(operation.method, operation.example_target(), None, headers)
                operation.check_answer(answer)
                self.assertLess(answer.status, 500)

            send()
        self.assert_well()

    def path_parameters(self):
        return [(operation, parameter) for operation in self.document.operations()
                for parameter in operation.parameters if parameter["in"] == "path"]

    def assert_well(self):
        self.assertTrue(self.api.running())
        self.assertEqual(self.client().health().status, 200)

    def client(self):
        return OpenApiClient(f"http://{self.api.address}", self.document.content)


class GeneratedClient(unittest.TestCase):
    """What a client can do that was written from the document alone."""

    @classmethod
    def setUpClass(cls):
        deployment = cls.enterClassContext(Deployment(api_port=0))
        hook = deployment.directory / "hook"
        hook.write_text(f'#!/bin/sh\n[ "$ENVEXEC_TOKEN" = {TOKEN} ] || exit 2\n')
        hook.chmod(0o755)
        with deployment.config.open("a") as config:
            config.write(f"auth_hook = {hook}\n")
        cls.agent = deployment.paired_agent("web-01")
        cls.agent.script("greet", "#!/bin/sh\necho \"hello $1\"\nexit 3\n")
        cls.agent.serve()
        cls.api = serve_api(deployment)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        cls.document = send_once(cls.api.address, "GET", "/openapi.json", headers=headers).value()

    def client(self, **credentials):
        return OpenApiClient(f"http://{self.api.address}", self.document, **credentials)

    def test_main_flow(self):
        client, host = self.client(bearer=TOKEN), self.agent.target
        self.assertEqual(client.readyz().body, "ready\n")
        self.assertEqual(client.index().body["name"], "ctrl-exec-api")
        [found] = client.discover(hosts=[host]).body["hosts"].values()
        [script] = found["scripts"]
        self.assertEqual((found["status"], script["name"], script["executable"]), ("ok", "greet", True))
        [pong] = client.ping(hosts=[host]).body["results"]
        self.assertEqual((pong["status"], pong["reported_hostname"]), ("ok", "web-01"))
        ran = client.run(hosts=[host], script=script["name"], args=["world"])
        [result] = ran.body["results"]
        self.assertEqual((ran.status, result["exit"], result["stdout"]), (200, 3, "hello world\n"))
        stored = client.status(reqid=ran.body["reqid"])
        self.assertEqual((stored.status, stored.body["results"]), (200, ran.body["results"]))
        self.assertEqual(client.follow(ran, "status").body, stored.body)
        self.assertEqual(list(client.discoverAll().body["hosts"]), ["web-01"])

    def test_refusals_are_replies(self):
        reply = self.client().health()
        self.assertEqual((reply.ok, reply.status, reply.body), (False, 403, {"ok": False, "error": "bad credentials", "code": 2}))
        self.assertEqual(self.client().livez().status, 200)
        client = self.client(bearer=TOKEN)
        self.assertEqual(client.status(reqid="0123456789abcdef").status, 404)
        self.assertEqual(client.run(hosts=[], script="greet").status, 400)

    def test_what_the_document_does_not_have_cannot_be_called(self):
        client = self.client(bearer=TOKEN)
        for call in (lambda: client.shutdown, lambda: client.status(), lambda: client.health(verbose=True)):
            self.assertRaises((AttributeError, TypeError), call)


def validate(*documents):
    done = subprocess.run(["node", ROOT / "test/openapi/validate.mjs", ROOT / "build/openapi"], check=True, timeout=60,
                          input=json.dumps(documents).encode(), capture_output=True)
    return json.loads(done.stdout)


def is_json(data):
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    unittest.main()

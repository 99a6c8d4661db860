"""What an OpenAPI document says, and whether an answer is one of those it describes. Knows no route."""

import dataclasses
import json
import re
import urllib.parse

import jsonschema

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
FRAMING = {"content-type", "content-length", "connection"}  # of HTTP itself; OpenAPI leaves them out
OTHER = "x-other-requests"  # our answers to requests that no operation describes


@dataclasses.dataclass
class Answer:
    status: int
    headers: list  # (lower case name, value), as they came
    body: bytes

    def header(self, name):
        return next((value for each, value in self.headers if each == name), None)

    @property
    def media_type(self):
        return (self.header("content-type") or "").partition(";")[0].strip()

    def value(self):
        """The body as the document's schemas see it."""
        return json.loads(self.body) if self.media_type == "application/json" else self.body.decode()


class Document:
    def __init__(self, content):
        self.content = content
        self._resolver = jsonschema.RefResolver("", content)

    def resolve(self, item):
        """The item itself, or what its $ref leads to."""
        while isinstance(item, dict) and "$ref" in item:
            item = self._resolver.resolve(item["$ref"])[1]
        return item

    def validator(self, schema):
        return jsonschema.Draft202012Validator(schema, resolver=self._resolver,
                                               format_checker=jsonschema.FormatChecker(["ipv4", "ipv6"]))

    def is_valid(self, value, schema):
        return self.validator(schema).is_valid(value)

    def check(self, value, schema, what):
        """Fails with the most telling error when the value does not match."""
        error = jsonschema.exceptions.best_match(self.validator(schema).iter_errors(value))
        if error:
            raise AssertionError(f"{what}: {error.message} at {error.json_path}, in {json.dumps(value)[:2000]}")

    def operations(self):
        return [Operation(self, method, path, self.resolve(item)[method])
                for path, item in self.content["paths"].items() for method in self.resolve(item) if method in METHODS]

    def operation(self, name):
        return next(each for each in self.operations() if each.name == name)

    def other(self, kind):
        """The answers to what no operation describes: "OPTIONS", "otherMethod", "otherPath"."""
        return Operation(self, kind, "", self.content[OTHER][kind])

    def others(self):
        return [self.other(kind) for kind in self.content[OTHER]]

    def describing(self, method, path):
        """The operation, or the kind of other request, whose answers this request gets."""
        template = next((each for each in self.content["paths"] if matches(each, path)), None)
        if template is None:
            return self.other("otherPath")
        item = self.content["paths"][template]
        if method == "OPTIONS":
            return self.other("OPTIONS")
        key = "get" if method == "HEAD" else method.lower()
        return Operation(self, key, template, item[key]) if key in item else self.other("otherMethod")

    def schemas(self, *sections):
        """(place, schema) of every schema in these parts of the document, those inside others too."""

        def walk(place, node):
            if isinstance(node, dict):
                for key, value in node.items():
                    if key in ("example", "examples", "enum", "const"):
                        continue
                    inner = f"{place}/{key}"
                    if key == "schema" or place.endswith(("/schemas", "/properties")):
                        yield inner, value
                    elif key in ("items", "additionalProperties") and isinstance(value, dict):
                        yield inner, value
                    yield from walk(inner, value)
            elif isinstance(node, list):
                for number, value in enumerate(node):
                    if place.endswith(("/oneOf", "/anyOf", "/allOf")):
                        yield f"{place}/{number}", value
                    yield from walk(f"{place}/{number}", value)

        for section in sections or self.content:
            yield from walk(section, self.content[section])

    def examples(self):
        """(place, value, schema) of every documented example."""

        def of(place, holder):
            if "example" in holder:
                yield f"{place}/example", holder["example"], holder["schema"]
            for name, example in holder.get("examples", {}).items():
                yield f"{place}/examples/{name}", self.resolve(example)["value"], holder["schema"]

        for operation in self.operations() + self.others():
            for parameter in operation.parameters:
                yield from of(f"{operation} {parameter['name']}", parameter)
            for kind, media in operation.body.get("content", {}).items():
                yield from of(f"{operation} {kind}", media)
            for status, response in operation.responses.items():
                for kind, media in response.get("content", {}).items():
                    yield from of(f"{operation} {status} {kind}", media)
        for place, schema in self.schemas():
            if isinstance(schema, dict):
                for number, value in enumerate(schema.get("examples", [])):
                    yield f"{place}/examples/{number}", value, schema


class Operation:
    def __init__(self, document, method, path, item):
        self.document, self.method, self.path, self.item = document, method.upper(), path, item
        self.name = item.get("operationId", method)
        self.parameters = [document.resolve(each) for each in item.get("parameters", [])]
        self.body = document.resolve(item.get("requestBody", {}))
        self.responses = {status: document.resolve(response) for status, response in item["responses"].items()}

    def __repr__(self):
        return f"{self.method} {self.path}".strip()

    @property
    def is_open(self):
        """Whether it answers anybody."""
        return self.item.get("security") == []

    @property
    def body_schema(self):
        return self.body["content"]["application/json"]["schema"] if self.body else None

    def body_examples(self):
        media = self.body.get("content", {}).get("application/json", {})
        return [media["example"]] if "example" in media else [
            self.document.resolve(each)["value"] for each in media.get("examples", {}).values()]

    def target(self, parameters):
        """The path with these values in the place of its parameters."""
        return re.sub(r"{(\w+)}", lambda found: urllib.parse.quote(str(parameters[found[1]]), safe=""), self.path)

    def example_target(self):
        return self.target({each["name"]: each["example"] for each in self.parameters if each["in"] == "path"})

    def check_answer(self, answer, head_only=False):
        """Fails when the document does not describe this answer to the last header and member."""
        what = f"{self} {answer.status}"
        response = self.responses.get(str(answer.status))
        if response is None:
            raise AssertionError(f"{what} is not documented; its body: {answer.body[:500]!r}")
        self._check_headers(answer, response, what)
        content = response.get("content")
        if content is None:
            if answer.body or answer.header("content-type"):
                raise AssertionError(f"{what} has no documented body, but came with {answer.body[:500]!r}")
            return
        if answer.media_type not in content:
            raise AssertionError(f"{what}: {answer.header('content-type')!r} is not documented")
        if head_only:
            if answer.body or not int(answer.header("content-length")):
                raise AssertionError(f"{what}: the answer to HEAD has a body, or not the length of that to GET")
            return
        self.document.check(answer.value(), content[answer.media_type]["schema"], what)

    def _check_headers(self, answer, response, what):
        documented = {name.lower(): self.document.resolve(each) for name, each in response.get("headers", {}).items()}
        names = [name for name, _ in answer.headers]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise AssertionError(f"{what}: repeated headers {repeated}")
        for name, value in answer.headers:
            if name in FRAMING:
                continue
            if name not in documented:
                raise AssertionError(f"{what}: the header {name}: {value} is not documented")
            schema = self.document.resolve(documented[name]["schema"])
            is_number = schema.get("type") == "integer" and re.fullmatch(r"\d+", value)
            self.document.check(int(value) if is_number else value, schema, f"{what} {name}")
        for name, header in documented.items():
            if header.get("required") and name not in names:
                raise AssertionError(f"{what}: the header {name} is missing")


def matches(template, path):
    return re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path) is not None

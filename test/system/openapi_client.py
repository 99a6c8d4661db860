"""A client of any HTTP API, made from its OpenAPI document and nothing else: it knows no path, method or header of ours.

    client = OpenApiClient("http://127.0.0.1:7445", document, bearer="s3cret")
    answer = client.run(hosts=["web-01"], script="check-disk")
    client.follow(answer, "status")

Operations are methods, named by their operationId. Their arguments are the parameters and the members of the body.
"""

import dataclasses
import functools
import json
import urllib.error
import urllib.parse
import urllib.request


@dataclasses.dataclass
class Reply:
    operation: dict
    status: int
    body: object  # what the JSON says; text of any other type

    @property
    def ok(self):
        return 200 <= self.status < 300


class OpenApiClient:
    def __init__(self, origin, document, timeout=30, **credentials):
        """`credentials`: a secret for each security scheme, by its name in the document."""
        self._document, self._credentials, self._timeout = document, credentials, timeout
        self._base = urllib.parse.urljoin(origin, document["servers"][0]["url"])
        self._operations = {operation["operationId"]: (method, path, operation)
                            for path, item in document["paths"].items() for method, operation in item.items()}
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def __getattr__(self, name):
        if name not in self._operations:
            raise AttributeError(f"the document has no operation {name}; it has {', '.join(self._operations)}")
        return functools.partial(self._call, name)

    def follow(self, reply, link):
        """Calls the operation that a link of the reply leads to."""
        found = self._resolve(self._resolve(reply.operation["responses"][str(reply.status)])["links"][link])
        values = {name: evaluate(expression, reply) for name, expression in found["parameters"].items()}
        return self._call(found["operationId"], **values)

    def _resolve(self, node):
        while "$ref" in node:
            node = point(self._document, node["$ref"].removeprefix("#"))
        return node

    def _call(self, name, **arguments):
        method, path, operation = self._operations[name]
        headers, query = self._authorisation(operation), {}
        for parameter in map(self._resolve, operation.get("parameters", [])):
            if parameter["name"] not in arguments:
                if parameter.get("required"):
                    raise TypeError(f"{name} needs {parameter['name']}")
                continue
            value = str(arguments.pop(parameter["name"]))
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", urllib.parse.quote(value, safe=""))
            elif parameter["in"] == "query":
                query[parameter["name"]] = value
            else:
                headers[parameter["name"]] = value
        body = self._body(name, operation, arguments, headers)
        url = urllib.parse.urljoin(self._base, path) + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(url, body, headers, method=method.upper())
        try:
            response = self._open(request, timeout=self._timeout)
        except urllib.error.HTTPError as refusal:
            response = refusal
        with response:
            text = response.read().decode()
            is_json = response.headers.get_content_type() == "application/json"
            return Reply(operation, response.status, json.loads(text) if is_json else text)

    def _body(self, name, operation, members, headers):
        described = self._resolve(operation.get("requestBody", {}))
        if not described:
            if members:
                raise TypeError(f"{name} takes no {', '.join(members)}")
            return None
        if not members and not described.get("required"):
            return None
        [headers["Content-Type"]] = described["content"]
        return json.dumps(members).encode()

    def _authorisation(self, operation):
        """The first of the operation's alternatives that we have the credentials for."""
        for alternative in operation.get("security", self._document.get("security", [])):
            if alternative and all(scheme in self._credentials for scheme in alternative):
                headers = {}
                for scheme in alternative:
                    described = self._resolve(self._document["components"]["securitySchemes"][scheme])
                    if (described["type"], described["scheme"]) != ("http", "bearer"):
                        raise TypeError(f"the security scheme {scheme} is none that this client speaks")
                    headers["Authorization"] = f"Bearer {self._credentials[scheme]}"
                return headers
        return {}


def evaluate(expression, reply):
    """A runtime expression of OpenAPI; the only kind that links here have is $response.body#/POINTER."""
    return point(reply.body, expression.removeprefix("$response.body#"))


def point(node, pointer):
    """RFC 6901."""
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        node = node[int(token)] if isinstance(node, list) else node[token]
    return node

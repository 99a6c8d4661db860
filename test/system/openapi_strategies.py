"""Values that match a JSON schema of a document, and values that just do not, for Hypothesis."""

import pathlib
import re

from hypothesis import configuration, strategies as st

# Hypothesis keeps tables of Unicode; nothing of a test belongs among the sources.
configuration.set_hypothesis_home_dir(pathlib.Path(__file__).resolve().parents[2] / "build/hypothesis")

MAX_ITEMS = 4  # of what has no smaller limit
SAFE = 2**53 - 1  # RFC 7493: what every reader of JSON keeps exactly

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
SCALARS = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": st.integers(-SAFE, SAFE),
    "number": st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False),
    "string": TEXT,
}
ANY = st.recursive(st.one_of(*SCALARS.values()),
                   lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5)


def valid(document, schema):
    """Values of the schema. Its words are read as far as our requests use them; the filter at the end is the judge."""
    return _values(document, schema).filter(document.validator(schema).is_valid)


def _values(document, schema):
    schema = document.resolve(schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            shared = {key: value for key, value in schema.items() if key not in (choice, "examples")}
            return st.one_of(*[_values(document, {**shared, **document.resolve(each)}) for each in schema[choice]])
    kinds = schema.get("type", list(SCALARS))
    return st.one_of(*[_of_type(document, schema, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _of_type(document, schema, kind):
    if kind == "array":
        most = min(schema.get("maxItems", MAX_ITEMS), MAX_ITEMS)
        return st.lists(valid(document, schema.get("items", {})), min_size=schema.get("minItems", 0), max_size=most,
                        unique_by=repr if schema.get("uniqueItems") else None)
    if kind == "object":
        return _objects(document, schema)
    if kind == "string" and "pattern" in schema:
        # "$" in Python's patterns matches before a last newline too.
        return st.from_regex(re.compile(re.sub(r"\$$", r"\\Z", schema["pattern"])))
    return SCALARS[kind]


def _objects(document, schema):
    properties, required = schema.get("properties", {}), schema.get("required", [])
    members = {name: valid(document, each) for name, each in properties.items()}
    known = st.fixed_dictionaries({name: members[name] for name in required},
                                  optional={name: each for name, each in members.items() if name not in required})
    if schema.get("additionalProperties") is False:
        return known
    more = st.dictionaries(TEXT.filter(lambda name: name not in properties), ANY, max_size=2)
    return st.builds(lambda extra, given: {**extra, **given}, more, known)


def invalid(document, schema, is_valid):
    """Values that are one change away from the schema, a member left out or anything in the place of one, and that
    is_valid refuses."""

    @st.composite
    def changed(draw):
        value = draw(valid(document, schema))
        if not isinstance(value, dict) or not value or draw(st.integers(0, 9)) == 0:
            return draw(ANY)
        name = draw(st.sampled_from(sorted(value)))
        member = value.pop(name)
        if draw(st.booleans()):
            inside = isinstance(member, list) and member and draw(st.booleans())
            value[name] = [*member[1:], draw(ANY)] if inside else draw(ANY)
        return value

    return changed().filter(lambda value: not is_valid(value))



#!/usr/bin/env python3
"""Turns what is written of the interface by hand into C: schemas and examples that the program adds to its route table.

    gen_openapi.py OUT.c VERSION DOCUMENT.json SCHEMAS.json OPERATIONS.json

DOCUMENT has info, servers, tags and components; SCHEMAS the components' schemas; OPERATIONS, by operationId, what the
route table does not tell. A schema's object with `properties` is closed and has them all, but those it lists in `optional`:
`required` and `additionalProperties` are added here, so that nobody forgets them. What could only surprise at run time (a
name that nothing is called by, an unknown word, an example twice) is refused.
"""
import json
import sys
from pathlib import Path

from gen_sql import c_bytes, c_escape

WORDS = {"tag", "description", "answer", "key", "header", "requests", "answers", "conflict"}
NEEDED = {"tag", "description", "answer", "answers"}
# what the program writes refers to these by name
RESPONSES = {"BadRequest", "Unauthorized", "Forbidden", "NotFound", "MethodNotAllowed", "TooLarge", "TooManyWrongSecrets",
             "InternalError", "Unavailable"}


class Refused(Exception):
    """A problem in the input."""


def once(pairs):
    """An object, no name of it twice."""
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Refused(f"twice in one object: {', '.join(sorted(twice))}")
    return dict(pairs)


def read(path):
    """One file's object."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=once)
    except (json.JSONDecodeError, Refused) as problem:
        raise Refused(f"{path}: {problem}") from problem
    if not isinstance(value, dict):
        raise Refused(f"{path}: not an object")
    return value


def close(schema, where):
    """The schema with its objects closed and their members required."""
    if isinstance(schema, list):
        return [close(item, where) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: {key: close(value, f"{where}.{key}") for key, value in inner.items()} if name == "properties"
              else inner if name in ("const", "enum", "optional") else close(inner, where) for name, inner in schema.items()}
    if "properties" in schema:
        optional = closed.pop("optional", [])
        if set(optional) - set(schema["properties"]):
            raise Refused(f"schemas: {where}: optional, but no property: {set(optional) - set(schema['properties'])}")
        required = [name for name in schema["properties"] if name not in optional]
        closed |= {"required": required} if required else {}
        closed["additionalProperties"] = False
    return closed


def references(value):
    """Every schema that something refers to."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def components(document, schemas):
    """The document's components, whole."""
    closed = {name: close(schema, name) for name, schema in schemas.items()}
    parts = {"schemas": closed, **document["components"]}
    if set(parts["responses"]) != RESPONSES:
        raise Refused(f"responses: there must be {', '.join(sorted(RESPONSES))}")
    for name in references(parts):
        kind, _, what = name.removeprefix("#/components/").partition("/")
        if what not in parts.get(kind, {}):
            raise Refused(f"{name}: there is no such thing")
    return parts


def compact(value):
    """JSON as it goes out."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def check(name, operation, tags):
    """One operation's words."""
    unknown, missing = set(operation) - WORDS, NEEDED - set(operation)
    if unknown or missing:
        raise Refused(f"{name}: unknown: {sorted(unknown)}, missing: {sorted(missing)}")
    if operation["tag"] not in tags:
        raise Refused(f"{name}: the tag {operation['tag']} is not among the document's")


def text(found, name, value):
    """A C expression for a text: JSON as an array of its own, as it may be longer than a literal may."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f'"{c_escape(value.encode("utf-8"))}"'
    found.append(f"static const char {name}[] = {{\n{c_bytes(compact(value).encode('utf-8'))}}};\n")
    return name


def render(document, parts, operations):
    """The text of the .c file."""
    found, rows = [], []
    names = [text(found, f"{word}_json", document[word]) for word in ("info", "servers", "tags")]
    names.append(text(found, "components_json", parts))
    for i, (name, o) in enumerate(operations.items()):
        fields = [f'"{name}"'] + [text(found, f"{word}_{i}", o.get(word)) for word in (
            "tag", "description", "answer", "key", "conflict", "header", "requests", "answers")]
        rows.append(f"\t{{ {', '.join(fields)} }},\n")
    return ("/* Generated by tools/gen_openapi.py from src/admin/openapi; do not edit. */\n#include \"openapi.h\"\n\n"
            + "".join(found) + f"\nconst struct openapi_parts openapi_parts = {{ {', '.join(names)} }};\n"
            + "const struct openapi_operation openapi_operations[] = {\n" + "".join(rows) + "};\n"
            + "const size_t openapi_n_operations = sizeof(openapi_operations) / sizeof(openapi_operations[0]);\n")


def main(argv):
    if len(argv) != 6:
        print("usage: gen_openapi.py OUT.c VERSION DOCUMENT.json SCHEMAS.json OPERATIONS.json", file=sys.stderr)
        return 2
    try:
        document, schemas, operations = map(read, argv[3:])
        document["info"]["version"] = argv[2]
        for name, operation in operations.items():
            check(name, operation, {tag["name"] for tag in document["tags"]})
        source = render(document, components(document, schemas), operations)
    except (Refused, OSError, UnicodeDecodeError) as problem:
        print(f"gen_openapi.py: {problem}", file=sys.stderr)
        return 1
    Path(argv[1]).write_text(source, encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

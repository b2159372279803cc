#!/usr/bin/env python3
"""Holds signatures against the JSON schemas that the OpenSSF Model Signing specification publishes (tests/vectors/registry), with
the PyPI package jsonschema. Runs in the environment of reference.py.

    schemas.py FILE...      prints each file that fits; says why for the first that does not

A bundle is held against bundle.schema.json (which refers to envelope.schema.json), its payload against statement.schema.json
(which refers to predicate.schema.json).
SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import sys

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "vectors", "registry", "model-signing", "schemas", "v1.0")


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def validators():
    schemas = {name: load(os.path.join(FOLDER, f"{name}.schema.json")) for name in ("bundle", "envelope", "statement", "predicate")}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    registry = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()])
    return [Draft202012Validator(schemas[name], registry=registry) for name in ("bundle", "statement")]


def main(paths):
    bundle_of, statement_of = validators()
    for path in paths:
        bundle = load(path)
        problems = list(bundle_of.iter_errors(bundle))
        if not problems:
            problems = list(statement_of.iter_errors(json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))))
        if problems:
            sys.exit(f"{path}: {problems[0].json_path}: {problems[0].message[:300]}")
        print(path)


main(sys.argv[1:])

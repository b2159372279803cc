#!/usr/bin/env python3
"""Judges claims.jsonl with programs that others wrote, and makes an envelope with them. Runs in the environment of test_claims.py.

    judge.py check CLAIMS KEYS      KEYS: {key id: PEM}; prints one line a claim, or fails
    judge.py make DIGEST PUBLIC     an envelope about that digest on standard output, its public key into a file

securesystemslib verifies the envelopes, in-toto-attestation reads statements, provenance and test results by their protocol
definitions (unknown fields are refused), cyclonedx-python-lib holds bills of materials against CycloneDX's strict 1.6 schema.
SPDX-License-Identifier: Apache-2.0
"""
import json
import sys

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey


def check_resource(descriptor):
    ResourceDescriptor.copy_from_pb(descriptor).validate()


def check_provenance(predicate):
    read = json_format.ParseDict(predicate, provenance_pb2.Provenance())
    assert read.build_definition.build_type and read.run_details.builder.id and read.run_details.metadata.invocation_id
    for descriptor in [*read.build_definition.resolved_dependencies, *read.run_details.byproducts]:
        check_resource(descriptor)
    assert read.run_details.metadata.finished_on.seconds >= read.run_details.metadata.started_on.seconds > 0


def check_test_result(predicate):
    read = json_format.ParseDict(predicate, test_result_pb2.TestResult())
    assert read.result in ("PASSED", "WARNED", "FAILED")
    for descriptor in read.configuration:
        check_resource(descriptor)


def check_bom(predicate):
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(predicate))
    assert problem is None, problem


CHECKS = {"https://slsa.dev/provenance/v1": check_provenance, "https://in-toto.io/attestation/test-result/v0.1": check_test_result,
          "https://cyclonedx.org/bom": check_bom}


def check(claims, keys):
    with open(keys, encoding="utf-8") as file:
        known = [SSlibKey.from_crypto(load_pem_public_key(pem.encode()), keyid=name) for name, pem in json.load(file).items()]
    with open(claims, encoding="utf-8") as file:
        for line in file:
            envelope = Envelope.from_dict(json.loads(line))
            assert envelope.payload_type == "application/vnd.in-toto+json"
            signers = envelope.verify(known, 1)
            statement = json_format.Parse(envelope.payload, statement_pb2.Statement())
            Statement.copy_from_pb(statement).validate()
            CHECKS.get(statement.predicate_type, lambda _: None)(json.loads(envelope.payload)["predicate"])
            print(statement.predicate_type, *signers)


def make(digest, public):
    signer = CryptoSigner.generate_ecdsa()
    pem = signer._private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with open(public, "wb") as file:
        file.write(pem)
    subject = ResourceDescriptor("model", digest={"sha256": digest})
    statement = Statement([subject.pb], "https://in-toto.io/attestation/test-result/v0.1", {"result": "WARNED", "configuration": []})
    statement.validate()
    envelope = Envelope(json_format.MessageToJson(statement.pb).encode(), "application/vnd.in-toto+json", {})
    envelope.sign(signer)
    print(json.dumps(envelope.to_dict()))


{"check": check, "make": make}[sys.argv[1]](*sys.argv[2:])

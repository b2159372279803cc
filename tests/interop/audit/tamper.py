"""Exports that somebody has tampered with, each in another way: CASES names them all.

A case gets a forge.Log to change and a Hand (the keys, and another log's), and returns the bytes of the file, or None
for what Log.files() gives. Those under REBUILT sign everything again with the log's own keys: nothing but what the
records say of each other gives them away.
SPDX-License-Identifier: Apache-2.0
"""
import base64
import gzip
import json
import tarfile

import forge

CASES = {}


class Hand:
    """What the tampering hand holds."""

    def __init__(self, log_key, submitter, other, stale):
        self.log_key, self.submitter, self.other, self.stale = log_key, submitter, other, stale


def case(function):
    CASES[function.__name__] = function
    return function


def with_files(log, change):
    files = log.files()
    return forge.tar_bytes(change(files) or files)


def index_of(log, action):
    return next(i for i, body in enumerate(log.bodies) if json.loads(body)["action"] == action)


def replaced(files, name, change):
    return [(key, change(data) if key == name else data) for key, data in files]


# --- the file ---

@case
def empty_file(log, hand):
    return b""


@case
def cut_in_the_middle(log, hand):
    data = forge.tar_bytes(log.files())
    return data[:len(data) // 2]


@case
def cut_inside_a_header(log, hand):
    return forge.tar_bytes(log.files())[:700]


@case
def ends_behind_the_checkpoint(log, hand):
    return with_files(log, lambda files: files[:2])


@case
def ends_before_the_last_leaves(log, hand):
    return with_files(log, lambda files: files[:-1])


@case
def gzipped(log, hand):
    return gzip.compress(forge.tar_bytes(log.files()))


@case
def an_entry_too_many(log, hand):
    return with_files(log, lambda files: files + [("notes.txt", b"hello")])


@case
def an_entry_in_between(log, hand):
    return with_files(log, lambda files: files[:2] + [("notes.txt", b"hello")] + files[2:])


@case
def the_checkpoint_twice(log, hand):
    return with_files(log, lambda files: files[:2] + files[1:])


@case
def leaves_before_records(log, hand):
    return with_files(log, lambda files: files[:2] + [files[3], files[2]] + files[4:])


@case
def chunks_reordered(log, hand):
    return with_files(log, lambda files: files[:2] + files[4:6] + files[2:4] + files[6:])


@case
def chunks_renamed_and_reordered(log, hand):
    def change(files):
        names = [name for name, _ in files]
        data = [data for _, data in files]
        return list(zip(names, data[:2] + data[4:6] + data[2:4] + data[6:]))
    return with_files(log, change)


@case
def a_chunk_left_out(log, hand):
    return with_files(log, lambda files: files[:2] + files[4:])


@case
def records_as_a_symbolic_link(log, hand):
    return forge.tar_bytes(log.files(), {"records/000000000000.jsonl": (tarfile.SYMTYPE, "/etc/passwd")})


@case
def records_as_a_hard_link(log, hand):
    return forge.tar_bytes(log.files(), {"records/000000000000.jsonl": (tarfile.LNKTYPE, "checkpoint")})


@case
def names_with_a_dot(log, hand):
    return with_files(log, lambda files: [("./" + name, data) for name, data in files])


# --- the head ---

@case
def no_head(log, hand):
    return with_files(log, lambda files: files[1:])


@case
def another_format(log, hand):
    log.head["format"] = "somebody-elses-export"


@case
def a_later_format(log, hand):
    log.head["v"] = 99


@case
def head_says_more(log, hand):
    log.head["size"] += 1


@case
def head_says_fewer(log, hand):
    log.head["size"] -= 1


@case
def head_says_other_chunks(log, hand):
    log.head["chunk"] = 512


@case
def head_names_another_submitter(log, hand):
    log.head["submitter"] = hand.other.public.hex()


@case
def head_with_a_key_twice(log, hand):
    return with_files(log, lambda files: replaced(files, "format.json", lambda data: data.replace(b"{", b'{"v": 1, ', 1)))


# --- the checkpoint ---

@case
def root_changed(log, hand):
    origin, size, root, rest = log.note.split("\n", 3)
    log.note = "\n".join([origin, size, base64.b64encode(bytes(32)).decode(), rest])


@case
def size_in_checkpoint_changed(log, hand):
    log.note = log.note.replace(f"\n{len(log.bodies)}\n", f"\n{len(log.bodies) - 1}\n", 1)


@case
def signature_left_out(log, hand):
    log.note = log.note[:log.note.index("\n\n") + 2]


@case
def signed_by_another_key(log, hand):
    text = log.note[:log.note.index("\n\n") + 1]
    log.note = text + "\n" + hand.other.signature_line(text, hand.log_key.origin())


@case
def signed_by_another_log(log, hand):
    log.seal(hand.other)


@case
def only_an_unknown_signature_type(log, hand):
    text = log.note[:log.note.index("\n\n") + 1]
    blob = b"\xff\x00\x00\x06" + bytes(2420)
    log.note = f"{text}\n\u2014 {hand.log_key.origin()} {base64.b64encode(blob).decode()}\n"


@case
def right_key_wrong_signature(log, hand):
    text = log.note[:log.note.index("\n\n") + 1]
    blob = hand.log_key.key_id() + hand.log_key.sign(b"something else")
    log.note = f"{text}\n\u2014 {hand.log_key.origin()} {base64.b64encode(blob).decode()}\n"


@case
def a_good_and_a_bad_signature(log, hand):
    blob = hand.log_key.key_id() + bytes(64)
    log.note += f"\u2014 {hand.log_key.origin()} {base64.b64encode(blob).decode()}\n"


@case
def a_short_signature(log, hand):
    text = log.note[:log.note.index("\n\n") + 1]
    blob = (hand.log_key.key_id() + hand.log_key.sign(text.encode()))[:-1]
    log.note = f"{text}\n\u2014 {hand.log_key.origin()} {base64.b64encode(blob).decode()}\n"


@case
def too_many_signatures(log, hand):
    log.note += "".join(f"\u2014 witness-{i} {base64.b64encode(bytes(76)).decode()}\n" for i in range(64))


@case
def a_malformed_signature_line(log, hand):
    log.note += "signed in blood\n"


@case
def an_oversized_note(log, hand):
    text = log.note[:log.note.index("\n\n") + 1] + "".join(f"extension {i:060d}\n" for i in range(300))
    log.note = hand.log_key.note(text)


@case
def a_control_character(log, hand):
    log.note = hand.log_key.note(log.note[:log.note.index("\n\n") + 1] + "bell\x07\n")


@case
def carriage_returns(log, hand):
    log.note = log.note.replace("\n", "\r\n")


@case
def no_last_newline(log, hand):
    log.note = log.note[:-1]


@case
def another_origin_rightly_signed(log, hand):
    text = forge.checkpoint_text("example.com/another-log", len(log.bodies), forge.root_of(log.leaves))
    log.note = hand.log_key.note(text)


@case
def size_with_a_leading_zero(log, hand):
    text = log.note[:log.note.index("\n\n") + 1].replace(f"\n{len(log.bodies)}\n", f"\n0{len(log.bodies)}\n")
    log.note = hand.log_key.note(text)


@case
def a_negative_size(log, hand):
    log.note = hand.log_key.note(forge.checkpoint_text(hand.log_key.origin(), -1, forge.root_of(log.leaves)))


@case
def a_root_of_31_bytes(log, hand):
    log.note = hand.log_key.note(forge.checkpoint_text(hand.log_key.origin(), len(log.bodies), bytes(31)))


@case
def root_not_canonical_base64(log, hand):
    origin, size, root, _ = log.note.split("\n", 3)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spoiled = root[:-2] + alphabet[alphabet.index(root[-2]) + 1] + "="
    log.note = hand.log_key.note("\n".join([origin, size, spoiled]) + "\n")


@case
def a_stale_checkpoint(log, hand):
    log.note = hand.stale


# --- records and leaves ---

@case
def a_record_edited(log, hand):
    log.edit(7, action="revoke.device")


@case
def a_record_and_its_checksum_edited(log, hand):
    log.edit(7, action="revoke.device")
    log.leaves[7] = forge.sha(forge.sha(log.bodies[7])) + log.leaves[7][32:]


@case
def a_record_edited_with_the_submitters_key(log, hand):
    log.edit(7, action="revoke.device")
    log.leaves[7] = hand.submitter.leaf(log.bodies[7])


@case
def a_leafs_signature_changed(log, hand):
    log.leaves[9] = log.leaves[9][:40] + bytes([log.leaves[9][40] ^ 1]) + log.leaves[9][41:]


@case
def two_records_swapped(log, hand):
    log.bodies[5], log.bodies[6] = log.bodies[6], log.bodies[5]


@case
def two_records_and_leaves_swapped(log, hand):
    log.bodies[5], log.bodies[6] = log.bodies[6], log.bodies[5]
    log.leaves[5], log.leaves[6] = log.leaves[6], log.leaves[5]


@case
def a_record_dropped(log, hand):
    del log.bodies[11], log.leaves[11]


@case
def a_record_doubled(log, hand):
    log.bodies.insert(11, log.bodies[11])
    log.leaves.insert(11, log.leaves[11])


@case
def the_last_record_dropped(log, hand):
    del log.bodies[-1], log.leaves[-1]


@case
def a_body_erased_by_nobody(log, hand):
    log.bodies[12] = b"erased"


@case
def lines_end_in_carriage_returns(log, hand):
    return with_files(log, lambda files: replaced(files, "records/000000000000.jsonl", lambda data: data.replace(b"\n", b"\r\n")))


@case
def an_empty_line(log, hand):
    return with_files(log, lambda files: replaced(files, "records/000000000000.jsonl", lambda data: b"\n" + data))


@case
def the_last_line_without_an_end(log, hand):
    name = log.files()[-2][0]
    return with_files(log, lambda files: replaced(files, name, lambda data: data[:-1]))


@case
def a_byte_of_the_leaves_missing(log, hand):
    return with_files(log, lambda files: replaced(files, "leaves/000000000000.bin", lambda data: data[:-1]))


@case
def a_leaf_too_many(log, hand):
    name = log.files()[-1][0]
    return with_files(log, lambda files: replaced(files, name, lambda data: data + data[-128:]))


# --- everything signed again: only what the records say gives it away ---

def rebuilt(function):
    def run(log, hand):
        function(log, hand)
        log.sign_leaves(hand.submitter)
        log.seal(hand.log_key)
    run.__name__ = "rebuilt_" + function.__name__
    return case(run)


@rebuilt
def with_a_hole_in_the_numbers(log, hand):
    del log.bodies[11], log.leaves[11]


@rebuilt
def with_records_swapped(log, hand):
    log.bodies[5], log.bodies[6] = log.bodies[6], log.bodies[5]


@rebuilt
def with_a_later_version_of_records(log, hand):
    log.edit(6, v=2)


@rebuilt
def with_a_key_twice_in_a_record(log, hand):
    log.bodies[6] = log.bodies[6].replace(b"{", b'{"action":"create.model",', 1)


@rebuilt
def with_a_record_that_is_no_json(log, hand):
    log.bodies[6] = b"gone fishing"


@rebuilt
def with_an_approval_by_the_registrar(log, hand):
    at = index_of(log, "approve.version")
    log.edit(at, actor=dict(json.loads(log.bodies[at])["actor"], id="ana"))


@rebuilt
def with_an_approval_of_nothing(log, hand):
    at = index_of(log, "approve.version")
    log.edit(at, object={"type": "version", "id": "pump/99"})


@rebuilt
def with_a_version_registered_twice(log, hand):
    log.edit(index_of(log, "submit.version"), action="register.version")


@rebuilt
def with_a_rollout_before_the_approval(log, hand):
    first, second = index_of(log, "approve.version"), index_of(log, "create.rollout")
    log.bodies[first], log.bodies[second] = log.bodies[second], log.bodies[first]
    log.renumber()


@rebuilt
def with_the_approval_denied(log, hand):
    log.edit(index_of(log, "approve.version"), outcome="denied")


@rebuilt
def with_an_order_that_nobody_approved(log, hand):
    log.edit(30, action="issue.directive", after={"facts": {"goals": [{"slot": "main", "manifest": "sha256:" + "0" * 64}]}})


@rebuilt
def with_an_erasure_that_names_another(log, hand):
    log.edit(30, action="erase.record", object={"type": "record", "id": "13"})
    log.bodies[12] = b"erased"


@rebuilt
def with_an_order_before_enough_had_approved(log, hand):
    log.edit(index_of(log, "submit.version"), action="publish.keyset", object={"type": "keyset", "id": "keyset/2"},
             after={"facts": {"approver_threshold": 2}})


@rebuilt
def with_an_approval_by_a_key_of_no_keyset(log, hand):
    log.edit(index_of(log, "submit.version"), action="publish.keyset", object={"type": "keyset", "id": "keyset/2"},
             after={"facts": {"approvers": ["00" * 16]}})
    log.edit(index_of(log, "approve.version"), after={"facts": {"key_id": "11" * 16}})


@rebuilt
def with_an_installation_that_nobody_ordered(log, hand):
    log.edit(30, action="report.install", after={"facts": {"rollout": "r-none", "state": "committed"}})


@rebuilt
def with_a_registration_erased_as_another_action(log, hand):
    erased = index_of(log, "register.version")
    log.bodies[erased] = b"erased"
    log.edit(30, action="erase.record", object={"type": "record", "id": str(erased)}, after={"facts": {"action": "enrol.device"}})

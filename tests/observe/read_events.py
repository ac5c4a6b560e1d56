#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads an event file of TensorBoard by the format's description, and checks all of its checksums.

    python3 tests/observe/read_events.py FILE

Prints a JSON list for each event: the version of the file, or the step and its scalars. The status
is 1 after one sentence if the file is wrong.
"""
import json
import pathlib
import struct
import sys


def table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        if crc != masked(data[at:at + 8]):
            sys.exit(f"byte {at}: a length does not match its checksum")
        record = data[at + 12:at + 12 + length]
        if struct.unpack_from("<I", data, at + 12 + length)[0] != masked(record):
            sys.exit(f"byte {at}: a record does not match its checksum")
        yield record
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def fields(data):
    """(number, value) of each field of a protobuf message; bytes are not looked into."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif key & 7 == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        elif key & 7 == 5:
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        else:
            sys.exit(f"wire type {key & 7}")
        yield key >> 3, value


def main():
    # RFC 3720, B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes([0xFF] * 32)) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283
    for record in records(pathlib.Path(sys.argv[1]).read_bytes()):
        event = dict(fields(record))
        if not event[1] > 1.6e9:
            sys.exit(f"an event of the time {event[1]}")
        if 3 in event:
            print(json.dumps([event[3].decode()]))
            continue
        scalars = [dict(fields(value)) for _, value in fields(event[5])]
        print(json.dumps([event[2], {one[1].decode(): one[2] for one in scalars}]))


main()

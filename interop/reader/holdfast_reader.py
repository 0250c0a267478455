#!/usr/bin/env python3
"""An independent reader of Holdfast's formats: restores a tree from raw shares, registers and a read capability, and
tells the health of its chunks with a verify capability, opens a recovery kit with its words.

Written from docs/formats/, with Python's standard library and python3-cryptography only, so that data outlives its program.
Any file that begins with "HFS" and 1 or 2 is taken for a share, any that decodes as one for a register value, and the database of a
storage node's folder is looked into for both. The capability comes from a file or standard input, never from the command line.

  holdfast_reader.py ls      --data DIR [--data DIR ...] [--cap-file FILE]
  holdfast_reader.py restore --data DIR [--data DIR ...] [--cap-file FILE] [--xattrs] DEST
  holdfast_reader.py chunks  --data DIR [--data DIR ...] [--cap-file FILE]
  holdfast_reader.py kit     --data DIR [--data DIR ...] [--words-file FILE] [--name NAME]
  holdfast_reader.py vectors FILE...

What is restored is for the caller alone until it is whole, and is never a program of another user: no set-user-id bits, no devices,
and no extended attributes but user.*, and these only with --xattrs.
`kit` opens a recovery kit: each DIR is what one place holds, the words come from a file or standard input; it prints the secrets.
"""
import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections import namedtuple
import unicodedata
import zlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

try:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
except ImportError:  # before version 44: kits that are protected can then not be opened
    Argon2id = None

CHUNK_BYTES = 4 * 1024 * 1024
SHARE_BYTES = CHUNK_BYTES + 16 + 24 * 1024
BLOCK_BYTES = 65536
REGISTER_BYTES = 96 * 1024
FIRST_REGISTER_BYTES = 81 * 1024  # of versions 1 and 3
SEALED_BYTES = 64 * 1024 + 48
CARE_BYTES = 16 * 1024 + 48  # of versions 1 and 3
BOUND_CARE_BYTES = 24 * 1024 + 64
NODE_BYTES = 1024 * 1024
CACHE_BYTES = 8 * CHUNK_BYTES
MAX_DEPTH = 256
SAFE_INTEGER = 2**53 - 1
ZERO_NONCE = bytes(12)


class HoldfastError(Exception):
    """What is wrong with data from outside; `code` as in docs/formats."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def bad(message):
    return HoldfastError("ERR_BAD_FORMAT", message)


def version_error(what, version):
    return HoldfastError("ERR_UNSUPPORTED_VERSION", f"{what} has version {version}, which this reader does not know")


# --- Conventions (docs/formats/README.md) ---


def domain_hash(domain, data):
    return hashlib.sha256(domain.encode() + b"\0" + data).digest()


def domain_mac(key, domain, data):
    return hmac.new(key, domain.encode() + b"\0" + data, hashlib.sha256).digest()


def derive(secret, label, salt=b""):
    extracted = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, label.encode() + b"\x01", hashlib.sha256).digest()


def open_sealed(key, sealed, associated):
    try:
        return AESGCM(key).decrypt(ZERO_NONCE, sealed, associated)
    except InvalidTag:
        raise HoldfastError("ERR_CORRUPT", "something encrypted does not open with its key") from None


class Cbor:
    """Deterministic CBOR: null, booleans, integers, byte strings, text, arrays, maps with text keys."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    @staticmethod
    def decode(data, what):
        reader = Cbor(data)
        try:
            value = reader.item(0)
        except (IndexError, UnicodeDecodeError, RecursionError):
            raise bad(f"{what} is cut short or not CBOR") from None
        if reader.at != len(data):
            raise bad(f"{what} has bytes after its end")
        return value

    @staticmethod
    def encode(value):
        """The one encoding of null, booleans, integers from 0 up, byte strings, text and lists of these."""
        if value is None or isinstance(value, bool):
            return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
        if isinstance(value, int):
            return Cbor.head(0, value)
        if isinstance(value, bytes):
            return Cbor.head(2, len(value)) + value
        if isinstance(value, str):
            return Cbor.head(3, len(value.encode())) + value.encode()
        return Cbor.head(4, len(value)) + b"".join(map(Cbor.encode, value))

    @staticmethod
    def head(kind, number):
        if number < 24:
            return bytes([kind << 5 | number])
        width = next(i for i in range(4) if number < 1 << (8 << i))
        return bytes([kind << 5 | 24 + width]) + number.to_bytes(1 << width, "big")

    def take(self, count):
        if self.at + count > len(self.data):
            raise IndexError
        self.at += count
        return self.data[self.at - count : self.at]

    def item(self, depth):
        if depth > 64:
            raise bad("CBOR is nested too deep")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            if info in (20, 21, 22):
                return {20: False, 21: True, 22: None}[info]
            raise bad("CBOR has a value that no format uses")
        number = self.argument(info)
        if major == 0:
            return number
        if major == 1:
            return -1 - number
        if major == 2:
            return bytes(self.take(number))
        if major == 3:
            return self.take(number).decode("utf-8")
        if major == 4:
            return [self.item(depth + 1) for _ in range(self.count(number))]
        if major == 5:
            return self.map(self.count(number), depth)
        raise bad("CBOR has a tag")

    def argument(self, info):
        if info < 24:
            return info
        if info > 27:
            raise bad("CBOR has an indefinite or reserved length")
        width = 1 << (info - 24)
        number = int.from_bytes(self.take(width), "big")
        if number < (24 if width == 1 else 1 << (4 * width)):
            raise bad("CBOR has a number that is longer than needed")
        return number

    def count(self, number):
        if number > len(self.data) - self.at:
            raise IndexError
        return number

    def map(self, count, depth):
        result, before = {}, None
        for _ in range(count):
            start = self.at
            key = self.item(depth + 1)
            encoded = self.data[start : self.at]
            if not isinstance(key, str) or (before is not None and encoded <= before):
                raise bad("CBOR has a map whose keys are not text in order")
            before = encoded
            result[key] = self.item(depth + 1)
        return result


def fields(value, count, what):
    if not isinstance(value, list) or len(value) != count:
        raise bad(f"{what} is not a list of {count} fields")
    return value


def integer(value, low, high, what):
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad(f"{what}: a number is not from {low} to {high}")
    return value


def octets(value, length, what):
    if not isinstance(value, bytes) or (length is not None and len(value) != length):
        raise bad(f"{what}: expected {length or 'some'} bytes")
    return value


def checked_version(value, what, known=(1,)):
    if not isinstance(value, list) or not value:
        raise bad(f"{what} is not a list of fields")
    if integer(value[0], 0, SAFE_INTEGER, what) not in known:
        raise version_error(what, value[0])
    return value


# --- Erasure code (docs/formats/erasure.md) ---

EXP, LOG = [0] * 510, [0] * 256
_x = 1
for _i in range(255):
    EXP[_i] = EXP[_i + 255] = _x
    LOG[_x] = _i
    _x = (_x << 1) ^ (0x11D if _x & 0x80 else 0)


def gf_mul(a, b):
    return EXP[LOG[a] + LOG[b]] if a and b else 0


def gf_inv(a):
    return EXP[255 - LOG[a]]


def coding_row(index, k):
    return [int(index == j) for j in range(k)] if index < k else [gf_inv(index ^ j) for j in range(k)]


def invert(matrix):
    k = len(matrix)
    work = [row + [int(i == j) for j in range(k)] for i, row in enumerate(matrix)]
    for column in range(k):
        pivot = next(i for i in range(column, k) if work[i][column])
        work[column], work[pivot] = work[pivot], work[column]
        factor = gf_inv(work[column][column])
        work[column] = [gf_mul(factor, value) for value in work[column]]
        for i in range(k):
            if i != column and work[i][column]:
                factor = work[i][column]
                work[i] = [value ^ gf_mul(factor, lead) for value, lead in zip(work[i], work[column])]
    return [row[k:] for row in work]


def combine(coefficients, payloads):
    """Sum of payloads times coefficients: a table look-up for each byte, and XOR of whole payloads as integers."""
    total = 0
    for coefficient, payload in zip(coefficients, payloads):
        if coefficient:
            table = bytes(gf_mul(coefficient, value) for value in range(256))
            total ^= int.from_bytes(payload.translate(table), "little")
    return total.to_bytes(len(payloads[0]), "little")


def data_slices(shares, k):
    """The k data slices, from a dict of at least k payloads by index."""
    held = sorted(shares)[:k]
    payloads = [shares[index] for index in held]
    if held == list(range(k)):
        return payloads
    rows = invert([coding_row(index, k) for index in held])
    return [shares[j] if j in shares else combine(rows[j], payloads) for j in range(k)]


def join_shares(shares, k, length):
    """What was split, from a dict of at least k payloads by index."""
    return b"".join(data_slices(shares, k))[:length]


# --- Chunks and shares (docs/formats/chunk.md, share.md) ---


# `hashes` are of payloads in version 1, roots of hash trees over their blocks in version 2, which alone has a `key_check`.
Descriptor = namedtuple("Descriptor", "version k n length key_check hashes")


def decode_descriptor(data, version):
    what = "chunk descriptor"
    value = Cbor.decode(data, what)
    if not isinstance(value, list) or not value:
        raise bad("a chunk descriptor is not a list of fields")
    if integer(value[0], 0, SAFE_INTEGER, what) != version:
        raise version_error(what, value[0])
    key_check = None
    if version == 1:
        _, k, n, length, hashes = fields(value, 5, what)
    else:
        _, k, n, length, key_check, hashes = fields(value, 6, what)
        octets(key_check, 32, what)
    integer(n, 1, 255, what)
    integer(k, 1, n, what)
    integer(length, 16, CHUNK_BYTES + 16, what)
    octets(hashes, 32 * n, what)
    return Descriptor(version, k, n, length, key_check, [hashes[32 * i : 32 * i + 32] for i in range(n)])


def decode_share(data):
    """(chunk id, descriptor, index, payload) of a share whose hash fits."""
    if len(data) > SHARE_BYTES:
        raise HoldfastError("ERR_LIMIT", "a share is too long")
    if len(data) < 7 or data[:3] != b"HFS":
        raise bad("not a share")
    if data[3] not in (1, 2):
        raise version_error("a share", data[3])
    version, index, start = data[3], data[4], 7 + int.from_bytes(data[5:7], "big")
    if start > 7 + 16384 or start > len(data):
        raise bad("a share is cut short")
    descriptor = decode_descriptor(data[7:start], version)
    if index >= descriptor.n:
        raise bad("a share's index is wrong")
    slice_bytes = -(-descriptor.length // descriptor.k)
    carried = carried_leaves(descriptor, index)
    payload_at = start + 32 * block_count(slice_bytes) * len(carried)
    payload = data[payload_at:]
    if len(data) < payload_at or len(payload) != slice_bytes:
        raise bad("a share's length is wrong")
    check_leaves(descriptor, index, data[start:payload_at], carried, payload)
    if payload_hash(descriptor, payload) != descriptor.hashes[index]:
        raise HoldfastError("ERR_CORRUPT", "a share's hash is wrong")
    return chunk_id_of(version, data[7:start]), descriptor, index, payload


def chunk_id_of(version, encoded):
    return domain_hash(f"holdfast/chunk-descriptor/{version}", encoded)


def block_count(length):
    return -(-length // BLOCK_BYTES)


def leaves_of(payload, first=0):
    """The hash of each block, `first` being the number of the first."""
    numbers = range(block_count(len(payload)))
    blocks = [payload[i * BLOCK_BYTES : (i + 1) * BLOCK_BYTES] for i in numbers]
    return [domain_hash("holdfast/share-block/2", (first + i).to_bytes(4, "big") + blocks[i]) for i in numbers]


def root_of_leaves(leaves):
    level = leaves
    while len(level) > 1:
        pairs = [domain_hash("holdfast/share-node/2", a + b) for a, b in zip(level[::2], level[1::2])]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


def carried_leaves(descriptor, index):
    """The shares whose leaves a share carries: all data slices and itself, if they have more than one block."""
    if descriptor.version == 1 or block_count(-(-descriptor.length // descriptor.k)) == 1:
        return []
    return list(range(descriptor.k)) + ([] if index < descriptor.k else [index])


def check_leaves(descriptor, index, section, carried, payload):
    if not carried:
        return
    size = len(section) // len(carried)
    for position, owner in enumerate(carried):
        part = section[position * size : (position + 1) * size]
        leaves = [part[at : at + 32] for at in range(0, size, 32)]
        if root_of_leaves(leaves) != descriptor.hashes[owner] or (owner == index and leaves != leaves_of(payload)):
            raise HoldfastError("ERR_CORRUPT", "a share's leaves are wrong")


def payload_hash(descriptor, payload):
    """What a descriptor names a payload by."""
    return domain_hash("holdfast/share/1", payload) if descriptor.version == 1 else root_of_leaves(leaves_of(payload))


def ciphertext_of(shares, descriptor):
    """The one ciphertext of a chunk: slices made from parity must have the hashes that the descriptor gives them."""
    slices = data_slices(shares, descriptor.k)
    for index, data in enumerate(slices):
        if index not in shares and payload_hash(descriptor, data) != descriptor.hashes[index]:
            raise HoldfastError("ERR_INCONSISTENT", "the parity of a chunk does not follow from its data")
    return b"".join(slices)[: descriptor.length]


def is_codeword(shares, descriptor):
    """True when all n shares that the descriptor names follow from the same data."""
    slices = data_slices(shares, descriptor.k)
    for index in range(descriptor.n):
        payload = slices[index] if index < descriptor.k else combine(coding_row(index, descriptor.k), slices)
        if payload_hash(descriptor, payload) != descriptor.hashes[index]:
            return False
    return True


def open_chunk(shares, descriptor, key):
    check_key(descriptor, key)
    return open_sealed(key, ciphertext_of(shares, descriptor), f"holdfast/chunk/{descriptor.version}\0".encode())


def check_key(descriptor, key):
    if descriptor.version == 2 and domain_hash("holdfast/chunk-key/2", key) != descriptor.key_check:
        raise HoldfastError("ERR_CORRUPT", "the key is not that of the chunk")


def open_range(descriptor, key, offset, length, block):
    """Plaintext of a range of a chunk of version 2; block(slice, number) gives a block of a data slice and its leaves."""
    check_key(descriptor, key)
    if descriptor.version != 2 or offset + length > descriptor.length - 16:
        raise HoldfastError("ERR_CORRUPT", "a range goes beyond its chunk")
    slice_bytes, found, at = -(-descriptor.length // descriptor.k), b"", offset
    while at < offset + length:
        index, inside = divmod(at, slice_bytes)
        number, skipped = divmod(inside, BLOCK_BYTES)
        data, leaves = block(index, number)
        if root_of_leaves(leaves) != descriptor.hashes[index] or leaves_of(data, number) != [leaves[number]]:
            raise HoldfastError("ERR_CORRUPT", "a block's hash is wrong")
        part = data[skipped : skipped + offset + length - at]
        found, at = found + part, at + len(part)
    # The keystream of GCM is that of counter mode, from 2 on.
    counter = ZERO_NONCE + (2 + offset // 16).to_bytes(4, "big")
    decryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).decryptor()
    decryptor.update(bytes(offset % 16))
    return decryptor.update(found)


# --- Registers (docs/formats/register.md) ---

CONTENT_LABELS = {1: "holdfast/register-content/1", 3: "holdfast/register-content/1", 4: "holdfast/register-content/2"}
CARE_LABELS = {1: "holdfast/register-care/1", 3: "holdfast/register-care/1", 4: "holdfast/register-care/2"}
VALUE_DOMAINS = {version: f"holdfast/register-value/{version}\0".encode() for version in (1, 3, 4)}
AUTHOR_DOMAIN = b"holdfast/register-author/1\0"
Register = namedtuple("Register", "version public_key epoch sequence sealed care bound")
Bound = namedtuple("Bound", "follows base peaks owner statement read_check head")


ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
EIGHTH = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
SMALL_ORDERS = {0, 1, PRIME - 1, EIGHTH, PRIME - EIGHTH}


def is_strict_point(encoded):
    """True for the one encoding of a point of large order, if it is one; the highest bit is the sign of x."""
    y = int.from_bytes(encoded, "little") & ~(1 << 255)
    return y < PRIME and y not in SMALL_ORDERS


def verified(public_key, signature, message):
    """Whether a signature is accepted (docs/formats/README.md, Signatures); the library has the equation without the cofactor."""
    if len(public_key) != 32 or len(signature) != 64 or int.from_bytes(signature[32:], "little") >= ORDER:
        return False
    if not is_strict_point(public_key) or not is_strict_point(signature[:32]):
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def check_lineage(sequence, lineage):
    what = "lineage of a register value"
    if not isinstance(lineage, list) or not all(isinstance(hashes, list) and hashes for hashes in lineage):
        raise bad("the lineage of a register value is not lists of hashes")
    integer(sequence, 1, SAFE_INTEGER, what)
    for hashes in lineage:
        ordered = [octets(item, 32, what) for item in hashes]
        if any(a >= b for a, b in zip(ordered, ordered[1:])):
            raise bad("the hashes of a lineage are not in order")
    if sum(map(len, lineage)) > 20 or len(lineage) >= sequence or (sequence > 1 and not lineage):
        raise bad("the lineage of a register value has a wrong length")


def mountains(count):
    """Heights of the mountains over `count` levels, the largest first."""
    return [height for height in range(52, -1, -1) if count >> height & 1]


def level_leaf(sequence, level):
    return domain_hash("holdfast/lineage-leaf/1", sequence.to_bytes(8, "big") + b"".join(level))


def proves_level(base, sequence, peaks, number, level, path):
    """True when `level` is the one with `number` of a value with these levels."""
    at, start = number - base, 0
    if at < 0 or number >= sequence:
        return False
    for height, peak in zip(mountains(sequence - base), peaks):
        if at >= start + (1 << height):
            start += 1 << height
            continue
        if len(path) != height:
            return False
        node = level_leaf(number, level)
        for step, other in enumerate(path):
            right = (at - start) >> step & 1
            node = domain_hash("holdfast/lineage-node/1", other + node if right else node + other)
        return node == peak
    return False


def peaks_over(base, levels):
    """Peaks over `levels`, the first of which has number `base`."""
    peaks = []
    for i, level in enumerate(levels):
        node, rest = level_leaf(base + i, level), i
        while rest & 1:
            node, rest = domain_hash("holdfast/lineage-node/1", peaks.pop() + node), rest >> 1
        peaks.append(node)
    return peaks


def hashes_in(data, what):
    if len(octets(data, None, what)) % 32:
        raise bad(f"{what}: not whole hashes")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def decode_statement(data):
    """(public key, epoch, sequence, hash, writer, read check, signature, what is signed) of an epoch statement."""
    what = "epoch statement"
    value = fields(checked_version(Cbor.decode(data, what), what), 8, what)
    _, public_key, epoch, sequence, followed, writer, read_check, signature = value
    for part, length in ((public_key, 32), (followed, 32), (writer, 32), (read_check, 32), (signature, 64)):
        octets(part, length, what)
    integer(epoch, 1, SAFE_INTEGER, what)
    integer(sequence, 1, SAFE_INTEGER, what)
    signed = b"holdfast/register-epoch/1\0" + bytes([data[0] - 1]) + data[1:-66]
    return public_key, epoch, sequence, followed, writer, read_check, signature, signed


def check_bound(sequence, bound):
    follows, base, peaks = bound.follows, bound.base, bound.peaks
    if len(follows) > 20 or (sequence == 1) != (not follows) or (sequence > 1 and base == sequence):
        raise bad("a register value does not name what it follows")
    if follows[1:] != sorted(set(follows[1:]) - set(follows[:1])):
        raise bad("the values that a register value follows are not in order")
    count = sequence - base
    if len(peaks) != len(mountains(count)):
        raise bad("a register value has a wrong number of peaks")
    if count % 2 and peaks[-1] != level_leaf(sequence - 1, follows):
        raise bad("the last peak of a register value is not of what it follows")
    if len(bound.owner) not in (0, 32):
        raise bad("the owner's key of a register value is none")


def writer_of(public_key, epoch, sequence, bound):
    """Whose signature a value of version 4 bears."""
    if not epoch and not bound.statement:
        return public_key
    if not epoch or not bound.statement:
        raise bad("a register value does not say what began its epoch")
    key, number, last, followed, writer, read_check, signature, signed = decode_statement(bound.statement)
    fits = number == epoch and len(bound.owner) == 32 and sequence > last and read_check == bound.read_check
    if not fits or (sequence == last + 1 and bound.follows != [followed]):
        raise bad("a register value does not fit what began its epoch")
    if key != public_key or not verified(bound.owner, signature, signed):
        raise HoldfastError("ERR_CORRUPT", "an epoch was not begun by the owner")
    return writer


def decode_bound(value):
    """(public key, epoch, sequence, sealed, care, signature, Bound) of version 4."""
    what = "register value"
    _, public_key, epoch, sequence, follows, base, peaks, owner, statement, read_check, care, sealed, signature = fields(
        value, 13, what
    )
    integer(epoch, 0, SAFE_INTEGER, what)
    integer(base, 1, integer(sequence, 1, SAFE_INTEGER, what), what)
    if len(octets(statement, None, what)) > 256:
        raise bad("an epoch statement is too long")
    octets(owner, None, what)
    octets(read_check, 32, what)
    bound = Bound(hashes_in(follows, what), base, hashes_in(peaks, what), owner, statement, read_check, value[:11])
    check_bound(sequence, bound)
    return public_key, epoch, sequence, sealed, care, signature, bound


def decode_register(data):
    """A Register whose signature fits."""
    what = "register value"
    if len(data) > REGISTER_BYTES:
        raise HoldfastError("ERR_LIMIT", "a register value is too long")
    value = Cbor.decode(data, what)
    version = value[0] if isinstance(value, list) and value and value[0] in (3, 4) else 1
    epoch, bound, most_care = 0, None, CARE_BYTES
    if version == 4:
        public_key, epoch, sequence, sealed, care, signature, bound = decode_bound(value)
        most_care = BOUND_CARE_BYTES
    elif len(data) > FIRST_REGISTER_BYTES:
        raise HoldfastError("ERR_LIMIT", "a register value is too long")
    elif version == 3:
        _, public_key, sequence, sealed, care, lineage, signature = fields(value, 7, what)
        check_lineage(sequence, lineage)
    else:
        value = fields(checked_version(value, what), 7, what)
        _, public_key, sequence, previous, sealed, care, signature = value
        octets(previous, 32, what)
    octets(public_key, 32, what)
    integer(sequence, 1, SAFE_INTEGER, what)
    octets(signature, 64, what)
    if len(octets(sealed, None, what)) > SEALED_BYTES:
        raise bad("a register's content is too long")
    if len(octets(care, None, what)) > most_care:
        raise bad("a register's care is too long")
    writer = writer_of(public_key, epoch, sequence, bound) if bound else public_key
    # All fields but the signature (2 + 64 bytes) stand there as they do in the signed array, which is one shorter.
    body = bytes([data[0] - 1]) + data[1:-66]
    if not verified(writer, signature, VALUE_DOMAINS[version] + body):
        raise HoldfastError("ERR_CORRUPT", "a register value has a wrong signature")
    return Register(version, public_key, epoch, sequence, sealed, care, bound)


def open_register(register, labels, secret):
    """What is sealed as the content (with the read key) or as the care (with the verify key) of a value."""
    label = labels[register.version]
    sealed = register.sealed if labels is CONTENT_LABELS else register.care
    place = register.public_key + register.sequence.to_bytes(8, "big")
    if register.version == 4:
        place += register.epoch.to_bytes(8, "big")
    return open_sealed(derive(secret, label, sealed[:32]), sealed[32:], label.encode() + b"\0" + place)


def check_verify_key(register, verify_key):
    """A value of version 4 opens under one read key, and so one verify key, only."""
    if register.bound and register.bound.read_check != domain_hash("holdfast/read-check/1", verify_key):
        raise HoldfastError("ERR_CORRUPT", "a register value is for another key")


def register_content(register, read_key):
    """The content, and its author (device, account, name) when the author's signature fits."""
    check_verify_key(register, derive(read_key, "holdfast/verify-key/1"))
    plaintext = open_register(register, CONTENT_LABELS, read_key)
    if register.version != 4:
        return plaintext, None
    content, author, _past = fields(Cbor.decode(plaintext, "register content"), 3, "register content")
    octets(content, None, "register content")
    if author is None:
        return content, None
    device, account, name, signature = fields(author, 4, "author")
    # The author signs all fields up to the care, the content and itself.
    whole = encode_cbor([*register.bound.head, content, device, account, name])
    fits = verified(octets(device, 32, "author"), signature, AUTHOR_DOMAIN + hashlib.sha256(whole).digest())
    return content, (device, account, name) if fits else None


def register_care(register, verify_key):
    check_verify_key(register, verify_key)
    plaintext = open_register(register, CARE_LABELS, verify_key)
    if register.version != 4:
        return plaintext
    levels, care = fields(Cbor.decode(plaintext, "register care"), 2, "register care")
    inline, tail, index = fields(levels, 3, "levels")
    lists = [hashes_in(level, "level") for level in inline]
    count = len(lists) + (tail[3] if tail else 0) + (index[3] * 4096 if index else 0)
    if count != register.sequence - register.bound.base:
        raise bad("a register value has not as many levels as it should")
    if not tail and not index and peaks_over(register.bound.base, lists) != register.bound.peaks:
        raise bad("the levels of a register value are not those of its peaks")
    return octets(care, None, "register care")


def encode_cbor(value):
    """Deterministic CBOR of integers, bytes, text and lists."""
    number, major = (value, 0) if isinstance(value, int) else (len(value), 2 if isinstance(value, bytes) else 4)
    if isinstance(value, str):
        value, major = value.encode(), 3
        number = len(value)
    if number < 24:
        head = bytes([major << 5 | number])
    else:
        mark = 24 + sum(number >= limit for limit in (1 << 8, 1 << 16, 1 << 32))
        head = bytes([major << 5 | mark]) + number.to_bytes(1 << (mark - 24), "big")
    return head + (b"" if major == 0 else b"".join(map(encode_cbor, value)) if major == 4 else value)


# --- Capabilities (docs/formats/capability.md) ---

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
CAP_BYTES = {"dw": 32, "fw": 32, "dr": 64, "fr": 64, "dv": 64, "fv": 64, "cv": None, "ci": None, "lit": None}


def decode_base32(text):
    bits = "".join(format(ALPHABET.index(letter), "05b") for letter in text)
    whole = len(bits) // 8
    if len(bits) - 8 * whole >= 5 or "1" in bits[8 * whole :]:
        raise ValueError
    return bytes(int(bits[8 * i : 8 * i + 8], 2) for i in range(whole))


def decode_cap(text):
    """(kind, payload). The error never repeats the string."""
    wrong = HoldfastError("ERR_BAD_CAPABILITY", "this is not a capability: copy the whole string again")
    parts = text.strip().split(":")
    if len(text) > 2048 or len(parts) != 3 or parts[0] != "hf" or parts[1] not in CAP_BYTES:
        raise wrong
    try:
        data = decode_base32(parts[2])
    except ValueError:
        raise wrong from None
    kind, payload = parts[1], data[:-4]
    if len(data) < 4 or domain_hash("holdfast/cap-checksum/1", kind.encode() + b":" + payload)[:4] != data[-4:]:
        raise wrong
    if kind == "cv" and (len(payload) % 32 or not 32 <= len(payload) <= 38 * 32):
        raise wrong
    if CAP_BYTES[kind] not in (None, len(payload)) or (kind == "lit" and len(payload) > 256):
        raise wrong
    return kind, payload


def public_key_of(seed):
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def read_keys(kind, payload):
    """(public key, read key) of a capability that reads a register."""
    if kind in ("dw", "fw"):
        return public_key_of(payload), derive(payload, "holdfast/read-key/1")
    if kind in ("dr", "fr"):
        return payload[:32], payload[32:]
    raise HoldfastError("ERR_WRONG_CAPABILITY", f"a capability of kind {kind} does not read a tree")


def verify_keys(kind, payload):
    """(public key, verify key) of any capability that a register belongs to."""
    if kind in ("dv", "fv"):
        return payload[:32], payload[32:]
    public_key, read_key = read_keys(kind, payload)
    return public_key, derive(read_key, "holdfast/verify-key/1")


# --- Where shares and registers lie ---


class Volume:
    """What was found in the folders: places of shares by chunk id, and the newest register values."""

    def __init__(self, folders):
        self.shares, self.registers, self.temporary, self.cache = {}, {}, [], {}
        self.databases, self.cached_bytes = {}, 0
        for folder in folders:
            for path in sorted(p for p in Path(folder).rglob("*") if p.is_file() and not p.is_symlink()):
                self.look_at(path)

    def look_at(self, path):
        with open(path, "rb") as file:
            head = file.read(7 + 16384)
        if head[:4] in (b"HFS\x01", b"HFS\x02"):
            start = 7 + int.from_bytes(head[5:7], "big")
            self.add_share(chunk_id_of(head[3], head[7:start]), path)
        elif head[:16] == b"SQLite format 3\0":
            self.look_into(path)
        elif head[:2] in (b"\x87\x01", b"\x87\x03", b"\x8d\x04") and path.stat().st_size <= REGISTER_BYTES:
            self.add_register(path.read_bytes())

    def look_into(self, path):
        """A storage node's database: small shares and registers. A copy is opened, so nothing is changed."""
        folder = tempfile.TemporaryDirectory(prefix="holdfast-reader-")
        self.temporary.append(folder)
        for suffix in ("", "-wal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copy(f"{path}{suffix}", os.path.join(folder.name, f"index{suffix}"))
        database = sqlite3.connect(os.path.join(folder.name, "index"))
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"shares", "small", "registers"} <= tables:
            return
        for row, chunk in database.execute("SELECT row, chunk FROM shares WHERE file IS NULL"):
            self.add_share(bytes(chunk), (database, row))
        for (value,) in database.execute("SELECT value FROM registers"):
            self.add_register(bytes(value))

    def add_share(self, chunk_id, place):
        self.shares.setdefault(chunk_id, []).append(place)

    def add_register(self, data):
        try:
            register = decode_register(data)
        except HoldfastError:
            return
        held = self.registers.get(register.public_key)
        if not held or (register.epoch, register.sequence) > (held.epoch, held.sequence):
            self.registers[register.public_key] = register

    def good_shares(self, chunk_id, enough=256):
        """(payloads by index, descriptor) of the shares that verify; no more than k or `enough` of them are sought."""
        good, descriptor = {}, None
        for place in self.shares.get(chunk_id, []):
            try:
                found, its, index, payload = decode_share(self.load(place))
            except HoldfastError:
                continue
            if found == chunk_id:
                good[index], descriptor = payload, its
            if descriptor and len(good) >= max(descriptor.k, enough):
                break
        return good, descriptor

    def chunk(self, chunk_id, key):
        """Plaintext of a chunk, with its padding; the last few are kept, for those who know the key."""
        if (chunk_id, key) in self.cache:
            return self.cache[chunk_id, key]
        good, descriptor = self.good_shares(chunk_id, 0)
        if descriptor is None or len(good) < descriptor.k:
            raise HoldfastError("ERR_NOT_ENOUGH_SHARES", f"chunk {chunk_id.hex()}: only {len(good)} good shares found")
        try:
            plaintext = open_chunk(good, descriptor, key)
        except HoldfastError as error:
            raise HoldfastError(error.code, f"chunk {chunk_id.hex()}: {error}") from None
        self.cached_bytes += len(plaintext)
        while self.cached_bytes > CACHE_BYTES:
            self.cached_bytes -= len(self.cache.pop(next(iter(self.cache))))
        self.cache[chunk_id, key] = plaintext
        return plaintext

    def load(self, place):
        if isinstance(place, Path):
            return place.read_bytes()
        database, row = place
        found = database.execute("SELECT bytes FROM small WHERE row = ?", (row,)).fetchone()
        return bytes(found[0]) if found else b""

    def content(self, public_key, read_key):
        return register_content(self.register(public_key), read_key)[0]

    def care(self, public_key, verify_key):
        return register_care(self.register(public_key), verify_key)

    def register(self, public_key):
        if public_key not in self.registers:
            raise HoldfastError("ERR_NOT_FOUND", "no register value of this capability was found")
        return self.registers[public_key]

    def slice(self, reference):
        chunk, offset, length = reference
        plaintext = self.chunk(*chunk)
        if offset + length > len(plaintext):
            raise bad("a reference goes beyond its chunk")
        return plaintext[offset : offset + length]


# --- Trees (docs/formats/tree.md) ---


def decode_reference(value, holder):
    """((chunk id, key), offset, length); `holder` is where the node lies that has it, for self references."""
    what = "reference"
    is_self = isinstance(value, list) and len(value) == 2 and holder
    if is_self:
        chunk, (offset, length) = holder[0], value
    else:
        chunk_id, key, offset, length = fields(value, 4, what)
        chunk = octets(chunk_id, 32, what), octets(key, 32, what)
    integer(offset, 0, CHUNK_BYTES - 1, what)
    integer(length, 1, CHUNK_BYTES - offset, what)
    if is_self and offset + length > holder[1]:
        raise bad("a self reference does not point to what comes before it")
    return chunk, offset, length


def check_name(name):
    if not isinstance(name, str) or not 1 <= len(name.encode()) <= 255 or name in (".", "..") or set("/\0") & set(name):
        raise bad("a directory has a name that cannot be one")
    return name


def load_node(volume, reference, what, most_level, most_items=NODE_BYTES):
    """The two fields after the version, level and items, of a directory or manifest node."""
    if reference[2] > NODE_BYTES:
        raise HoldfastError("ERR_LIMIT", f"a {what} is too long")
    value = checked_version(Cbor.decode(volume.slice(reference), what), what)
    _, level, items = fields(value, 3, what)
    integer(level, 0, most_level, what)
    if not isinstance(items, list) or not 1 <= len(items) <= most_items:
        raise bad(f"a {what} has a wrong number of items")
    return level, items


# What an item says of the node below it; all names below that come before `before`, unless it is None.
Place = namedtuple("Place", "level name count before")


def entries(volume, reference, place=None):
    """All entries of a directory, in order, none twice, each checked."""
    if reference is None:
        return
    what = "directory node"
    level, items = load_node(volume, reference, what, 24)
    for item in items:
        fields(item, 10 if level == 0 else 3, what)
    names = [check_name(item[0]).encode() for item in items]
    if any(a >= b for a, b in zip(names, names[1:])):
        raise bad("a directory's names are not in order")
    count = len(items) if level == 0 else sum(integer(item[2], 1, SAFE_INTEGER, what) for item in items)
    if count > SAFE_INTEGER:
        raise bad("a directory has more entries than can be")
    if place and (level, names[0], count) != place[:3]:
        raise bad("a directory node is not what its parent says")
    before = place.before if place else None
    if before is not None and names[-1] >= before:
        raise bad("the names of a directory node go beyond those of the next one")
    for item, name, following in zip(items, names, names[1:] + [before]):
        if level == 0:
            yield decode_entry(item, reference)
        else:
            below = Place(level - 1, name, item[2], following)
            yield from entries(volume, decode_reference(item[1], reference), below)


# `content` of a file is bytes or (1 or 2, reference), of a directory a reference or None, of others as it is encoded.
Entry = namedtuple("Entry", "name kind mode uid gid mtime ctime size xattrs content")
MOST_ID = 2**32 - 1
MOST_CAP = 2048


def decode_entry(value, holder):
    what = "entry"
    name, kind, mode, uid, gid, mtime, ctime, size, xattrs, content = fields(value, 10, what)
    check_name(name)
    integer(kind, 0, 3, what)
    integer(mode, 0, 0o7777, what)
    for number in (uid, gid):
        integer(number, 0, MOST_ID, what)
    for time in (mtime, ctime):
        integer(time, -(2**63), 2**63 - 1, what)
    integer(size, 0, SAFE_INTEGER, what)
    check_xattrs(xattrs)
    if kind == 0:
        content = decode_file_content(content, size, holder)
    elif kind == 2:
        check_target(content, size)
    elif size:
        raise bad("an entry that is no file has a size")
    elif kind == 1:
        content = None if content is None else decode_reference(content, holder)
    else:
        check_junction(content)
    return Entry(name, kind, mode, uid, gid, mtime, ctime, size, xattrs or {}, content)


def check_xattrs(xattrs):
    if xattrs is None:
        return
    if not isinstance(xattrs, dict) or not xattrs or not all(isinstance(value, bytes) for value in xattrs.values()):
        raise bad("extended attributes are not a map of bytes")
    if any(not name or "\0" in name for name in xattrs):
        raise bad("an extended attribute has a name that cannot be one")
    if sum(len(name.encode()) + len(value) for name, value in xattrs.items()) > 65536:
        raise bad("an entry has too many extended attributes")


def decode_file_content(content, size, holder):
    if isinstance(content, bytes):
        if len(content) > 4096 or len(content) != size:
            raise bad("inline content has a wrong length")
        return content
    form, target = fields(content, 2, "file content")
    integer(form, 1, 2, "file content")
    reference = decode_reference(target, holder)
    if form == 1 and reference[2] != size:
        raise bad("a file's size is not that of its content")
    return form, reference


def check_target(target, size):
    if not isinstance(target, str) or "\0" in target or not 1 <= len(target.encode()) <= 4096:
        raise bad("a symlink has a target that cannot be one")
    if len(target.encode()) != size:
        raise bad("a symlink's size is not that of its target")


def check_junction(content):
    cap, sealed = fields(content, 2, "junction")
    if not 1 <= len(octets(cap, None, "junction")) <= MOST_CAP:
        raise bad("the capability of a junction has a wrong length")
    if sealed is not None and len(octets(sealed, None, "junction")) > MOST_CAP + 48:
        raise bad("the sealed capability of a junction is too long")


def pieces(volume, reference, size, expected=None):
    """(length, reference or None for a hole) of each piece of a file, which add up to `size`."""
    what = "file manifest"
    level, items = load_node(volume, reference, what, 6, 2000)
    if expected not in (None, level):
        raise bad("a manifest node is at the wrong level")
    decoded = []
    for item in items:
        length, target = fields(item, 2, what)
        integer(length, 1, SAFE_INTEGER, what)
        target = None if target is None else decode_reference(target, reference)
        if target is None and level > 0:
            raise bad("an item of a file manifest refers to nothing")
        if level == 0 and target is not None and target[2] != length:
            raise bad("a piece of a file has two lengths")
        decoded.append((length, target))
    if sum(length for length, _ in decoded) != size:
        raise bad("a file manifest does not add up")
    for length, target in decoded:
        if level > 0:
            yield from pieces(volume, target, length, level - 1)
        else:
            yield length, target


class Claims:
    """Stops a file that claims to be out of all proportion to what is stored of it; see docs/formats/tree.md."""

    def __init__(self):
        self.known, self.new, self.repeated, self.holes = {}, 0, 0, 0
        self.pieces, self.bytes = 0, 0

    def piece(self, length):
        self.pieces += 1
        self.bytes += length
        if self.pieces > MOST_SMALL + self.bytes / LEAST_MEAN:
            raise HoldfastError("ERR_LIMIT", "a file is cut into pieces that are too small to be read")

    def add(self, length, reference):
        if reference is None:
            self.holes += length
        else:
            chunk, offset, _ = reference
            end, given = self.known.get(chunk, (0, 0))
            end = max(end, offset + length)
            if len(self.known) < MOST_KNOWN or chunk in self.known:
                self.known[chunk] = end, given + length
            fresh = min(length, max(0, end - given))
            self.new += fresh
            if fresh < length:
                self.repeated += max(length - fresh, LEAST_REPEATED)
        if self.holes > max(MOST_HOLES, HOLES_RATIO * self.new) or self.repeated > max(MOST_AGAIN, AGAIN_RATIO * self.new):
            raise HoldfastError("ERR_LIMIT", "a file claims to be out of all proportion to what is stored of it")


def parts_of(volume, entry):
    """(length, bytes or None for a hole) of each part of a file."""
    claims = Claims()
    if isinstance(entry.content, bytes):
        yield entry.size, entry.content
    elif entry.content[0] == 1:
        yield entry.size, volume.slice(entry.content[1])
    else:
        for length, reference in pieces(volume, entry.content[1], entry.size):
            claims.add(length, reference)
            claims.piece(length)
            yield length, None if reference is None else volume.slice(reference)


# --- Walking (a tree may be another person's, and hostile) ---

# Nothing of a name may drive a terminal, end a line, turn the direction of text, or hide.
UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
COLOUR = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]")
CAPABILITY = re.compile(r"(hf(?::|%(?:25)*3a)[a-z]{0,5}(?::|%(?:25)*3a)?)[a-z2-7]{8}[^\s\"'/]*(?:\s+[a-z2-7]{20}\S*)*", re.IGNORECASE)
# The letters alone, as a double click takes them.
LETTERS = re.compile(r"(?<![a-z0-9])(?=[a-z]{0,19}[2-7])(?:[a-z2-7]{58}|[a-z2-7]{100,2048})(?![a-z0-9])", re.IGNORECASE)
# Beside something hidden: the rest of it, which mail has wrapped and quoted.
FURTHER = re.compile(r"(?<![a-z0-9])(?=[a-z]{0,15}[2-7])[a-z2-7]{16,}", re.IGNORECASE)
# No writing stacks more on one letter; a terminal draws them over the lines beside it.
MOST_MARKS = 8
MOST_REPEATED, MOST_COPIES = 20_000, 100
MOST_HOLES, HOLES_RATIO = 1 << 38, 4096
MOST_SMALL, LEAST_MEAN = 4096, 512
MOST_AGAIN, AGAIN_RATIO, LEAST_REPEATED, MOST_KNOWN = 1 << 26, 100, 1 << 14, 1 << 18
# One directory that comes so often is no copy any more, unless most of what is told beside it is new.
MOST_VISITS, MOST_COPIES_THEN = 1000, 20
# Set-user-id and its kin are never restored.
PLAIN_MODE = 0o777
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def shown(text):
    """Text from outside as it may be printed: it drives no terminal, and shows no capability."""
    bare = UNSHOWN.sub(lambda match: match[0] if match[0] in "\t\n\r" else "", COLOUR.sub("", text))
    if CAPABILITY.search(bare) or LETTERS.search(bare):
        text = FURTHER.sub("[hidden]", LETTERS.sub("[hidden]", CAPABILITY.sub(r"\1[hidden]", bare)))
    return UNSHOWN.sub(lambda match: escape_of(ord(match[0])), "".join(unstacked(text)))


def unstacked(text):
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.category(letter).startswith("M") else 0
        yield letter if marks <= MOST_MARKS else escape_of(ord(letter))


def escape_of(code):
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\u{{{code:x}}}"


def read_secret(path):
    """What the file of a secret holds, which nobody else may read or replace; standard input without one."""
    if not path:
        return sys.stdin.read()
    with open(path, encoding="utf-8") as file:
        state = os.fstat(file.fileno())
        foreign = os.geteuid() != 0 and {state.st_uid, os.lstat(path).st_uid} - {0, os.geteuid()}
        if not stat.S_ISCHR(state.st_mode) and (state.st_mode & 0o077 or foreign):
            raise HoldfastError("ERR_EXPOSED", f"others may read {path}: chmod go= {path}")
        return file.read()


class Walk:
    """
    What was met on the way: no tree lies in itself, and a walk that tells nearly nothing new ends. Copies share directories, and
    sixty that each hold the next one twice have more paths than can be told.
    """

    def __init__(self, volume):
        self.volume, self.visits, self.trees = volume, {}, []
        self.distinct = self.repeated = 0

    def inside(self, entry, depth):
        """The entries of a directory, or of the tree that a junction links in."""
        if depth > MAX_DEPTH:
            raise HoldfastError("ERR_LIMIT", "a directory is nested too deep: this tree is damaged")
        if entry.kind == 1:
            yield from self.entries(entry.content)
            return
        yield from self.tree(linked_cap(entry))

    def tree(self, cap_text):
        kind, payload = decode_cap(cap_text)
        public_key = read_keys(kind, payload)[0]
        if public_key in self.trees:
            raise HoldfastError("ERR_LIMIT", "a tree is linked into itself")
        self.trees.append(public_key)
        yield from self.entries(root_of(self.volume, cap_text))
        self.trees.pop()

    def entries(self, reference):
        if reference is None:
            return
        visits = self.visits[reference] = self.visits.get(reference, 0) + 1
        for entry in entries(self.volume, reference):
            if visits > 1:
                self.repeated += 1
            else:
                self.distinct += 1
            is_endless = visits > MOST_VISITS and self.repeated > MOST_COPIES_THEN * self.distinct
            if is_endless or self.repeated > max(MOST_REPEATED, MOST_COPIES * self.distinct):
                raise HoldfastError("ERR_LIMIT", "the same directories are linked in again and again without end")
            yield self.denoted(entry)

    def denoted(self, entry):
        """A junction to a mutable file stands for that file, under its own name."""
        if entry.kind == 3 and linked_kind(entry) in ("fw", "fr"):
            return mutable_file(self.volume, linked_cap(entry))._replace(name=entry.name)
        return entry


class Restore:
    """Writes what a walk meets into a fresh folder, and never anything elsewhere: each folder is held open meanwhile."""

    def __init__(self, walk, has_xattrs):
        self.walk, self.has_xattrs = walk, has_xattrs

    def into(self, found, folder, path, depth=0):
        for entry in found:
            self.place(entry, folder, f"{path}/{entry.name}", depth)

    def place(self, entry, folder, path, depth=0):
        try:
            if entry.kind == 2:
                os.symlink(entry.content, entry.name, dir_fd=folder)
                os.utime(entry.name, ns=(entry.mtime, entry.mtime), dir_fd=folder, follow_symlinks=False)
            elif entry.kind == 0:
                self.file(entry, folder, path)
            else:
                self.directory(entry, folder, path, depth)
        except FileExistsError:
            raise HoldfastError("ERR_ALREADY_EXISTS", f"{path}: something of this name is there") from None
        except OSError as error:
            raise HoldfastError("ERR_IO", f"{path}: {error.strerror}") from None

    def directory(self, entry, folder, path, depth):
        os.mkdir(entry.name, 0o700, dir_fd=folder)
        inner = os.open(entry.name, FOLDER_FLAGS, dir_fd=folder)
        try:
            self.into(self.walk.inside(entry, depth + 1), inner, path, depth + 1)
            self.finish(entry, inner, path)
        finally:
            os.close(inner)

    def file(self, entry, folder, path):
        file = os.open(entry.name, FILE_FLAGS, 0o600, dir_fd=folder)
        with open(file, "wb") as stream:
            for length, part in parts_of(self.walk.volume, entry):
                if part is None:
                    stream.seek(length, os.SEEK_CUR)
                else:
                    stream.write(part)
            stream.truncate()
            if stream.tell() != entry.size:
                raise bad(f"a file has {stream.tell()} bytes instead of {entry.size}")
            stream.flush()
            self.finish(entry, file, path)

    def finish(self, entry, opened, path):
        for name, value in entry.xattrs.items() if self.has_xattrs else ():
            # Others are the system's: a capability of a program, an access list, a label.
            if name.startswith("user."):
                self.xattr(opened, name, value, path)
        os.fchmod(opened, entry.mode & PLAIN_MODE)
        os.utime(opened, ns=(entry.mtime, entry.mtime))

    def xattr(self, opened, name, value, path):
        try:
            os.setxattr(opened, name, value)
        except OSError as error:
            print(shown(f"{path}: extended attribute {name} is left out: {error.strerror}"), file=sys.stderr)


def restore(volume, cap_text, dest, has_xattrs):
    """Restores a tree into the folder `dest`, or a mutable file as the file `dest`, which must not exist."""
    walk = Walk(volume)
    job = Restore(walk, has_xattrs)
    if decode_cap(cap_text)[0] in ("fw", "fr"):
        parent, name = os.path.split(os.path.abspath(dest))
        folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)  # the user's own path: its links are followed
        try:
            job.place(mutable_file(volume, cap_text)._replace(name=name), folder, dest)
        finally:
            os.close(folder)
        return
    os.makedirs(dest, 0o700)
    folder = os.open(dest, FOLDER_FLAGS)
    try:
        job.into(walk.tree(cap_text), folder, dest)
    finally:
        os.close(folder)


def linked_cap(entry):
    try:
        return entry.content[0].decode()
    except UnicodeDecodeError:
        raise HoldfastError("ERR_BAD_CAPABILITY", "the capability of a junction is not text") from None


def linked_kind(entry):
    return decode_cap(linked_cap(entry))[0]


def mutable_file(volume, cap_text):
    """The entry that a capability for a mutable file denotes."""
    for entry in entries(volume, root_of(volume, cap_text)):
        if entry.name == "content" and entry.kind == 0:
            return entry
    raise bad("a mutable file has no content")


def root_of(volume, cap_text):
    """The directory that a read capability names; None when it is empty."""
    content = volume.content(*read_keys(*decode_cap(cap_text)))
    value = checked_version(Cbor.decode(content, "tree root"), "tree root")
    _, kind, root, _time, _history, _snapshots = fields(value, 6, "tree root")
    if kind != 1:
        raise version_error("a tree root", f"1, kind {kind}")
    return None if root is None else decode_reference(root, None)


def print_entry(entry, path):
    print(f"{'-dlj'[entry.kind]}{entry.mode:04o} {entry.size:>12} {shown(path)}")


def list_directory(walk, found, prefix="", depth=0):
    for entry in found:
        path = f"{prefix}{entry.name}"
        print_entry(entry, path)
        if entry.kind == 1:
            list_directory(walk, walk.inside(entry, depth + 1), path + "/", depth + 1)


def decode_care(value, what):
    """Ids that stand in the list, and references of its segments."""
    if not isinstance(value, list) or not value or value[0] not in (1, 2):
        raise bad("a care list of a version that this reader does not know")
    if value[0] == 1:
        _, inline, segments = fields(value, 3, what)
        return inline, segments
    _, inline, segments, accounts = fields(value, 4, what)
    if not isinstance(accounts, list) or len(accounts) > 64:
        raise bad("a care list has too many accounts")
    if accounts != sorted({octets(account, 32, what) for account in accounts}):
        raise bad("the accounts of a care list are not in order")
    return inline, segments


def cared_for(volume, cap_text):
    """Ids of all chunks that a tree's care list names, and of those that hold the list."""
    what = "care list"
    inline, segments = decode_care(Cbor.decode(volume.care(*verify_keys(*decode_cap(cap_text))), what), what)
    parts = [octets(inline, None, what)]
    if len(inline) > 64 * 32 or not isinstance(segments, list) or len(segments) > 180:
        raise bad("a care list is too long")
    for segment in segments:
        reference = decode_reference(segment, None)
        yield reference[0][0]
        parts.append(volume.slice(reference))
        ids = hashes_in(parts[-1], what)
        if any(a >= b for a, b in zip(ids, ids[1:])):
            raise bad("the ids of a care list's segment are not in order")
    for part in parts:
        if len(part) % 32:
            raise bad("a care list does not hold whole ids")
        for at in range(0, len(part), 32):
            yield part[at : at + 32]


def list_chunks(volume, cap_text):
    for chunk_id in sorted(set(cared_for(volume, cap_text))):
        good, descriptor = volume.good_shares(chunk_id)
        needed = descriptor.k if descriptor else "?"
        is_whole = descriptor is None or len(good) < descriptor.k or is_codeword(good, descriptor)
        note = "" if is_whole else ", inconsistent: its parity does not follow from its data"
        print(f"{chunk_id.hex()} {len(good)} good shares, {needed} needed{note}")


# --- Grid descriptions (docs/formats/grid-description.md) ---

GRID_FIELDS = {"version", "gridId", "name", "serial", "issuedMs", "coordinator", "caPem", "coding", "registerMode", "servers"}
GRID_FIELDS_3 = {"revoked", "epoch", "gridPublicKey", "previous", "voters", "root"}
GRID_DOMAINS = {1: "holdfast/grid-description/1", 2: "holdfast/grid-description/1", 3: "holdfast/grid-description/3", 4: "holdfast/grid-description/4"}
SERVER_FIELDS = {"id", "name", "address", "capacityBytes"}
KEY_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def is_signed(signed, domain, public_key):
    if not isinstance(signed, dict) or not all(isinstance(signed.get(part), str) for part in ("payload", "signature")):
        raise bad("a signed text is not a payload and a signature")
    message = domain.encode() + b"\0" + signed["payload"].encode()
    return verified(base64.b64decode(public_key), base64.b64decode(signed["signature"]), message)


def payload_of(signed):
    try:
        value = json.loads(signed["payload"])
    except ValueError:
        raise bad("a signed text is not JSON") from None
    if isinstance(value, dict):
        return value
    raise bad("a signed text is no object")


def open_grid(signed, public_key):
    """The description inside, if the grid's key signed it and its fields are those of its version."""
    try:
        newest = json.loads(signed["payload"]).get("version")
    except (ValueError, TypeError, AttributeError, KeyError):
        newest = None
    if isinstance(newest, int) and newest > max(GRID_DOMAINS):
        raise HoldfastError("ERR_UNSUPPORTED_VERSION", f"a grid description of version {newest} is not known")
    domain = next((one for one in sorted(set(GRID_DOMAINS.values())) if is_signed(signed, one, public_key)), None)
    if domain is None:
        raise HoldfastError("ERR_CORRUPT", "a grid description is not signed by the grid's key")
    grid = payload_of(signed)
    version = grid.get("version")
    fields_of = {1: GRID_FIELDS, 2: GRID_FIELDS | {"revoked"}}.get(version, GRID_FIELDS | GRID_FIELDS_3)
    if version not in GRID_DOMAINS or fields_of != set(grid) or domain != GRID_DOMAINS[version]:
        raise bad("a grid description has not the fields of its version")
    for server in grid["servers"]:
        check_server(server, version)
    ids = list(grid.get("revoked", []))
    if version >= 3:
        if grid["gridPublicKey"] != public_key or grid["epoch"] < 1:
            raise bad("a grid description of version 3 or 4 is malformed")
        ids += [server["key"] for server in grid["servers"]] + [grid["previous"]]
    if not all(KEY_ID.fullmatch(one) for one in ids if one is not None):
        raise bad("a grid description names something that is no SHA-256")
    return grid


def check_server(server, version):
    """Refuses a server that has not the fields of its version: in version 4 it may have labels, and be a witness."""
    needed = SERVER_FIELDS | ({"key"} if version >= 3 else set())
    more = {"labels", "witness"} if version >= 4 else set()
    if not needed <= set(server) <= needed | more:
        raise bad("a server of a grid has not the fields of its version")
    check_labels(server, "a grid description")


def grid_digest(signed):
    digest = domain_hash("holdfast/grid-digest/1", signed["payload"].encode())
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def open_root(signed, public_key):
    """The statement inside, if the grid's root signed it."""
    if not is_signed(signed, "holdfast/grid-root/1", public_key):
        raise HoldfastError("ERR_CORRUPT", "a root statement is not signed by the root")
    statement = payload_of(signed)
    if statement["version"] != 1 or not statement["caFingerprints"] or statement["epoch"] < 1:
        raise bad("a root statement is malformed")
    return statement


# --- Accounts (docs/formats/account.md) ---

ROLES = ("read", "append", "repair", "collect")
NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def account_id(public_key):
    return domain_hash("holdfast/account-id/1", public_key)


def open_signed(data, count, domain, what, most):
    """The fields of a signed array of version 1; the second is the key, the last the signature."""
    if len(data) > most:
        raise HoldfastError("ERR_LIMIT", f"{what} is too long")
    value = fields(checked_version(Cbor.decode(data, what), what), count, what)
    octets(value[1], 32, what)
    octets(value[-1], 64, what)
    return value


def check_signed(data, value, domain, what):
    # All fields but the signature (2 + 64 bytes) stand there as they do in the signed array, which is one shorter.
    if not verified(value[1], value[-1], domain.encode() + b"\0" + bytes([data[0] - 1]) + data[1:-66]):
        raise HoldfastError("ERR_CORRUPT", f"{what} has a wrong signature")


def decode_grant(data):
    """(public key, epoch, device key, roles, name) of a grant whose signature fits."""
    what, domain = "account grant", "holdfast/account-grant/1"
    value = open_signed(data, 7, domain, what, 512)
    _, public_key, epoch, device, bits, name, _ = value
    integer(epoch, 1, SAFE_INTEGER, what)
    octets(device, 32, what)
    roles = [role for i, role in enumerate(ROLES) if integer(bits, 1, 15, what) >> i & 1]
    if not isinstance(name, str) or not 1 <= len(name.encode("utf-16-le")) // 2 <= 64 or NOT_IN_NAMES.search(name):
        raise bad("the name of a device cannot be shown")
    check_signed(data, value, domain, what)
    return public_key, epoch, device, roles, name


def decode_record(data):
    """(public key, epoch, grants) of a record all of whose signatures fit."""
    what, domain = "account record", "holdfast/account-record/1"
    value = open_signed(data, 5, domain, what, 256 * 516 + 256)
    _, public_key, epoch, encoded, _ = value
    integer(epoch, 1, SAFE_INTEGER, what)
    if not isinstance(encoded, list) or len(encoded) > 256:
        raise bad("an account record is not a list of grants")
    for grant in encoded:
        octets(grant, None, what)
    check_signed(data, value, domain, what)
    grants = [decode_grant(grant) for grant in encoded]
    devices = [grant[2] for grant in grants]
    if any(grant[0] != public_key or grant[1] > epoch for grant in grants):
        raise bad("a record holds a grant that is not its own")
    if any(a >= b for a, b in zip(devices, devices[1:])):
        raise bad("the grants of a record are not in order")
    return public_key, epoch, grants


def decode_account_statement(data):
    """(administrator, tenant, account, serial, drops) of a statement whose signature fits."""
    what, domain = "account statement", "holdfast/account-statement/1"
    value = open_signed(data, 7, domain, what, 1024)
    _, administrator, tenant, account, serial, drops, _ = value
    if not isinstance(tenant, str) or len(tenant.encode("utf-16-le")) // 2 > 64 or not isinstance(drops, bool):
        raise bad("an account statement has a wrong field")
    octets(account, 32, what)
    integer(serial, 1, SAFE_INTEGER, what)
    check_signed(data, value, domain, what)
    return administrator, tenant, account, serial, drops


def decode_unmark(data):
    """(public key, place, grace, chunks, registers, trims, bytes that are signed) of an order whose signature fits."""
    what = "order to unmark"
    value = fields(Cbor.decode(data, what), 8, what)
    public_key, place, token, grace, chunks, registers, trims, signature = value
    octets(public_key, 32, what)
    integer(grace, 0, SAFE_INTEGER, what)
    lists = Cbor.encode([chunks, registers, trims])
    head = Cbor.encode([public_key, place, token, grace, domain_hash("holdfast/unmark-list/1", lists)])
    signed = b"holdfast/unmark/1\0" + head
    if not verified(public_key, octets(signature, 64, what), signed):
        raise HoldfastError("ERR_CORRUPT", "an order to unmark has a wrong signature")
    return public_key, place, grace, len(chunks) // 32, len(registers) // 32, len(trims), signed


DECODE_ACCOUNT = {"grant": decode_grant, "record": decode_record, "statement": decode_account_statement, "unmark": decode_unmark}


# --- Account lists (docs/formats/account-list.md) ---

MOST_LISTED = 1024
LIST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def list_register(list_secret, storage):
    """(seed, register id) of a list on one volume or grid."""
    seed = domain_mac(list_secret, "holdfast/account-list-key/1", storage.encode())
    return seed, domain_hash("holdfast/register-id/1", public_key_of(seed))


def account_keys(seed):
    """(id, public key, collect seed, list secret) of an account."""
    collect = derive(seed, "holdfast/account-collect-key/1")
    public_key = public_key_of(collect)
    return account_id(public_key), public_key, collect, derive(seed, "holdfast/account-list-secret/1")


def device_list_secret(list_secret, device_key):
    return domain_mac(list_secret, "holdfast/account-device-list-secret/1", device_key)


def decode_account_list(data):
    """(roots, linked, kits, epoch, grants, keep, removed, revoked) of what an account cares for."""
    what = "account list"
    value = checked_version(Cbor.decode(data, what), what, (1, 3))
    _, roots, linked, kits, epoch, grants, keep, *more = fields(value, 7 if value[0] == 1 else 9, what)
    removed, revoked = more or ([], [])
    for items in (roots, linked, kits, grants, removed, revoked):
        if not isinstance(items, list) or len(items) > MOST_LISTED:
            raise bad(f"{what}: not a list of at most {MOST_LISTED}")
    for root in roots:
        name, cap, root_keep = fields(root, 3, what)
        check_list_name(name, what)
        check_cap_text(cap, what)
        check_keep(root_keep, what)
    if any(a[0] >= b[0] for a, b in zip(roots, roots[1:])):
        raise bad(f"{what}: names are not in order")
    for cap in linked:
        check_cap_text(cap, what)
    for kit in kits:
        name, register = fields(kit, 2, what)
        if not isinstance(name, str) or len(name) > 64:
            raise bad(f"{what}: no name of a kit")
        octets(register, 32, what)
    integer(epoch, 0, SAFE_INTEGER, what)
    for grant in grants:
        octets(grant, None, what)
    check_keep(keep, what)
    for key in removed:
        octets(key, 32, what)
    for device in revoked:
        device_key, until, name = fields(device, 3, what)
        octets(device_key, 32, what)
        integer(until, 1, SAFE_INTEGER, what)
        if not isinstance(name, str) or len(name) > 64:
            raise bad(f"{what}: no name of a device")
    for keys in (removed, [device[0] for device in revoked]):
        if any(a >= b for a, b in zip(keys, keys[1:])):
            raise bad(f"{what}: keys are not in order")
    if more and not removed and not revoked:
        raise bad(f"{what}: version 1 says as much")
    return roots, linked, kits, epoch, grants, keep, removed, revoked


def removed_key(text):
    """What a removed root is remembered by."""
    kind, payload = decode_cap(text)
    if kind in ("ci", "cv", "lit"):
        return domain_hash("holdfast/removed-root/1", text.encode())
    public_key = public_key_of(payload) if kind in ("dw", "fw") else payload[:32]
    return domain_hash("holdfast/removed-root/1", public_key)


def check_list_name(name, what):
    if not isinstance(name, str) or not LIST_NAME.fullmatch(name):
        raise bad(f"{what}: no name")


def check_cap_text(cap, what):
    if not isinstance(cap, str):
        raise bad(f"{what}: a capability is no text")
    decode_cap(cap)


def check_keep(keep, what):
    if keep is not None:
        integer(keep, 0, SAFE_INTEGER, what)


# --- Descriptions of volumes (docs/formats/volume.md) ---

VOLUME_FIELDS = {"version", "id", "name", "coding", "registerMode", "backends"}
VOLUME_FIELDS_2 = VOLUME_FIELDS | {"epoch", "previous", "publicKey"}
PLACE_FIELDS = {
    "s3": ({"bucket", "prefix", "region", "pathStyle", "conditionalWrites"}, {"endpoint", "profile", "credentials", "listing"}),
    "directory": ({"path"}, set()),
    "node": ({"name"}, set()),
}
PLACE_FIELDS_3 = {"labels", "witness"}
LABELS = {"provider", "site", "rack"}


def parse_volume(value):
    """The description, if it is one. Its digest names it as the one that another follows."""
    what = "description of a volume"
    if not isinstance(value, dict):
        raise bad(f"a {what} is an object")
    version = value.get("version")
    if isinstance(version, (int, float)) and not isinstance(version, bool) and version > 3:
        raise version_error(f"a {what}", version)
    integer(version, 1, 3, what)
    if set(value) != (VOLUME_FIELDS_2 if version >= 2 else VOLUME_FIELDS):
        raise bad(f"a {what} has not the fields of its version")
    matching(value["id"], r"[0-9a-f]{32}", what)
    matching(value["name"], NAME, what)
    if value["registerMode"] not in ("crash", "byzantine"):
        raise bad(f"{what}: no mode")
    if not isinstance(value["coding"], dict) or set(value["coding"]) != {"k", "happy", "n"}:
        raise bad(f"{what}: no coding")
    k, happy, n = (integer(value["coding"][part], 1, 255, what) for part in ("k", "happy", "n"))
    places = value["backends"]
    if not isinstance(places, list) or not 1 <= len(places) <= 255:
        raise bad(f"{what}: no places")
    for place in places:
        check_place(place, what, PLACE_FIELDS_3 if version == 3 else set())
    keepers = [place for place in places if "witness" not in place]
    if not k <= happy <= n <= len(keepers) or len({place["id"] for place in places}) < len(places):
        raise bad(f"{what}: its numbers or places do not fit")
    if value["registerMode"] == "byzantine" and len(places) < 4:
        raise bad(f"{what}: too few places for one to lie")
    if version >= 2:
        integer(value["epoch"], 1, 999_999, what)
        matching(value["publicKey"], r"[0-9a-f]{64}", what)
        if value["previous"] is not None:
            matching(value["previous"], r"[0-9a-f]{64}", what)
    return value


def check_place(place, what, more):
    if not isinstance(place, dict) or not isinstance(place.get("kind"), str) or place["kind"] not in PLACE_FIELDS:
        raise bad(f"{what}: no kind of place")
    needed, possible = PLACE_FIELDS[place["kind"]]
    if not needed | {"kind", "id"} <= set(place) <= needed | possible | more | {"kind", "id"}:
        raise bad(f"{what}: a place has not the fields of its kind")
    check_labels(place, what)
    matching(place["id"], r"[!-~]{1,400}", what)
    flags = {"pathStyle", "conditionalWrites"}
    for name in set(place) - {"kind", "id"} - PLACE_FIELDS_3:
        if not isinstance(place[name], bool if name in flags else str):
            raise bad(f"{what}: {name} of a place is of another type")
    if place["kind"] == "s3":
        matching(place["region"], r"[A-Za-z0-9_.-]{0,64}", what)
        matching(place.get("endpoint", "https://s3"), r"https?://[A-Za-z0-9._:\[\]-]+(?:/[A-Za-z0-9._~%/-]*)?", what)
    if place["kind"] == "directory" and not place["path"] or place.get("listing", "delayed") != "delayed":
        raise bad(f"{what}: a place cannot be used")


def check_labels(place, what):
    labels = place.get("labels", {"site": "any"})
    if not isinstance(labels, dict) or not labels or not set(labels) <= LABELS:
        raise bad(f"{what}: the labels of a place are of other kinds")
    for label in labels.values():
        matching(label, NAME, what)
    if place.get("witness", True) is not True:
        raise bad(f"{what}: a witness that is none")


def matching(value, pattern, what):
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise bad(f"{what}: a text is not as it must be")


def volume_digest(volume):
    coding = [volume["coding"][part] for part in ("k", "happy", "n")]
    ids = [place["id"] for place in volume["backends"]]
    head = [volume["id"], volume.get("epoch", 1), volume.get("publicKey", "")]
    fields = [*head, *coding, volume["registerMode"], ids]
    witnesses = [place["id"] for place in volume["backends"] if "witness" in place]
    if witnesses:
        return domain_hash("holdfast/volume-digest/2", Cbor.encode([*fields, witnesses])).hex()
    return domain_hash("holdfast/volume-digest/1", Cbor.encode(fields)).hex()


def open_move(data, volume_id, public_key):
    """(state, next description) of a statement that the volume's key signed; None for anything else."""
    if not 64 < len(data) <= 512 * 1024:
        return None
    if not verified(bytes.fromhex(public_key), data[:64], b"holdfast/volume-move/1\0" + data[64:]):
        return None
    try:
        said = json.loads(data[64:].decode())
        volume = parse_volume(said["next"])
    except (ValueError, KeyError, TypeError):
        return None
    except HoldfastError as error:
        if error.code == "ERR_UNSUPPORTED_VERSION":
            raise
        return None
    is_ours = (volume["id"], volume.get("publicKey")) == (volume_id, public_key)
    return (said["state"], volume) if is_ours and said.get("state") in ("sealed", "active") else None


# --- What lies in a bucket (docs/formats/bucket.md) ---

MOST_IN_BUCKET_LIST = 131_072


def bucket_share_key(chunk_id, index, generation=0):
    return f"shares/{chunk_id}.{index:03}" + (f".{generation:06}" if generation else "")


def parse_bucket_share(key):
    """(chunk id, index, generation), or None for what is no share."""
    match = re.fullmatch(r"shares/([0-9a-f]{64})\.([0-9]{3})(?:\.([0-9]{6}))?", key)
    if not match or int(match[2]) > 254 or match[3] == "000000":
        return None
    return match[1], int(match[2]), int(match[3] or 0)


def bucket_register_key(register, rank):
    return f"registers/{register}/{SAFE_INTEGER - rank:014x}"


def open_bucket_list(data, magic, domain, least):
    what = "list of a bucket"
    if len(data) < least + 32 or data[:3] != magic:
        raise bad(f"no {what}")
    if data[3] != 1:
        raise version_error(f"a {what}", data[3])
    if domain_hash(domain, data[:-32]) != data[-32:]:
        raise HoldfastError("ERR_CORRUPT", f"a {what} is damaged")
    return data[:-32]


def records_of(data, width):
    return [data[at : at + width] for at in range(0, len(data), width)]


def ascending(records):
    if any(a >= b for a, b in zip(records, records[1:])):
        raise bad("a list of a bucket is not in order")
    return records


def decode_bucket_marks(data):
    """(since, chunk ids, register ids) of a mark object."""
    body = open_bucket_list(data, b"HFM", "holdfast/bucket-marks/1", 20)
    since, chunks, registers = (int.from_bytes(body[a:b], "big") for a, b in ((4, 12), (12, 16), (16, 20)))
    if chunks + registers > MOST_IN_BUCKET_LIST or len(body) != 20 + 32 * (chunks + registers) or since > SAFE_INTEGER:
        raise bad("a list of a bucket has a wrong length")
    at = 20 + 32 * chunks
    return since, ascending(records_of(body[20:at], 32)), ascending(records_of(body[at:], 32))


def counted_records(data, magic, domain, width):
    body = open_bucket_list(data, magic, domain, 8)
    count = int.from_bytes(body[4:8], "big")
    if count > MOST_IN_BUCKET_LIST or len(body) != 8 + count * width:
        raise bad("a list of a bucket has a wrong length")
    return records_of(body[8:], width)


def decode_bucket_retired(data):
    """Names of mark objects that are about to go."""
    records = counted_records(data, b"HFR", "holdfast/bucket-retire/1", 16)
    return [f"{int.from_bytes(record[:8], 'big'):014}-{record[8:].hex()}" for record in records]


def decode_bucket_condemned(data):
    """Objects that are about to be deleted: ("share", id, index, generation) or ("value", id, sequence)."""
    records = ascending(counted_records(data, b"HFC", "holdfast/bucket-condemned/1", 41))
    if any(record[0] > 1 for record in records):
        raise bad("a list of a bucket names something unknown")
    number = lambda record, a, b: int.from_bytes(record[a:b], "big")
    return [
        ("value", record[1:33].hex(), number(record, 33, 41))
        if record[0]
        else ("share", record[1:33].hex(), number(record, 33, 37), number(record, 37, 41))
        for record in records
    ]


def parse_bucket_marker(text):
    """(version, volume id, epoch, grace in ms, whether it is being upgraded)."""
    first = re.fullmatch(r"([0-9a-f]{32})\n?", text)
    if first:
        return 1, first[1], 1, 86_400_000, False
    lines = r"holdfast-volume 2\nvolume ([0-9a-f]{32})\nepoch ([1-9][0-9]{0,14})\ngrace ([1-9][0-9]{0,8})\n(upgrading\n)?"
    match = re.fullmatch(lines, text)
    if not match:
        raise bad("this is no marker of a volume")
    return 2, match[1], int(match[2]), int(match[3]) * 1000, match[4] is not None


# --- Recovery kits (docs/formats/recovery-kit.md) ---

KIT_PART_BYTES = 65_536
KIT_CONTENT_BYTES = 8 * 1024 * 1024
KIT_FIELDS = ("created", "volume", "places", "convergenceSecret", "aliases", "aliasVolumes", "volumes", "seen")
KIT_FIELDS_2 = KIT_FIELDS + ("grid", "bucketKeys", "kits", "others")
KIT_RESERVED = {"version", "convergenceSecret", "aliases", "volumes", "aliasVolumes", "recoveryKits", "keyPem"}
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


def argon2id(secret, memory, passes, lanes, salt):
    if Argon2id is None:
        raise HoldfastError("ERR_UNSUPPORTED_VERSION", "argon2id needs python3-cryptography 44 or newer")
    text = unicodedata.normalize("NFC", secret).encode()
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory).derive(text)


def kit_master(secret, name):
    return argon2id(secret, 131_072, 3, 1, domain_hash("holdfast/recovery-salt/2", name.encode())[:16])


def kit_seed(master, name):
    if master is None:
        return domain_hash("holdfast/recovery-register/1", name.encode())
    return derive(master, "holdfast/recovery-register/2")


def kit_version(value, what):
    if not isinstance(value, list) or not value:
        raise bad(f"{what} is not a list of fields")
    if integer(value[0], 0, SAFE_INTEGER, what) not in (1, 2):
        raise version_error(what, value[0])
    return value[0]


def decode_kit_part(data):
    """(version, kit id, body as its five fields, index, share) of a part that fits its kit."""
    what = "part of a recovery kit"
    if len(data) > KIT_PART_BYTES:
        raise HoldfastError("ERR_LIMIT", f"a {what} is too long")
    value = Cbor.decode(data, what)
    version = kit_version(value, what)
    _, encoded, index, share = fields(value, 4, what)
    body = fields(Cbor.decode(octets(encoded, None, what), what), 5, what)
    threshold, hashes, check, protection, sealed = body
    integer(threshold, 2, 255, what)
    if not isinstance(hashes, list) or not threshold <= len(hashes) <= 255:
        raise bad(f"a {what} has a wrong number of hashes")
    for item in hashes:
        octets(item, 32, what)
    octets(check, 32, what)
    octets(sealed, None, what)
    check_protection(version, protection, what)
    integer(index, 0, len(hashes) - 1, what)
    octets(share, 33, what)
    if domain_hash("holdfast/recovery-share/1", bytes([index]) + share) != hashes[index]:
        raise HoldfastError("ERR_CORRUPT", f"a {what} has a share of another kit")
    return version, domain_hash(f"holdfast/recovery-kit-id/{version}", encoded), body, index, share


def check_protection(version, protection, what):
    if version == 2:
        integer(protection, 0, 1, what)
    elif protection is not None:
        memory, passes, lanes, salt = fields(protection, 4, what)
        octets(salt, 16, what)
        for number in (memory, passes, lanes):
            integer(number, 0, SAFE_INTEGER, what)
        if not (1 <= lanes <= 4 and 1 <= passes <= 16 and 8 * lanes <= memory <= 262_144):
            raise HoldfastError("ERR_LIMIT", f"a {what} asks for too much memory or time")


def shamir_mul(a, b):
    result = 0
    while b:
        if b & 1:
            result ^= a
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return result


def shamir_join(shares):
    """The secret of shares of 32 values and a coordinate each: the polynomials at 0."""
    secret = bytearray(32)
    for share in shares:
        factor = 1
        for other in shares:
            if other is not share:
                # a^254 is the inverse of a.
                inverse, base = 1, share[32] ^ other[32]
                for _ in range(254):
                    inverse = shamir_mul(inverse, base)
                factor = shamir_mul(factor, shamir_mul(other[32], inverse))
        for at in range(32):
            secret[at] ^= shamir_mul(share[at], factor)
    return bytes(secret)


def encode_head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    width = 1 if number < 1 << 8 else 2 if number < 1 << 16 else 4 if number < 1 << 32 else 8
    return bytes([major << 5 | 24 + width.bit_length() - 1]) + number.to_bytes(width, "big")


def encode_kit_head(body):
    """The first four fields of a body again, as they are authenticated."""

    def item(value):
        if value is None:
            return b"\xf6"
        if isinstance(value, int):
            return encode_head(0, value)
        if isinstance(value, bytes):
            return encode_head(2, len(value)) + value
        return encode_head(4, len(value)) + b"".join(map(item, value))

    return item(list(body[:4]))


def open_kit(version, body, shares, secret, name):
    """The plaintext of a kit, with length and padding."""
    threshold, _, check, protection, sealed = body
    if len(shares) < threshold:
        raise HoldfastError("ERR_NOT_ENOUGH_SHARES", f"{len(shares)} parts of a recovery kit that needs {threshold}")
    key = shamir_join(list(shares)[:threshold])
    if derive(key, "holdfast/recovery-check/1") != check:
        raise HoldfastError("ERR_CORRUPT", "the parts of a recovery kit do not fit together")
    master = b""
    if protection and secret is None:
        raise HoldfastError("ERR_LOCKED", "the recovery kit has words or a passphrase")
    if protection:
        master = kit_master(secret, name) if version == 2 else argon2id(secret, *protection)
    label = f"holdfast/recovery-kit/{version}"
    return open_sealed(derive(key + master, label), sealed, label.encode() + b"\0" + encode_kit_head(body))


def unpack_kit(plaintext):
    length = int.from_bytes(plaintext[:4], "big")
    if len(plaintext) < 4 or length > len(plaintext) - 4:
        raise bad("the content of a recovery kit is cut short")
    inflater = zlib.decompressobj(-15)
    content = inflater.decompress(plaintext[4 : 4 + length], KIT_CONTENT_BYTES)
    if not inflater.eof:
        raise HoldfastError("ERR_LIMIT", "the content of a recovery kit is too long")
    return content


def decode_kit_content(data):
    """The secrets by the names of the specification."""
    what = "content of a recovery kit"
    value = Cbor.decode(data, what)
    version = kit_version(value, what)
    names = KIT_FIELDS if version == 1 else KIT_FIELDS_2
    secrets = dict(zip(names, fields(value, len(names) + 1, what)[1:]))
    integer(secrets["created"], 0, SAFE_INTEGER, what)
    octets(secrets["convergenceSecret"], 32, what)
    kit_list(secrets["places"], str, what)
    for key in ("volume", "seen"):
        if not isinstance(secrets[key], str):
            raise bad(f"{what}: {key} is no text")
    for key in ("aliases", "aliasVolumes"):
        kit_map(secrets[key], NAME, lambda _name, item: isinstance(item, str), what)
    for cap in secrets["aliases"].values():
        decode_cap(cap)
    for volume in kit_list(secrets["volumes"], dict, what):
        volume_version = integer(volume.get("version", 1), 0, SAFE_INTEGER, what)
        if volume_version > 2:
            raise version_error("volume", volume_version)
        if volume_version == 2 and not {"epoch", "previous", "publicKey"} <= volume.keys():
            raise bad(f"{what}: a volume of version 2 without its epoch")
        if not volume.get("backends"):
            raise bad(f"{what}: a volume without places")
    if version == 2:
        check_kit_more(secrets, what)
    return secrets


def check_kit_more(secrets, what):
    if secrets["grid"] is not None:
        coordinator, fingerprint = fields(secrets["grid"], 2, what)
        octets(fingerprint, 32, what)
        if not isinstance(coordinator, str) or not re.fullmatch(r"[!-~]{1,300}", coordinator):
            raise bad(f"{what}: no address of a coordinator")
    is_key = lambda key: isinstance(key, str) and re.fullmatch(r"[!-~]{1,256}", key)
    is_pair = lambda _place, keys: isinstance(keys, list) and len(keys) == 2 and all(map(is_key, keys))
    kit_map(secrets["bucketKeys"], r"[!-~]{1,400}", is_pair, what)
    kit_map(secrets["kits"], f"{NAME}/{NAME}", lambda _kit, item: isinstance(item, bytes) and len(item) == 32, what)

    def is_other(name, item):
        low, high = (32, 32) if name == "accountSeed" else (0, 4096)
        return name not in KIT_RESERVED and isinstance(item, bytes) and low <= len(item) <= high

    kit_map(secrets["others"], "[a-z][A-Za-z0-9]{0,63}", is_other, what)


def kit_list(value, kind, what):
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise bad(f"{what}: not a list as it should be")
    return value


def kit_map(value, pattern, is_good, what):
    if not isinstance(value, dict) or not all(re.fullmatch(pattern, key) and is_good(key, item) for key, item in value.items()):
        raise bad(f"{what}: not a map as it should be")


def print_kit(folders, words, name):
    """Opens the kit that most of the places hold, the newest of several, and prints what is in it as JSON."""
    secret = words.split("\n")[0].rstrip("\r") or None
    master = kit_master(secret, name) if secret else None
    kits = {}
    for folder in folders:
        place = Volume([folder])
        for seed in {kit_seed(master, name), kit_seed(None, name)}:
            found = place.registers.get(public_key_of(seed))
            try:
                version, kit_id, body, index, share = decode_kit_part(found.sealed if found else b"")
            except HoldfastError:
                continue
            if bool(body[3]) == (secret is not None):
                kits.setdefault((version, kit_id), (body, {}))[1][index] = share
    opened = []
    for (version, _), (body, shares) in kits.items():
        try:
            secrets = decode_kit_content(unpack_kit(open_kit(version, body, shares.values(), secret, name)))
            opened.append((version, len(shares), secrets["created"], secrets))
        except HoldfastError as error:
            print(shown(f"{error.code}: {error}"), file=sys.stderr)
    if not opened:
        raise HoldfastError("ERR_NOT_FOUND", f'no recovery kit "{name}" opens with these words and places')
    print(json.dumps(max(opened, key=lambda one: one[:3])[3], indent=1, default=bytes.hex))


# --- Vectors (interop/vectors) ---


def same(actual, expected, what):
    if actual != expected:
        raise SystemExit(f"vector {what}: got {actual!r} instead of {expected!r}")


def check_vectors(path):
    vectors = json.loads(Path(path).read_text())
    name = Path(path).stem
    if name == "erasure":
        return check_erasure(vectors["good"])
    if name == "chunk-parity":
        return check_parity(vectors)
    if name.startswith("recovery-kit"):
        return check_recovery(name, vectors)
    if name.startswith("grid-description"):
        return check_grid(name, vectors)
    if name in CHECKS:
        return CHECKS[name](name, vectors)
    kind = name.split("-")[0]
    check_good = {"chunk": check_chunk, "register": check_register, "capability": check_capability, "cbor": check_text}[kind]
    decode = {"chunk": decode_share, "register": decode_register, "capability": decode_cap, "cbor": decode_text}[kind]
    for vector in vectors["good"]:
        check_good(vector)
    for vector in vectors.get("large", []):
        check_large(vector)
    for vector in vectors["bad"]:
        data = vector["text"] if "text" in vector else bytes.fromhex(vector["bytes"])
        try:
            decode(data)
        except HoldfastError as error:
            same(error.code, vector["error"], vector["name"])
        else:
            raise SystemExit(f"vector {vector['name']} was taken for good")
    for proof in vectors.get("proofs", []):
        value = next(good for good in vectors["good"] if good["hash"] == proof["value"])
        peaks, level, path = ([bytes.fromhex(item) for item in items] for items in (value["peaks"], proof["level"], proof["path"]))
        holds = proves_level(value["base"], value["sequence"], peaks, proof["sequence"], level, path)
        same(holds, proof["holds"], f"proof of level {proof['sequence']}")
    for derived in vectors.get("derived", []):
        keys = read_keys(*decode_cap(derived["write"]))
        same(b"".join(keys), decode_cap(derived["read"])[1], "read derived from write")
        same(keys[0] + derive(keys[1], "holdfast/verify-key/1"), decode_cap(derived["verify"])[1], "verify derived from write")
    print(f"{name}: {len(vectors['good'])} good and {len(vectors['bad'])} bad vectors agree")


def check_grid(name, vectors):
    public_key = vectors["gridPublicKey"]
    for vector in vectors["good"]:
        same(open_grid(vector["signed"], public_key), vector["grid"], name)
        if "digest" in vector:
            same(grid_digest(vector["signed"]), vector["digest"], "digest")
    check_refused(vectors["bad"], lambda signed: open_grid(signed, public_key))
    root = vectors.get("root", {"good": [], "bad": []})
    for vector in root["good"]:
        same(open_root(vector["signed"], root["publicKey"]), vector["statement"], "root statement")
    check_refused(root["bad"], lambda signed: open_root(signed, root["publicKey"]))
    if "epoch2" in vectors:
        grid = open_grid(vectors["epoch2"]["signed"], vectors["epoch2"]["gridPublicKey"])
        statement = open_root(grid["root"]["statement"], root["publicKey"])
        same((statement["epoch"], statement["gridPublicKey"]), (grid["epoch"], grid["gridPublicKey"]), "epoch 2")
    good, bad_ones = len(vectors["good"]) + len(root["good"]), len(vectors["bad"]) + len(root["bad"])
    print(f"{name}: {good} good and {bad_ones} bad vectors agree")


def check_refused(vectors, open_signed):
    for vector in vectors:
        try:
            open_signed(vector["signed"])
        except HoldfastError as error:
            same(error.code, vector["code"], vector["why"])
        else:
            raise SystemExit(f"vector {vector['why']} was taken for good")


def check_erasure(vectors):
    for vector in vectors:
        k, n, data = vector["k"], vector["n"], bytes.fromhex(vector["data"])
        payloads = dict(enumerate(map(bytes.fromhex, vector["payloads"])))
        slices = [payloads[index] for index in range(k)]
        for index in range(k, n):
            same(combine(coding_row(index, k), slices), payloads[index], f"{k} of {n}: payload {index}")
        last = {index: payloads[index] for index in range(n - k, n)}
        same(join_shares(last, k, len(data)), data, f"{k} of {n}: joined")
    print(f"erasure: {len(vectors)} good vectors agree")


def check_recovery(name, vectors):
    version = 2 if name.endswith("-2") else 1
    for vector in vectors["good"]:
        secret, master = vector["passphrase"], vector["master"] and bytes.fromhex(vector["master"])
        hidden = master if version == 2 else None
        same(kit_seed(hidden, vector["kitName"]).hex(), vector["registerSeed"], f"{vector['name']}: seed")
        parts = [decode_kit_part(bytes.fromhex(part)) for part in vector["parts"]]
        same({part[1].hex() for part in parts}, {vector["kitId"]}, f"{vector['name']}: kit id")
        same([part[3] for part in parts], list(range(len(parts))), f"{vector['name']}: indices")
        body, threshold = parts[0][2], vector["threshold"]
        same(body[0], threshold, f"{vector['name']}: threshold")
        for start in range(len(parts) - threshold + 1):
            key = shamir_join([part[4] for part in parts[start : start + threshold]])
            same(key.hex(), vector["key"], f"{vector['name']}: key from part {start} on")
        if secret is not None and Argon2id is None:
            print(f"{vector['name']}: not opened, argon2id needs python3-cryptography 44 or newer", file=sys.stderr)
            continue
        plaintext = open_kit(version, body, [part[4] for part in parts], secret, vector["kitName"])
        same(plaintext.hex(), vector["plaintext"], f"{vector['name']}: plaintext")
        same(unpack_kit(plaintext).hex(), vector["content"], f"{vector['name']}: content")
        decode_kit_content(bytes.fromhex(vector["content"]))
    bad_vectors = [(decode_kit_part, one) for one in vectors["badParts"]] + [(decode_kit_content, one) for one in vectors["badContents"]]
    for decode, vector in bad_vectors:
        # There was no version 2 of kits or volumes when those of version 1 were made.
        expected = "ERR_BAD_FORMAT" if vector["name"] in ("version 2", "a volume of version 2") else vector["error"]
        try:
            decode(bytes.fromhex(vector["bytes"]))
        except HoldfastError as error:
            same(error.code, expected, vector["name"])
        else:
            raise SystemExit(f"vector {vector['name']} was taken for good")
    print(f"{name}: {len(vectors['good'])} good and {len(bad_vectors)} bad vectors agree")


def check_accounts(_name, vectors):
    for vector in vectors["good"]:
        said = vector["fields"]
        found = DECODE_ACCOUNT[vector["kind"]](bytes.fromhex(vector["bytes"]))
        same(found[0].hex(), vector["publicKey"], vector["name"])
        same(account_id(found[0]).hex(), vector["account"], vector["name"])
        if vector["kind"] == "grant":
            expected = (said["epoch"], bytes.fromhex(said["deviceKey"]), said["roles"].split(), said["deviceName"])
        elif vector["kind"] == "record":
            found, expected = (found[0], found[1], len(found[2])), (said["epoch"], said["grants"])
        elif vector["kind"] == "statement":
            expected = (said["tenant"], bytes.fromhex(said["about"]), said["serial"], said["drops"] == "true")
        else:
            counts = (said["chunks"], said["registers"], said["trims"])
            expected = (said["place"], said["graceMs"], *counts, bytes.fromhex(said["signed"]))
        same(found[1:], expected, vector["name"])
    for vector in vectors["bad"]:
        try:
            DECODE_ACCOUNT[vector["kind"]](bytes.fromhex(vector["bytes"]))
        except HoldfastError as error:
            same(error.code, vector["error"], vector["name"])
        else:
            raise SystemExit(f"vector {vector['name']} was taken for good")
    print(f"account: {len(vectors['good'])} good and {len(vectors['bad'])} bad vectors agree")


def refuses(decode, data, code, what):
    try:
        decode(data)
    except HoldfastError as error:
        same(error.code, code, what)
    else:
        raise SystemExit(f"vector {what} was taken for good")


def check_account_lists(name, vectors):
    for vector in vectors["good"]:
        encoded = bytes.fromhex(vector["encoded"])
        roots, linked, kits, epoch, grants, keep, removed, revoked = decode_account_list(encoded)
        kits, grants = [[kit, register.hex()] for kit, register in kits], [grant.hex() for grant in grants]
        found = {"roots": roots, "linked": linked, "kits": kits, "epoch": epoch, "grants": grants, "keepMs": keep}
        if "removed" in vector:
            found["removed"] = [key.hex() for key in removed]
            found["revoked"] = [[device.hex(), until, label] for device, until, label in revoked]
        same(found, {key: value for key, value in vector.items() if key != "encoded"}, "account list")
        same(Cbor.encode(Cbor.decode(encoded, name)), encoded, "encoding of an account list")
    for vector in vectors["bad"]:
        refuses(decode_account_list, bytes.fromhex(vector["encoded"]), vector["error"], vector["encoded"])
    for one in vectors.get("removedKeys", []):
        same(removed_key(one["cap"]).hex(), one["key"], "removed key")
    for keys in vectors.get("keys", []):
        found = account_keys(bytes.fromhex(keys["accountSeed"]))
        expected = [keys[part] for part in ("id", "publicKey", "collectSeed", "listSecret")]
        same([part.hex() for part in found], expected, "keys of an account")
        device = device_list_secret(found[3], bytes.fromhex(keys["deviceKey"]))
        same(device.hex(), keys["deviceListSecret"], "list secret of a device")
        for secret, lists in ((found[3], keys["lists"]), (device, keys["deviceLists"])):
            for one in lists:
                seed, register = list_register(secret, one["storage"])
                same((seed.hex(), register.hex()), (one["seed"], one["register"]), f"list on {one['storage']}")
    keys = len(vectors.get("keys", [])) + len(vectors.get("removedKeys", []))
    print(f"{name}: {len(vectors['good']) + keys} good and {len(vectors['bad'])} bad vectors agree")


def check_volumes(name, vectors):
    for vector in vectors["good"]:
        parse_volume(vector)
    for vector in vectors["bad"]:
        refuses(parse_volume, vector["value"], vector["error"], vector["name"])
    for volume, digest in zip(vectors["good"], vectors.get("digests", [])):
        same(volume_digest(volume), digest, "digest of a volume")
    moves = vectors.get("moves", {"good": [], "ignored": []})
    for vector in moves["good"]:
        state, volume = open_move(bytes.fromhex(vector["bytes"]), vectors["good"][0]["id"], vectors["good"][0]["publicKey"])
        same((state, volume["epoch"]), (vector["state"], vector["epoch"]), "statement of a move")
    for vector in moves["ignored"]:
        found = open_move(bytes.fromhex(vector["bytes"]), vectors["good"][0]["id"], vectors["good"][0]["publicKey"])
        same(found, None, vector["name"])
    good, wrong = len(vectors["good"]) + len(moves["good"]), len(vectors["bad"]) + len(moves["ignored"])
    print(f"{name}: {good} good and {wrong} bad vectors agree")


def check_bucket(name, vectors):
    for share in vectors["shares"]:
        fields_of = (share["id"], share["index"], share.get("generation", 0))
        same(bucket_share_key(*fields_of), share["key"], "key of a share")
        same(parse_bucket_share(share["key"]), fields_of, "share of a key")
    for key in vectors["notShares"]:
        same(parse_bucket_share(key), None, key)
    for value in vectors.get("registers", []):
        same(bucket_register_key(value["id"], value["sequence"]), value["key"], "key of a value")
    if name == "bucket-2":
        check_bucket_lists(vectors)
    wrong = len(vectors["notShares"]) + len(vectors.get("badMarks", []))
    good = len(vectors["shares"]) + len(vectors.get("registers", [])) + len(vectors.get("markers", []))
    print(f"{name}: {good} good and {wrong} bad vectors agree")


def check_bucket_dropped(name, vectors):
    """The word that an account is dropped: a list of no retired marks under a key of its own."""
    same(vectors["key"], f"marks/{vectors['account']}/!dropped", "key of a drop")
    same(decode_bucket_retired(bytes.fromhex(vectors["bytes"])), [], "the word of a drop")
    print(f"{name}: 1 good vector agrees")


def check_bucket_lists(vectors):
    marks = vectors["marks"]
    since, chunks, registers = decode_bucket_marks(bytes.fromhex(marks["bytes"]))
    found = (since, [one.hex() for one in chunks], [one.hex() for one in registers])
    same(found, (marks["sinceMs"], marks["chunks"], marks["registers"]), "marks")
    same(decode_bucket_retired(bytes.fromhex(vectors["retired"]["bytes"])), vectors["retired"]["names"], "retired marks")
    condemned = [tuple(one.values()) for one in vectors["condemned"]["objects"]]
    same(decode_bucket_condemned(bytes.fromhex(vectors["condemned"]["bytes"])), condemned, "condemned objects")
    keys, account = vectors["keys"], vectors["keys"]["account"]
    same(keys["mark"].rsplit("/", 1), [f"marks/{account}", vectors["retired"]["names"][0]], "key of marks")
    for key, pattern in (("retire", f"marks/{account}/!retire-[0-9a-f]{{32}}"), ("condemned", "fence/condemned-[0-9a-f]{16}")):
        same(bool(re.fullmatch(pattern, keys[key])), True, f"key: {key}")
    for marker in vectors["markers"]:
        expected = tuple(marker[part] for part in ("version", "volumeId", "epoch", "graceMs", "isUpgrading"))
        same(parse_bucket_marker(marker["text"]), expected, "marker")
    for vector in vectors["badMarks"]:
        refuses(decode_bucket_marks, bytes.fromhex(vector["bytes"]), vector["error"], vector["why"])


class Nodes:
    """The chunks of a vector, each under its key."""

    def __init__(self, chunks):
        self.chunks = {(bytes.fromhex(one["id"]), bytes.fromhex(one["key"])): bytes.fromhex(one["plaintext"]) for one in chunks}

    def slice(self, reference):
        chunk, offset, length = reference
        return self.chunks[chunk][offset : offset + length]


def check_trees(name, vectors):
    def read(vector):
        root = decode_reference(Cbor.decode(bytes.fromhex(vector["root"]), "reference"), None)
        nodes = Nodes(vector["chunks"])
        if vector["kind"] == "directory":
            return [entry.name for entry in entries(nodes, root)]
        return sum(length for length, _ in pieces(nodes, root, vector["size"]))

    def content(vector):
        root = decode_reference(Cbor.decode(bytes.fromhex(vector["root"]), "reference"), None)
        nodes = Nodes(vector["chunks"])
        parts = [nodes.slice(at) if at else bytes(length) for length, at in pieces(nodes, root, vector["size"])]
        return b"".join(parts).hex()

    for vector in vectors["good"]:
        same(read(vector), vector["names"] if vector["kind"] == "directory" else vector["size"], vector["name"])
        if "content" in vector:
            same(content(vector), vector["content"], vector["name"])
    for vector in vectors["bad"]:
        refuses(read, vector, vector["error"], vector["name"])
    print(f"{name}: {len(vectors['good'])} good and {len(vectors['bad'])} bad vectors agree")


def check_signatures(name, vectors):
    for vector in vectors["signatures"]:
        key, message, signature = (bytes.fromhex(vector[part]) for part in ("publicKey", "message", "signature"))
        same(verified(key, signature, message), vector["accepted"], vector["name"])
    print(f"{name}: {len(vectors['signatures'])} vectors agree")


def transport_events(side, data):
    """What one side of a connection sends (docs/protocols/storage-transport.md); pieces of one body are joined."""
    types = {1: "request", 2: "data", 4: "cancel"} if side == "client" else {2: "data", 3: "answer", 4: "cancel", 5: "goaway"}
    events, at = [], 0
    while len(data) - at >= 8:
        kind, length, number = types.get(data[at]), int.from_bytes(data[at + 1 : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big")
        if kind is None or (number == 0) != (kind == "goaway"):
            raise bad("a frame has an unknown type or a wrong request number")
        if length > (262144 if kind == "data" else 16384):
            raise HoldfastError("ERR_LIMIT", "a frame is too long")
        if (length == 0) != (kind == "cancel"):
            raise bad("a frame has a wrong length")
        payload, at = data[at + 8 : at + 8 + length], at + 8 + length
        if kind == "data" and events and events[-1]["type"] == "data" and events[-1]["id"] == number:
            events[-1]["bytes"] += payload.hex()
        elif kind == "data":
            events.append({"type": kind, "id": number, "bytes": payload.hex()})
        elif kind == "cancel":
            events.append({"type": kind, "id": number})
        elif len(payload) == length:
            events.append(transport_fields(kind, number, Cbor.decode(payload, "frame")))
    return events


def transport_fields(kind, number, value):
    if kind == "goaway":
        if not isinstance(value, str) or len(value) > 64:
            raise bad("a goaway has no reason")
        return {"type": kind, "reason": value}
    name = re.compile(r"[a-z][a-z/-]{0,63}")
    first, headers, length = fields(value, 3, "a frame")
    is_number = lambda one, least, most: type(one) is int and least <= one <= most
    if not (is_number(first, 100, 599) if kind == "answer" else isinstance(first, str) and name.fullmatch(first)):
        raise bad("a frame has no endpoint or status")
    if not isinstance(headers, dict) or len(headers) > 32 or not all(name.fullmatch(key) and isinstance(text, str) for key, text in headers.items()):
        raise bad("a frame has headers that are none")
    if not is_number(length, 0, 2**40):
        raise bad("a body has no length")
    return {"type": kind, "id": number, "head": {"status" if kind == "answer" else "endpoint": first, "headers": headers, "bodyBytes": length}}


def check_transport(name, vectors):
    for vector in vectors["good"]:
        same(transport_events(vector["from"], bytes.fromhex(vector["bytes"])), vector["events"], vector["name"])
    for vector in vectors["bad"]:
        refuses(lambda data: transport_events(vector["from"], data), bytes.fromhex(vector["bytes"]), vector["error"], vector["name"])
    print(f"{name}: {len(vectors['good'])} good and {len(vectors['bad'])} bad vectors agree")


CHECKS = {
    "account": check_accounts,
    "account-list": check_account_lists,
    "account-list-3": check_account_lists,
    "bucket": check_bucket,
    "bucket-dropped": check_bucket_dropped,
    "bucket-2": check_bucket,
    "signature": check_signatures,
    "transport": check_transport,
    "tree": check_trees,
    "tree-patched": check_trees,
    "volume": check_volumes,
    "volume-2": check_volumes,
    "volume-3": check_volumes,
    "volume-hosts": check_volumes,
}


def check_chunk(vector):
    plaintext, key = bytes.fromhex(vector["plaintext"]), bytes.fromhex(vector["key"])
    secret = bytes.fromhex(vector["convergenceSecret"])
    shares = {}
    for share in vector["shares"]:
        chunk_id, descriptor, index, payload = decode_share(bytes.fromhex(share))
        same(chunk_id.hex(), vector["id"], "chunk id")
        shares[index] = payload
    derived = domain_mac(secret, f"holdfast/convergent-key/{descriptor.version}", hashlib.sha256(plaintext).digest())
    same(derived, key, "key")
    padded = plaintext.ljust(vector["paddedBytes"], b"\0")
    for start in range(vector["n"]):
        chosen = {(start + i) % vector["n"]: shares[(start + i) % vector["n"]] for i in range(descriptor.k)}
        same(open_chunk(chosen, descriptor, key), padded, f"{vector['name']} from shares {sorted(chosen)}")


def check_large(vector):
    """Makes a large chunk anew from its description, reads its ranges, and each through the other shares too."""
    name, key, k, size = vector["name"], bytes.fromhex(vector["key"]), vector["k"], vector["plaintextBytes"]
    encoded = bytes.fromhex(vector["descriptor"])
    descriptor = decode_descriptor(encoded, 2)
    same(chunk_id_of(2, encoded).hex(), vector["id"], f"{name}: id")
    check_key(descriptor, key)
    plaintext = bytes((i * 31 + (i >> 8)) & 255 for i in range(size)).ljust(descriptor.length - 16, b"\0")
    ciphertext = AESGCM(key).encrypt(ZERO_NONCE, plaintext, b"holdfast/chunk/2\0")
    slice_bytes = -(-descriptor.length // k)
    padded = ciphertext.ljust(k * slice_bytes, b"\0")
    payloads = [padded[i * slice_bytes : (i + 1) * slice_bytes] for i in range(k)]
    payloads += [combine(coding_row(index, k), payloads) for index in range(k, vector["n"])]
    leaves = [leaves_of(payload) for payload in payloads]
    for index, payload in enumerate(payloads):
        section = b"".join(leaf for owner in carried_leaves(descriptor, index) for leaf in leaves[owner])
        share = b"HFS\x02" + bytes([index]) + len(encoded).to_bytes(2, "big") + encoded + section + payload
        same(hashlib.sha256(share).hexdigest(), vector["shareHashes"][index], f"{name}: share {index}")
        same(decode_share(share)[2], index, f"{name}: share {index}")

    def others(index, number):
        held = [i for i in range(vector["n"]) if i != index][:k]
        cut = {i: payloads[i][number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES] for i in held}
        return data_slices(cut, k)[index], leaves[index]

    def own(index, number):
        return payloads[index][number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES], leaves[index]

    for part in vector["ranges"]:
        offset, length = part["offset"], part["length"]
        same(leaves[part["slice"]][part["block"]].hex(), part["leaf"], f"{name}: leaf of {offset}")
        for block in (own, others) if vector["n"] > k else (own,):
            found = open_range(descriptor, key, offset, length, block)
            same(hashlib.sha256(found).hexdigest(), part["hash"], f"{name}: range from {offset}")


def check_parity(vectors):
    for vector in vectors["good"] + vectors["bad"]:
        name, key, shares = vector["name"], bytes.fromhex(vector["key"]), {}
        for share in vector["shares"]:
            chunk_id, descriptor, index, payload = decode_share(bytes.fromhex(share))
            same(chunk_id.hex(), vector["id"], f"{name}: chunk id")
            shares[index] = payload
        same(is_codeword(shares, descriptor), "error" not in vector, f"{name}: follows from its data")
        for indices in vector["opens"] + vector["refused"]:
            try:
                found = open_chunk({index: shares[index] for index in indices}, descriptor, key).hex()
            except HoldfastError as error:
                found = error.code
            expected = vector["plaintext"] if indices in vector["opens"] else vector["error"]
            same(found, expected, f"{name}: from {indices}")
    print(f"chunk-parity: {len(vectors['good'])} good and {len(vectors['bad'])} bad vectors agree")


def check_register(vector):
    data = bytes.fromhex(vector["value"])
    register = decode_register(data)
    same((register.epoch, register.sequence), (vector.get("epoch", 0), vector["sequence"]), "epoch and sequence")
    same(domain_hash("holdfast/register-id/1", register.public_key).hex(), vector["id"], "register id")
    same(domain_hash("holdfast/register-hash/1", data).hex(), vector["hash"], "hash")
    read_key = bytes.fromhex(vector["readKey"])
    same(derive(bytes.fromhex(vector["seed"]), "holdfast/read-key/1"), read_key, "read key")
    verify_key = bytes.fromhex(vector["verifyKey"])
    same(derive(read_key, "holdfast/verify-key/1"), verify_key, "verify key")
    content, author = register_content(register, read_key)
    same(content.hex(), vector["content"], "content")
    same(register_care(register, verify_key).hex(), vector["careContent"], "care")
    if register.version == 4:
        expected = vector["author"]
        same(author and (author[0].hex(), author[1].hex(), author[2]), expected and tuple(expected.values()), "author")
        same([item.hex() for item in register.bound.follows], vector["follows"], "followed values")


def decode_text(data):
    return Cbor.decode(data, "text")


def check_text(vector):
    same(decode_text(bytes.fromhex(vector["bytes"])), vector["text"], vector["name"])


def check_capability(vector):
    kind, payload = decode_cap(vector["text"])
    values = {name: value for name, value in vector["fields"].items() if name != "kind"}
    same((kind, payload.hex()), (vector["fields"]["kind"], "".join(values.values())), vector["name"])


class Parser(argparse.ArgumentParser):
    """What was typed may be a secret, and is not repeated."""

    def error(self, message):
        self.exit(2, f"{self.format_usage()}{shown(message)}\n")


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("ls", "restore", "chunks"):
        command = commands.add_parser(name)
        command.add_argument("--data", action="append", required=True, help="folder with shares and registers")
        command.add_argument("--cap-file", help="file with the capability; standard input if absent")
        if name == "restore":
            command.add_argument("--xattrs", action="store_true", help="restore extended attributes whose names begin with user.")
            command.add_argument("dest", help="folder to restore into; made, must not exist")
    kit = commands.add_parser("kit")
    kit.add_argument("--data", action="append", required=True, help="folder with what one place holds")
    kit.add_argument("--words-file", help="file with words or passphrase; standard input if absent")
    kit.add_argument("--name", default="main", help="name of the kit")
    commands.add_parser("vectors").add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.command == "vectors":
        for path in options.files:
            check_vectors(path)
        return
    if options.command == "kit":
        print_kit(options.data, read_secret(options.words_file), options.name)
        return
    cap = read_secret(options.cap_file)
    volume = Volume(options.data)
    if options.command == "chunks":
        list_chunks(volume, cap)
        return
    if options.command == "restore":
        restore(volume, cap, options.dest, options.xattrs)
    elif decode_cap(cap)[0] in ("fw", "fr"):
        print_entry(mutable_file(volume, cap), "content")
    else:
        walk = Walk(volume)
        list_directory(walk, walk.tree(cap))


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # names may not fit the terminal's encoding
    try:
        main()
    except HoldfastError as error:
        sys.exit(shown(f"{error.code}: {error}"))
    except OSError as error:
        sys.exit(shown(f"ERR_IO: {error}"))

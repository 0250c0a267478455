#!/usr/bin/env python3
"""An independent reader of Holdfast's formats: restores a tree from raw shares, registers and a read capability, and
tells the health of its chunks with a verify capability.

Written from docs/formats/, with Python's standard library and python3-cryptography only, so that data outlives its program.
Any file that begins with "HFS" and 1 or 2 is taken for a share, any that decodes as one for a register value, and the database of a
storage node's folder is looked into for both. The capability comes from a file or standard input, never from the command line.

  holdfast_reader.py ls      --data DIR [--data DIR ...] [--cap-file FILE]
  holdfast_reader.py restore --data DIR [--data DIR ...] [--cap-file FILE] DEST
  holdfast_reader.py chunks  --data DIR [--data DIR ...] [--cap-file FILE]
  holdfast_reader.py vectors FILE...
"""
import argparse
import hashlib
import hmac
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK_BYTES = 4 * 1024 * 1024
SHARE_BYTES = CHUNK_BYTES + 16 + 24 * 1024
BLOCK_BYTES = 65536
REGISTER_BYTES = 81 * 1024
SEALED_BYTES = 64 * 1024 + 48
CARE_BYTES = 16 * 1024 + 48
NODE_BYTES = 1024 * 1024
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


def checked_version(value, what):
    if not isinstance(value, list) or not value:
        raise bad(f"{what} is not a list of fields")
    if integer(value[0], 0, SAFE_INTEGER, what) != 1:
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

CONTENT_LABEL, CARE_LABEL = "holdfast/register-content/1", "holdfast/register-care/1"


def verified(public_key, signature, message):
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


def decode_register(data):
    """(public key, sequence, sealed, care) of a value whose signature fits."""
    what = "register value"
    if len(data) > REGISTER_BYTES:
        raise HoldfastError("ERR_LIMIT", "a register value is too long")
    value = Cbor.decode(data, what)
    has_lineage = isinstance(value, list) and value[:1] == [3]
    if has_lineage:
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
    if len(octets(care, None, what)) > CARE_BYTES:
        raise bad("a register's care is too long")
    # All fields but the signature (2 + 64 bytes) stand there as they do in the signed array, which is one shorter.
    body = bytes([data[0] - 1]) + data[1:-66]
    domain = b"holdfast/register-value/3\0" if has_lineage else b"holdfast/register-value/1\0"
    if not verified(public_key, signature, domain + body):
        raise HoldfastError("ERR_CORRUPT", "a register value has a wrong signature")
    return public_key, sequence, sealed, care


def open_register(label, public_key, secret, sequence, sealed):
    """What is sealed as the content (with the read key) or as the care (with the verify key) of a value."""
    key = derive(secret, label, sealed[:32])
    return open_sealed(key, sealed[32:], label.encode() + b"\0" + public_key + sequence.to_bytes(8, "big"))


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
        self.databases = {}
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
        elif head[:2] in (b"\x87\x01", b"\x87\x03") and path.stat().st_size <= REGISTER_BYTES:
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
            public_key, sequence, sealed, care = decode_register(data)
        except HoldfastError:
            return
        if sequence > self.registers.get(public_key, (0,))[0]:
            self.registers[public_key] = (sequence, sealed, care)

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
        """Plaintext of a chunk, with its padding; the last few are kept."""
        if chunk_id in self.cache:
            return self.cache[chunk_id]
        good, descriptor = self.good_shares(chunk_id, 0)
        if descriptor is None or len(good) < descriptor.k:
            raise HoldfastError("ERR_NOT_ENOUGH_SHARES", f"chunk {chunk_id.hex()}: only {len(good)} good shares found")
        try:
            plaintext = open_chunk(good, descriptor, key)
        except HoldfastError as error:
            raise HoldfastError(error.code, f"chunk {chunk_id.hex()}: {error}") from None
        while len(self.cache) >= 8:
            self.cache.pop(next(iter(self.cache)))
        self.cache[chunk_id] = plaintext
        return plaintext

    def load(self, place):
        if isinstance(place, Path):
            return place.read_bytes()
        database, row = place
        found = database.execute("SELECT bytes FROM small WHERE row = ?", (row,)).fetchone()
        return bytes(found[0]) if found else b""

    def content(self, public_key, read_key):
        sequence, sealed, _care = self.register(public_key)
        return open_register(CONTENT_LABEL, public_key, read_key, sequence, sealed)

    def care(self, public_key, verify_key):
        sequence, _sealed, care = self.register(public_key)
        return open_register(CARE_LABEL, public_key, verify_key, sequence, care)

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


def load_node(volume, reference, what):
    """The two fields after the version, level and items, of a directory or manifest node."""
    if reference[2] > NODE_BYTES:
        raise HoldfastError("ERR_LIMIT", f"a {what} is too long")
    value = checked_version(Cbor.decode(volume.slice(reference), what), what)
    _, level, items = fields(value, 3, what)
    integer(level, 0, 24, what)
    if not isinstance(items, list) or not items:
        raise bad(f"a {what} is empty")
    return level, items


def entries(volume, reference, expected=None):
    """All entries of a directory, in order, each with where its node lies, for self references."""
    if reference is None:
        return
    level, items = load_node(volume, reference, "directory node")
    if expected not in (None, level):
        raise bad("a directory node is at the wrong level")
    before = b""
    for item in items:
        fields(item, 10 if level == 0 else 3, "directory node")
        name = check_name(item[0]).encode()
        if name <= before:
            raise bad("a directory's names are not in order")
        before = name
        if level == 0:
            yield item, reference
        else:
            yield from entries(volume, decode_reference(item[1], reference), level - 1)


def pieces(volume, reference, expected=None):
    """(length, reference or None for a hole) of each piece of a file."""
    level, items = load_node(volume, reference, "file manifest")
    if expected not in (None, level):
        raise bad("a manifest node is at the wrong level")
    for item in items:
        length, target = fields(item, 2, "file manifest")
        integer(length, 1, SAFE_INTEGER, "file manifest")
        target = None if target is None else decode_reference(target, reference)
        if level > 0:
            yield from pieces(volume, target, level - 1)
        elif target is not None and target[2] != length:
            raise bad("a piece of a file has two lengths")
        else:
            yield length, target


def write_file(volume, path, size, content, holder):
    with open(path, "xb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            form, target = fields(content, 2, "file content")
            reference = decode_reference(target, holder)
            parts = [(size, reference)] if integer(form, 1, 2, "file content") == 1 else pieces(volume, reference)
            for length, part in parts:
                if part is None:
                    file.seek(length, os.SEEK_CUR)
                else:
                    file.write(volume.slice(part))
            file.truncate()
        if file.tell() != size:
            raise bad(f"a file has {file.tell()} bytes instead of {size}")


def restore_directory(volume, reference, target, depth=0):
    if depth > MAX_DEPTH:
        raise bad("a tree is too deep")
    for entry, holder in entries(volume, reference):
        restore_entry(volume, entry, holder, os.path.join(target, entry[0]), depth)


def restore_entry(volume, entry, holder, path, depth=0):
    if entry[1] == 3 and linked_kind(entry) in ("fw", "fr"):
        entry, holder = mutable_file(volume, linked_cap(entry))
    _, kind, mode, _uid, _gid, mtime, _ctime, size, xattrs, content = entry
    integer(kind, 0, 3, "entry")
    integer(mode, 0, 0o7777, "entry")
    if kind == 2:
        os.symlink(content, path)
    elif kind == 0:
        write_file(volume, path, integer(size, 0, SAFE_INTEGER, "entry"), content, holder)
    else:
        os.mkdir(path)
        if kind == 1:
            inner = None if content is None else decode_reference(content, holder)
        else:
            inner = root_of(volume, linked_cap(entry))
        restore_directory(volume, inner, path, depth + 1)
    for name, value in (xattrs or {}).items():
        try:
            os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            print(f"{path}: extended attribute {name} is left out: {error.strerror}", file=sys.stderr)
    if kind != 2:
        os.chmod(path, mode)
    os.utime(path, ns=(mtime, mtime), follow_symlinks=False)


def linked_cap(entry):
    return octets(fields(entry[9], 2, "junction")[0], None, "junction").decode()


def linked_kind(entry):
    return decode_cap(linked_cap(entry))[0]


def mutable_file(volume, cap_text):
    """The entry that a capability for a mutable file denotes, and the chunk that self references in it mean."""
    for entry, holder in entries(volume, root_of(volume, cap_text)):
        if entry[0] == "content" and entry[1] == 0:
            return entry, holder
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
    print(f"{'-dlj'[integer(entry[1], 0, 3, 'entry')]}{entry[2]:04o} {entry[7]:>12} {path}")


def list_directory(volume, reference, prefix="", depth=0):
    if depth > MAX_DEPTH:
        raise bad("a tree is too deep")
    for entry, holder in entries(volume, reference):
        path = f"{prefix}{entry[0]}"
        print_entry(entry, path)
        if entry[1] == 1 and entry[9] is not None:
            list_directory(volume, decode_reference(entry[9], holder), path + "/", depth + 1)


def cared_for(volume, cap_text):
    """Ids of all chunks that a tree's care list names, and of those that hold the list."""
    what = "care list"
    value = checked_version(Cbor.decode(volume.care(*verify_keys(*decode_cap(cap_text))), what), what)
    _, inline, segments = fields(value, 3, what)
    parts = [octets(inline, None, what)]
    if len(inline) > 64 * 32 or not isinstance(segments, list) or len(segments) > 180:
        raise bad("a care list is too long")
    for segment in segments:
        reference = decode_reference(segment, None)
        yield reference[0][0]
        parts.append(volume.slice(reference))
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
    kind = name.split("-")[0]
    check_good = {"chunk": check_chunk, "register": check_register, "capability": check_capability}[kind]
    decode = {"chunk": decode_share, "register": decode_register, "capability": decode_cap}[kind]
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
    for derived in vectors.get("derived", []):
        keys = read_keys(*decode_cap(derived["write"]))
        same(b"".join(keys), decode_cap(derived["read"])[1], "read derived from write")
        same(keys[0] + derive(keys[1], "holdfast/verify-key/1"), decode_cap(derived["verify"])[1], "verify derived from write")
    print(f"{name}: {len(vectors['good'])} good and {len(vectors['bad'])} bad vectors agree")


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
    public_key, sequence, sealed, care = decode_register(data)
    same(sequence, vector["sequence"], "sequence")
    same(domain_hash("holdfast/register-id/1", public_key).hex(), vector["id"], "register id")
    same(domain_hash("holdfast/register-hash/1", data).hex(), vector["hash"], "hash")
    read_key = bytes.fromhex(vector["readKey"])
    same(derive(bytes.fromhex(vector["seed"]), "holdfast/read-key/1"), read_key, "read key")
    verify_key = bytes.fromhex(vector["verifyKey"])
    same(derive(read_key, "holdfast/verify-key/1"), verify_key, "verify key")
    same(open_register(CONTENT_LABEL, public_key, read_key, sequence, sealed).hex(), vector["content"], "content")
    same(open_register(CARE_LABEL, public_key, verify_key, sequence, care).hex(), vector["careContent"], "care")


def check_capability(vector):
    kind, payload = decode_cap(vector["text"])
    values = {name: value for name, value in vector["fields"].items() if name != "kind"}
    same((kind, payload.hex()), (vector["fields"]["kind"], "".join(values.values())), vector["name"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("ls", "restore", "chunks"):
        command = commands.add_parser(name)
        command.add_argument("--data", action="append", required=True, help="folder with shares and registers")
        command.add_argument("--cap-file", help="file with the capability; standard input if absent")
        if name == "restore":
            command.add_argument("dest", help="folder to restore into; made, must not exist")
    commands.add_parser("vectors").add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.command == "vectors":
        for path in options.files:
            check_vectors(path)
        return
    cap = Path(options.cap_file).read_text() if options.cap_file else sys.stdin.read()
    volume = Volume(options.data)
    if options.command == "chunks":
        list_chunks(volume, cap)
        return
    if decode_cap(cap)[0] in ("fw", "fr"):
        entry, holder = mutable_file(volume, cap)
        if options.command == "ls":
            print_entry(entry, entry[0])
        else:
            restore_entry(volume, entry, holder, options.dest)
        return
    root = root_of(volume, cap)
    if options.command == "ls":
        list_directory(volume, root)
    else:
        os.makedirs(options.dest)
        restore_directory(volume, root, options.dest)


if __name__ == "__main__":
    try:
        main()
    except HoldfastError as error:
        sys.exit(f"{error.code}: {error}")

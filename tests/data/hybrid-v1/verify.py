#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reads the connections in this folder with another implementation of everything (python3-cryptography; mlkem768.py).

Written from plugins/cipher-hybrid/doc/hybrid-v1.md alone; shares no code with the cipher. Exits with 77 (skipped) where
the library is missing.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import sys

import mlkem768

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
except ImportError:
    print("skipped: python3-cryptography is not installed")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
AEADS = {1: AESGCM, 2: ChaCha20Poly1305}


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, count):
        assert len(self.data) >= count, "cut short"
        head, self.data = self.data[:count], self.data[count:]
        return head

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def field(self):
        return self.take(self.u16())

    def list(self):
        return [self.u16() for _ in range(self.u8())]

    def end(self):
        assert not self.data, "bytes left over"


def field(data):
    return struct.pack(">H", len(data)) + data


def body(message, kind):
    reader = Reader(message)
    assert reader.u8() == kind
    content = reader.field()
    reader.end()
    return content


def extract(salt, secret):
    return hmac.new(salt, secret, hashlib.sha256).digest()


def expand(key, info):  # one block is all that is ever needed
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()


def public_key(blob):
    kind = Reader(blob[4:]).take(struct.unpack(">I", blob[:4])[0])
    line = kind + b" " + base64.b64encode(blob)
    return serialization.load_ssh_public_key(line)


def check_signature(blob, label, digest, signature):
    key, text = public_key(blob), label + b"\0" + digest
    if isinstance(key, rsa.RSAPublicKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        key.verify(signature, text, pss, hashes.SHA256())
    else:
        key.verify(signature, text)


def private_key(name):
    return serialization.load_pem_private_key((HERE.parent / "keys" / (name + ".pem")).read_bytes(), None)


def own_blob(name):
    line = private_key(name).public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def seeded(seed, count):
    blocks = (hashlib.sha256(seed.encode() + struct.pack(">Q", i)).digest() for i in range(count // 32 + 1))
    return b"".join(blocks)[:count]


def x25519_secret(vector, public_key, ciphertext):
    own = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["responder_x25519_secret"]))
    raw = own.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert raw == public_key
    return own.exchange(X25519PublicKey.from_public_bytes(ciphertext))


def mlkem_secret(vector, public_key, ciphertext):
    seed = bytes.fromhex(vector["responder_mlkem768_seed"])
    assert len(seed) == 64 and mlkem768.encapsulation_key(seed[:32]) == public_key
    m = seeded(vector["initiator_seed"], 64)[32:]
    secret, made = mlkem768.encapsulate(public_key, m)
    assert made == ciphertext
    return secret


def kem_secret(vector, kem, kem_public_key, ciphertext):
    if kem == 1:
        return x25519_secret(vector, kem_public_key, ciphertext)
    if kem == 3:
        key, sent = mlkem768.KEY_BYTES, mlkem768.CIPHERTEXT_BYTES
        return (mlkem_secret(vector, kem_public_key[:key], ciphertext[:sent])
                + x25519_secret(vector, kem_public_key[key:], ciphertext[sent:]))
    assert kem == 2 and kem_public_key == b""
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    return private_key(vector["responder_key"]).decrypt(ciphertext, oaep)


def check_records(aead, chain, rows):
    for row in rows:
        epoch, counter = divmod(row["number"], 65536)
        at = chain
        for _ in range(epoch):
            at = expand(at, b"wherry hybrid v1 next chain")
        key, nonce = expand(at, b"wherry hybrid v1 record key"), struct.pack(">IQ", 0, counter)
        assert aead(key).encrypt(nonce, bytes.fromhex(row["plain"]), None).hex() == row["record"]


def check(vector):
    messages = [bytes.fromhex(vector[f"message_{i}"]) for i in range(1, 5)]
    prologue, values = vector["prologue"].encode(), vector["values"]
    said = b"wherry hybrid v1 transcript" + struct.pack(">I", len(prologue)) + prologue + messages[0]

    hello = Reader(body(messages[0], 1))
    versions, kems, aeads, random = hello.list(), hello.list(), hello.list(), hello.take(32)
    hello.end()
    assert random == seeded(vector["initiator_seed"], 32)

    choice = Reader(body(messages[1], 2))
    version, kem, aead_number, _ = choice.u16(), choice.u16(), choice.u16(), choice.take(32)
    kem_public_key, responder, signature = choice.field(), choice.field(), choice.field()
    choice.end()
    assert version == 1 and version in versions and kem in kems and aead_number in aeads
    assert responder == own_blob(vector["responder_key"])
    said += messages[1][: -len(field(signature))]
    t2 = hashlib.sha256(said).digest()
    assert t2.hex() == values["T2"]
    check_signature(responder, b"wherry hybrid v1 responder signature", t2, signature)
    said += field(signature)

    proof = Reader(body(messages[2], 3))
    ciphertext = proof.field()
    sealed, zeros, aead = proof.data, bytes(12), AEADS[aead_number]
    said += messages[2][: -len(sealed)]
    t3a = hashlib.sha256(said).digest()
    secret = kem_secret(vector, kem, kem_public_key, ciphertext)
    assert (t3a.hex(), secret.hex()) == (values["T3a"], values["kem_secret"])
    extracted = extract(t3a, secret)
    plain = Reader(aead(expand(extracted, b"wherry hybrid v1 credentials")).decrypt(zeros, sealed, None))
    initiator, signature = plain.field(), plain.field()
    plain.end()
    assert initiator == own_blob(vector["initiator_key"])
    said += field(initiator)
    t3b = hashlib.sha256(said).digest()
    assert t3b.hex() == values["T3b"]
    check_signature(initiator, b"wherry hybrid v1 initiator signature", t3b, signature)
    said += field(signature) + sealed
    t3c = hashlib.sha256(said).digest()
    assert t3c.hex() == values["T3c"]

    master = expand(extracted, b"wherry hybrid v1 master" + t3c)
    answer = aead(expand(master, b"wherry hybrid v1 answer")).decrypt(zeros, body(messages[3], 4), None)
    assert answer[0] == (vector["verdict"] == "refused") and answer[1:].decode("ascii") == vector["reason"]
    for name in ("initiator", "responder"):
        chain = expand(master, f"wherry hybrid v1 {name} records".encode())
        check_records(aead, chain, vector[f"records_from_{name}"])
    damaged = bytearray(sealed)
    damaged[0] ^= 1
    try:
        aead(expand(extracted, b"wherry hybrid v1 credentials")).decrypt(zeros, bytes(damaged), None)
        raise AssertionError("opened what was altered")
    except InvalidTag:
        pass


def main():
    files = sorted(HERE.glob("*.json"))
    assert files, "there are no vectors here"
    for file in files:
        check(json.loads(file.read_text()))
        print("ok", file.name)


main()

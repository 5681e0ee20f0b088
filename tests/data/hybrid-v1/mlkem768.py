# SPDX-License-Identifier: BSD-2-Clause
"""ML-KEM-768, from FIPS 203 alone: as much of it as verify.py needs.

For test vectors only: it is slow, and its time depends on its secrets. Names are those of the standard.
"""
import hashlib

Q, K = 3329, 3  # the modulus, and the rank of the module
KEY_BYTES, CIPHERTEXT_BYTES = 1184, 1088


def bit_reversed(i):
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, bit_reversed(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * bit_reversed(i) + 1, Q) for i in range(128)]


# ---- Section 4.1: hash functions ----


def g(data):
    digest = hashlib.sha3_512(data).digest()
    return digest[:32], digest[32:]


def prf(seed, number):
    return hashlib.shake_256(seed + bytes([number])).digest(128)


# ---- Section 4.2: bytes and polynomials ----


def byte_encode(bits, f):
    return sum(coefficient << bits * i for i, coefficient in enumerate(f)).to_bytes(32 * bits, "little")


def byte_decode(bits, data):
    number = int.from_bytes(data, "little")
    return [number >> bits * i & (1 << bits) - 1 for i in range(256)]


def compress(bits, f):
    return [((coefficient << bits) + Q // 2) // Q & (1 << bits) - 1 for coefficient in f]


def sample_ntt(seed):
    data = hashlib.shake_128(seed).digest(3 * 512)  # four fifths of 1024 candidates are below Q, and 256 are needed
    candidates = []
    for a, b, c in zip(data[::3], data[1::3], data[2::3]):
        candidates += [a + 256 * (b % 16), b // 16 + 16 * c]
    return [candidate for candidate in candidates if candidate < Q][:256]


def sample_cbd(data):
    halves = byte_decode(4, data)
    return [((h & 1) + (h >> 1 & 1) - (h >> 2 & 1) - (h >> 3 & 1)) % Q for h in halves]


# ---- Section 4.3: the number-theoretic transform ----


def ntt(f):
    f, zetas, length = list(f), iter(ZETAS[1:]), 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            zeta = next(zetas)
            for j in range(start, start + length):
                t = zeta * f[j + length]
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
        length //= 2
    return f


def inverse_ntt(f):
    f, zetas, length = list(f), iter(ZETAS[:0:-1]), 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            zeta = next(zetas)
            for j in range(start, start + length):
                f[j], f[j + length] = (f[j] + f[j + length]) % Q, zeta * (f[j + length] - f[j]) % Q
        length *= 2
    return [coefficient * 3303 % Q for coefficient in f]


def add(*polynomials):
    return [sum(coefficients) % Q for coefficients in zip(*polynomials)]


def dot(left, right):
    """The sum of the products of two vectors of polynomials, all of them transformed."""
    total = [0] * 256
    for f, h in zip(left, right):
        for i, gamma in enumerate(GAMMAS):
            a, b = f[2 * i:2 * i + 2], h[2 * i:2 * i + 2]
            total[2 * i] += a[0] * b[0] + a[1] * b[1] * gamma
            total[2 * i + 1] += a[0] * b[1] + a[1] * b[0]
    return [coefficient % Q for coefficient in total]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


# ---- Sections 5 and 6 ----


def encapsulation_key(d):
    """That of the key whose seed begins with these 32 bytes; the other half is for ciphertexts that were altered."""
    rho, sigma = g(d + bytes([K]))
    s = [ntt(sample_cbd(prf(sigma, n))) for n in range(K)]
    e = [ntt(sample_cbd(prf(sigma, K + n))) for n in range(K)]
    t = [add(dot(row, s), e[i]) for i, row in enumerate(matrix(rho))]
    return b"".join(byte_encode(12, f) for f in t) + rho


def encapsulate(key, m):
    """The shared secret and the ciphertext that a sender makes of the random bytes m."""
    secret, r = g(m + hashlib.sha3_256(key).digest())
    t = [byte_decode(12, key[384 * i:384 * (i + 1)]) for i in range(K)]
    y = [ntt(sample_cbd(prf(r, n))) for n in range(K)]
    e1 = [sample_cbd(prf(r, K + n)) for n in range(K)]
    e2 = sample_cbd(prf(r, 2 * K))
    columns = zip(*matrix(key[384 * K:]))
    u = [add(inverse_ntt(dot(column, y)), e1[i]) for i, column in enumerate(columns)]
    mu = [bit * (Q + 1) // 2 for bit in byte_decode(1, m)]
    v = add(inverse_ntt(dot(t, y)), e2, mu)
    return secret, b"".join(byte_encode(10, compress(10, f)) for f in u) + byte_encode(4, compress(4, v))

"""Keys, notes, checkpoints and the tree, from the specifications alone.

C2SP signed-note, tlog-checkpoint and tlog-cosignature (Ed25519); RFC 6962 section 2.1 (the tree and its proofs) and
RFC 9162 section 2.1.4.2 (how to verify one). Nothing of sealroom.
"""
import base64, hashlib, sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives import serialization
except ImportError:
    print("this needs the Python package `cryptography`", file=sys.stderr)
    sys.exit(2)

LOG, WITNESS = 0x01, 0x04  # signature types of signed-note


class Bad(Exception):
    """What is not as the specifications want it."""


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def encode(data):
    return base64.b64encode(data).decode()


def decode(text):
    """Decodes standard base64 in its one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Bad("bad base64") from None
    if encode(data) != text:
        raise Bad("another spelling of base64")
    return data


def decimal(text):
    if not (text.isascii() and text.isdigit()) or (text != "0" and text.startswith("0")):
        raise Bad("no decimal number")
    return int(text)


# The tree: RFC 6962, section 2.1.


def split(count):
    """Returns the largest power of two below the count."""
    return 1 << ((count - 1).bit_length() - 1)


def root(leaves):
    """Returns the root over leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha()
    at = split(len(leaves))
    return sha(b"\1", root(leaves[:at]), root(leaves[at:]))


def prove(old, leaves):
    """Returns the consistency proof from the tree of the first `old` leaves to that of all."""

    def part(old, leaves, is_whole):
        if old == len(leaves):
            return [] if is_whole else [root(leaves)]
        at = split(len(leaves))
        if old <= at:
            return part(old, leaves[:at], is_whole) + [root(leaves[at:])]
        return part(old - at, leaves[at:], False) + [root(leaves[:at])]

    return part(old, leaves, True) if 0 < old < len(leaves) else []


def is_consistent(old, old_root, new, new_root, proof):
    """Verifies a consistency proof: RFC 9162, section 2.1.4.2."""
    if old == 0:
        return not proof
    if old == new:
        return not proof and old_root == new_root
    if not proof or old > new:
        return False
    proof = list(proof)
    if old & (old - 1) == 0:
        proof.insert(0, old_root)
    first, second = old - 1, new - 1
    while first & 1:
        first, second = first >> 1, second >> 1
    of_old = of_new = proof[0]
    for hash in proof[1:]:
        if second == 0:
            return False
        if first & 1 or first == second:
            of_old, of_new = sha(b"\1", hash, of_old), sha(b"\1", hash, of_new)
            while first & 1 == 0 and first != 0:
                first, second = first >> 1, second >> 1
        else:
            of_new = sha(b"\1", of_new, hash)
        first, second = first >> 1, second >> 1
    return of_old == old_root and of_new == new_root and second == 0


# Keys and notes: signed-note, tlog-checkpoint, tlog-cosignature.


class Key:
    """A key's name, type and public half; with the private half if it is ours."""

    def __init__(self, name, kind, public, private=None):
        self.name, self.kind, self.public, self.private = name, kind, public, private
        self.id = sha(name.encode(), b"\n", bytes([kind]), public)[:4]

    @classmethod
    def of_vkey(cls, text):
        name, id, key = (text.strip().split("+", 2) + ["", ""])[:3]
        key = decode(key)
        if not name or any(c.isspace() for c in name) or len(key) != 33 or key[0] not in (LOG, WITNESS):
            raise Bad(f"no Ed25519 verifier key: {text.strip()}")
        this = cls(name, key[0], key[1:])
        if this.id.hex() != id:
            raise Bad(f"the key's id is not {id}")
        return this

    @classmethod
    def of_seed(cls, name, kind, seed):
        private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return cls(name, kind, private.public_key().public_bytes(*raw), private)

    @classmethod
    def of_file(cls, path):
        """Reads a file as `golang.org/x/mod/sumdb/note` writes one: PRIVATE+KEY+<name>+<id>+<type and seed>."""
        head, word, name, _, key = open(path).read().strip().split("+", 4)
        if (head, word) != ("PRIVATE", "KEY"):
            raise Bad(f"{path}: no private key")
        key = decode(key)
        return cls.of_seed(name, key[0], key[1:])

    def vkey(self):
        return f"{self.name}+{self.id.hex()}+{encode(bytes([self.kind]) + self.public)}"

    def line(self, signature):
        return f"\u2014 {self.name} {encode(self.id + signature)}\n"

    def sign(self, text, now=None):
        """Returns the signature line of a log, or with a time that of a witness."""
        if self.kind == LOG:
            return self.line(self.private.sign(text))
        return self.line(now.to_bytes(8, "big") + self.private.sign(cosigned(text, now)))

    def verify(self, text, signature):
        """Verifies a signature without its key id. Returns the time of a cosignature, 0 for a log's signature."""
        stamp = 0
        if self.kind == WITNESS:
            stamp, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            if not 0 < stamp < 1 << 63:
                raise Bad(f"{self.name}: a cosignature without a time")
            text = cosigned(text, stamp)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            raise Bad(f"{self.name}: its signature does not verify") from None
        return stamp


def cosigned(text, now):
    return b"cosignature/v1\ntime %d\n" % now + text


class Checkpoint:
    """A note whose text is origin, size and root; `text` is what is signed."""

    def __init__(self, note):
        try:
            words = note.decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("no UTF-8") from None
        if any(c < " " and c != "\n" for c in words):
            raise Bad("a control character")
        text, gap, signatures = words.rpartition("\n\n")
        if not gap or not signatures.endswith("\n"):
            raise Bad("no signed note")
        lines = text.split("\n")
        if len(lines) < 3 or "" in lines:
            raise Bad("no checkpoint")
        self.text = (text + "\n").encode()
        self.origin, self.size, self.root = lines[0], decimal(lines[1]), decode(lines[2])
        if len(self.root) != 32:
            raise Bad("a root of another length")
        self.signatures = [self.signature(line) for line in signatures[:-1].split("\n")]

    @staticmethod
    def signature(line):
        parts = line.split(" ")
        data = decode(parts[2]) if len(parts) == 3 and parts[0] == "\u2014" and parts[1] else b""
        if len(data) < 5:
            raise Bad("no signature line")
        return parts[1], data[:4], data[4:]

    def signed_by(self, key):
        """Returns the time at which the key signed, 0 for a log's; none if it did not."""
        stamps = [key.verify(self.text, data) for name, id, data in self.signatures if (name, id) == (key.name, key.id)]
        return max(stamps, default=None)

#!/usr/bin/env python3
"""Do an export, a checkpoint and a public key belong together?

    python3 verify_log.py export.ndjson checkpoint key      (needs the package `cryptography`)

Standards: RFC 6962, section 2.1 (the tree); C2SP signed-note and tlog-checkpoint (the checkpoint).
"""
import base64, hashlib, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha(b"\1", root(leaves[:split]), root(leaves[split:]))

export, note, key = (open(path, "rb").read() for path in sys.argv[1:4])
name, _, public = key.decode().strip().split("+", 2)
text, signatures = note.rsplit(b"\n\n", 1)
signature = [line.split(" ")[2] for line in signatures.decode().splitlines() if line.split(" ")[1] == name]
try:
    verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(public)[1:])
    verifier.verify(base64.b64decode(signature[0])[4:], text + b"\n")
except (IndexError, InvalidSignature):
    sys.exit("bad: this key did not sign this checkpoint")
origin, size, signed = text.decode().split("\n")[:3]
leaves = [sha(b"\0", line) for line in export.split(b"\n")[:-1][:int(size)]]
if len(leaves) < int(size) or base64.b64encode(root(leaves)).decode() != signed:
    sys.exit(f"bad: the first {size} lines of the export are not what was signed")
print(f"ok: the first {size} records of {origin}")

#!/usr/bin/env python3
"""Do an export, a checkpoint and a public key belong together?

    python3 verify_log.py EXPORT CHECKPOINT KEY      (needs the package `cryptography`)

Exit status: 0 they do, 1 they do not, 2 it was called wrongly or lacks that package.
Standards: RFC 6962, section 2.1 (the tree); C2SP signed-note and tlog-checkpoint (the checkpoint).
"""
import base64, hashlib, sys
try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("this needs the Python package `cryptography`, as in: pip install cryptography", file=sys.stderr)
    sys.exit(2)

def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()

def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha(b"\1", root(leaves[:split]), root(leaves[split:]))

if len(sys.argv) != 4:
    print("usage: verify_log.py EXPORT CHECKPOINT KEY", file=sys.stderr)
    sys.exit(2)
try:
    export, note, key = (open(path, "rb").read() for path in sys.argv[1:])
except OSError as error:
    sys.exit(f"bad: {error}")
for path, text in zip(sys.argv[1:], (export, note, key)):
    if b"\r\n" in text and text is not key:
        sys.exit(f"bad: {path}: line ends were changed (CRLF)")
try:
    name, _, public = key.decode().strip().split("+", 2)
    text, signatures = note.rsplit(b"\n\n", 1)
    signed = {line.split(" ")[1]: line.split(" ")[2] for line in signatures.decode().splitlines()}
    origin, size, tree = text.decode().split("\n")[:3]
    size, verifier = int(size), Ed25519PublicKey.from_public_bytes(base64.b64decode(public)[1:])
except (IndexError, UnicodeError, ValueError):
    sys.exit("bad: this is no checkpoint, or no key, of a log")
try:
    verifier.verify(base64.b64decode(signed[name])[4:], text + b"\n")
except (KeyError, ValueError, InvalidSignature):
    sys.exit("bad: this key did not sign this checkpoint")
if origin != name:
    sys.exit(f"bad: the checkpoint is of {origin}, and the key speaks for {name} alone")
leaves = [sha(b"\0", line) for line in export.split(b"\n")[:-1]]
if len(leaves) < size:
    sys.exit(f"bad: the export has {len(leaves)} lines, fewer than the {size} that the checkpoint signs: they are not what was signed")
if base64.b64encode(root(leaves[:size])).decode() != tree:
    sys.exit(f"bad: the first {size} lines of the export are not what was signed")
print(f"ok: the first {size} records of {origin}")

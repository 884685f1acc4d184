#!/usr/bin/env python3
"""A transparency-log witness, a verifier and a log's client: a second opinion on C2SP tlog-witness.

    witness.py key log|witness NAME KEYFILE              makes a key, prints its verifier key
    witness.py serve PORT KEYFILE ORIGIN=VKEY... STATE   is a witness of these logs; prints its URL and verifier key
    witness.py verify CHECKPOINT VKEY... [--need N]      says who signed; fails without N witnesses (0 by default)
    witness.py ask URL KEYFILE VKEY STATE                is the log of KEYFILE, before the witness of VKEY at URL

`ask` makes a Merkle tree of its own, has the witness sign it as it grows, and tries what a witness must refuse: one line
for each claim. The origin of its log is its key's name, so tell the witness NAME=VKEY of `key log NAME KEYFILE` first.
It keeps its leaves in STATE: a second run shows what the witness remembers. `serve` takes PORT 0 for any free one.

Needs Python 3.9 and its package `cryptography`. Exit status: 0 all is as it must be, 1 it is not, 2 a wrong call.
Written from the specifications alone: C2SP tlog-witness here, the others in c2sp.py.
"""
import hashlib, http.server, json, os, sys, threading, time

from asking import ask
from c2sp import LOG, WITNESS, Bad, Checkpoint, Key, decimal, decode, encode, is_consistent, sha

PROOF_MAX, BODY_MAX = 63, 64 * 1024


class Witness:
    """The newest checkpoint of each log; one request at a time decides and persists."""

    def __init__(self, key, logs, state):
        self.key, self.logs, self.path, self.lock = key, logs, state, threading.Lock()
        # A state that cannot be read is an error: to begin anew would let a fork pass.
        self.state = json.load(open(state)) if os.path.exists(state) else {}

    def add(self, body):
        """Answers `add-checkpoint`: status, type and body."""
        try:
            head, gap, note = body.partition(b"\n\n")
            lines = head.decode("ascii").split("\n")
            if not gap or not lines[0].startswith("old ") or len(lines) - 1 > PROOF_MAX:
                raise Bad("no request")
            old, proof, new = decimal(lines[0][4:]), [decode(line) for line in lines[1:]], Checkpoint(note)
            if any(len(hash) != 32 for hash in proof):
                raise Bad("a hash of another length")
        except (Bad, UnicodeDecodeError) as why:
            return 400, "text/plain", f"{why}\n"
        if new.origin not in self.logs:
            return 404, "text/plain", "unknown log\n"
        try:
            if new.signed_by(self.logs[new.origin]) is None:
                return 403, "text/plain", "not signed by the log\n"
        except Bad as why:
            return 403, "text/plain", f"{why}\n"
        if old > new.size:
            return 400, "text/plain", "the old size is above the new one\n"
        with self.lock:
            return self.decide(old, proof, new)

    def decide(self, old, proof, new):
        known = self.state.get(new.origin, {"size": 0, "root": encode(sha())})
        if old != known["size"]:
            return 409, "text/x.tlog.size", f"{known['size']}\n"
        if new.size == 0 and new.root != sha() or new.size == old and new.root != decode(known["root"]):
            return 409, "text/plain", "another root of that size\n"
        if not is_consistent(old, decode(known["root"]), new.size, new.root, proof):
            return 422, "text/plain", "not an extension of what was signed\n"
        line = self.key.sign(new.text, int(time.time()))
        log = self.logs[new.origin]
        own = next(log.line(data) for name, id, data in new.signatures if (name, id) == (log.name, log.id))
        note = new.text.decode() + "\n" + own + line
        self.persist({**self.state, new.origin: {"size": new.size, "root": encode(new.root), "note": note}})
        return 200, "text/plain; charset=utf-8", line

    def persist(self, state):
        with open(self.path + ".new", "w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)
        folder = os.open(os.path.dirname(os.path.abspath(self.path)), os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self.state = state

    def checkpoint(self, path):
        """Answers the monitoring call."""
        for origin, known in self.state.items():
            if path == f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint":
                return 200, "text/plain; charset=utf-8", known["note"]
        return 404, "text/plain", "nothing was signed\n"


def serve(port, keyfile, *rest):
    *logs, state = rest
    logs = dict(entry.split("=", 1) for entry in logs)
    witness = Witness(Key.of_file(keyfile), {origin: Key.of_vkey(vkey) for origin, vkey in logs.items()}, state)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, kind, text):
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            length = int(self.headers.get("Content-Length") or 0)
            if length > BODY_MAX:
                self.close_connection = True
                return self.answer(413, "text/plain", "too long\n")
            body = self.rfile.read(length)
            if self.path != "/add-checkpoint":
                return self.answer(404, "text/plain", "no such call\n")
            self.answer(*witness.add(body))

        def do_GET(self):
            self.answer(*witness.checkpoint(self.path))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]} {witness.key.vkey()}", flush=True)
    server.serve_forever()


def key(kind, name, path):
    seed = os.urandom(32)
    made = Key.of_seed(name, {"log": LOG, "witness": WITNESS}[kind], seed)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"PRIVATE+KEY+{name}+{made.id.hex()}+{encode(bytes([made.kind]) + seed)}\n")
    print(made.vkey())


def verify(path, *rest):
    rest = list(rest)
    need = int(rest.pop(rest.index("--need") + 1)) if "--need" in rest else 0
    keys = [Key.of_vkey(text) for text in rest if text != "--need"]
    note = Checkpoint(open(path, "rb").read())
    print(f"{note.origin}: {note.size} records, root {encode(note.root)}")
    signed = [(key, note.signed_by(key)) for key in keys]
    for key, stamp in signed:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp or 0))
        kind = "the log" if key.kind == LOG else "the witness"
        print(f"{kind} {key.name} " + ("did not sign" if stamp is None else f"signed at {at}" if stamp else "signed"))
    logs = [key for key, stamp in signed if key.kind == LOG and stamp is not None]
    # One key counts once, however many signature lines or names it has.
    witnesses = {key.public for key, stamp in signed if key.kind == WITNESS and stamp is not None}
    if [key.name for key in logs] != [note.origin]:
        raise Bad("no signature of the log whose origin it names")
    if len(witnesses) < need:
        raise Bad(f"{len(witnesses)} of the {need} witnesses that are needed")
    print(f"ok: {len(witnesses)} witnesses")


if __name__ == "__main__":
    calls = {"key": key, "serve": serve, "verify": verify, "ask": ask}
    if len(sys.argv) < 4 or sys.argv[1] not in calls:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        calls[sys.argv[1]](*sys.argv[2:])
    except (Bad, OSError, ValueError) as why:
        sys.exit(f"bad: {why}")

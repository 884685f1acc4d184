"""A log before a witness: what it must sign, and what it must refuse, by C2SP tlog-witness."""
import hashlib, http.client, json, os, threading, time, urllib.parse

from c2sp import LOG, Bad, Checkpoint, Key, encode, prove, root, sha

SIZES = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 64, 65, 100, 257]
CONFLICT = "text/x.tlog.size"


def leaf(text):
    return sha(b"\0", text.encode())


class Log:
    """A tree and its key; `leaves` are hashes."""

    def __init__(self, key, leaves=()):
        self.key, self.leaves = key, list(leaves)

    def grown(self, count, mark="leaf"):
        more = [leaf(f"{mark} {number}") for number in range(len(self.leaves), count)]
        return Log(self.key, self.leaves + more)

    def text(self, size=None, origin=None, extra=""):
        size = len(self.leaves) if size is None else size
        return f"{origin or self.key.name}\n{size}\n{encode(root(self.leaves[:size]))}\n{extra}".encode()

    def note(self, size=None, origin=None, extra="", before="", after=""):
        text = self.text(size, origin, extra)
        return text + b"\n" + (before + self.key.sign(text) + after).encode()

    def request(self, old, size=None, proof=None, **note):
        size = len(self.leaves) if size is None else size
        proof = prove(old, self.leaves[:size]) if proof is None else proof
        return body(f"old {old}\n", [encode(hash) for hash in proof], self.note(size, **note))


def body(old, proof, note):
    return old.encode() + "".join(line + "\n" for line in proof).encode() + b"\n" + note


class Asking:
    """The calls to one witness, and the claims that were made about its answers."""

    def __init__(self, url, witness):
        self.url, self.witness, self.failed = urllib.parse.urlsplit(url), witness, 0

    def call(self, method, path, data=None):
        secure = self.url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self.url.hostname, self.url.port, timeout=30)
        try:
            connection.request(method, self.url.path.rstrip("/") + path, data)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            connection.close()

    def add(self, data):
        return self.call("POST", "/add-checkpoint", data)

    def claim(self, what, is_so, shown=""):
        self.failed += not is_so
        print(f"{'ok' if is_so else 'BAD'}: {what}" + ("" if is_so else f": {shown}"), flush=True)

    def refuses(self, what, data, statuses):
        try:
            status = self.add(data)[0]
        except (OSError, http.client.HTTPException):
            status = 0  # closed without an answer, which only a body that is too long may meet
        self.claim(f"refused: {what}", status in statuses, f"status {status}, not one of {statuses}")

    def conflicts(self, what, data, size):
        status, kind, text = self.add(data)
        right = (status, kind.split(";")[0], text) == (409, CONFLICT, f"{size}\n".encode())
        self.claim(f"conflict: {what}", right, f"{status} {kind} {text!r}, and the size is {size}")

    def signs(self, what, data):
        """Has a checkpoint signed, and verifies the cosignature. Returns whether it is good."""
        status, _, lines = self.add(data)
        shown = f"{status} {lines!r}"
        try:
            note = data.partition(b"\n\n")[2]
            stamp = Checkpoint(note + lines).signed_by(self.witness) if status == 200 else None
            is_good = stamp is not None and abs(stamp - time.time()) < 300 and lines.endswith(b"\n")
        except Bad as why:
            is_good, shown = False, str(why)
        self.claim(f"signed: {what}", is_good, shown)
        return is_good


def first_steps(asking, log):
    """A witness that knows nothing of the log yet."""
    empty = Log(log.key)
    wrong = empty.text().replace(encode(sha()).encode(), encode(bytes(32)).encode())
    forged = body("old 0\n", [], wrong + b"\n" + log.key.sign(wrong).encode())
    asking.refuses("an empty tree with another root", forged, [409])
    asking.signs("the empty tree", empty.request(0))
    one = log.grown(1)
    asking.refuses("a first checkpoint with a proof", one.request(0, proof=[bytes(32)]), [422])
    old = 0
    for size in SIZES:
        log = log.grown(size)
        asking.signs(f"{old} to {size}", log.request(old))
        old = size
    return log


def keys_and_origins(asking, log):
    size = len(log.leaves)
    stranger = Log(Key.of_seed("stranger.example/log", LOG, os.urandom(32)), log.leaves)
    asking.refuses("a log that it does not know", stranger.request(0), [404])
    other = Log(Key.of_seed(log.key.name, LOG, os.urandom(32)), log.leaves)
    asking.refuses("a known origin with an unknown key", other.request(size), [403])
    note = log.note()
    at = note.rindex(b" ") + 20
    broken = note[:at] + (b"A" if note[at:at + 1] != b"A" else b"B") + note[at + 1:]
    asking.refuses("a signature that does not verify", body(f"old {size}\n", [], broken), [403])
    beside = log.note() + broken.rpartition(b"\n\n")[2]
    asking.refuses("a bad signature beside a good one of the same key", body(f"old {size}\n", [], beside), [403])
    own_text = log.text()
    for what, text in [
        ("another size", own_text.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1))),
        ("an extension line", own_text + b"more\n"),
    ]:
        moved = text + b"\n" + log.key.sign(own_text).encode()
        asking.refuses(f"a signature moved to {what}", body(f"old {size}\n", [], moved), [403])
    alien = Key.of_seed("somebody.example", LOG, os.urandom(32)).sign(own_text)
    asking.signs("a note that strangers signed too", log.request(size, before=alien, after=alien))
    asking.signs("a checkpoint with an extension line", log.request(size, extra="more\n"))


def sizes_and_proofs(asking, log):
    size = len(log.leaves)
    asking.signs("the same checkpoint again", log.request(size))
    for old in (0, 1, size - 1):
        asking.conflicts(f"an old size of {old}", log.request(old), size)
    next = log.grown(size + 30)
    asking.conflicts("an old size above its own", next.request(size + 1), size)
    asking.refuses("a smaller checkpoint", log.request(size, size=size - 1, proof=[]), [400])
    asking.conflicts("a smaller checkpoint, from a smaller one", log.request(size - 2, size=size - 1), size)
    fork = log.grown(0)
    fork.leaves[size // 2] = leaf("forged")
    asking.refuses("another root of the same size", fork.request(size, proof=[]), [409])
    asking.refuses("the same size with a proof", log.request(size, proof=[bytes(32)]), [422])
    grown = fork.grown(size + 30)
    asking.refuses("a fork with its own proof", grown.request(size), [422])
    proof = prove(size, next.leaves)
    asking.refuses("a fork with the log's proof", grown.request(size, proof=proof), [422])
    for what, bad in [
        ("no proof", []),
        ("a proof without its last hash", proof[:-1]),
        ("a proof without its first hash", proof[1:]),
        ("a proof with one hash more", proof + [bytes(32)]),
        ("a proof in another order", proof[::-1]),
        ("a proof with one bit changed", [bytes([proof[0][0] ^ 1]) + proof[0][1:]] + proof[1:]),
        ("the proof of another pair", prove(size - 1, next.leaves)),
    ]:
        asking.refuses(what, next.request(size, proof=bad), [422])


def forms(asking, log):
    size = len(log.leaves)
    whole, note = log.request(size), log.note()
    start = f"old {size}\n"
    long = encode(bytes(32))
    for what, data in [
        ("nothing", b""),
        ("no old size", b"\n" + note),
        ("an old size with a zero before it", body(f"old 0{size}\n", [], note)),
        ("a negative old size", body("old -1\n", [], note)),
        ("an old size that no machine word holds", body(f"old {10 ** 30}\n", [], note)),
        ("two blanks", body(f"old  {size}\n", [], note)),
        ("no empty line", start.encode() + note),
        ("CRLF", whole.replace(b"\n", b"\r\n")),
        ("no newline at the end", whole[:-1]),
        ("64 hashes", body(start, [long] * 64, note)),
        ("a hash of 31 bytes", body(start, [encode(bytes(31))], note)),
        ("bad base64", body(start, ["*" * 44], note)),
        ("no signature", body(start, [], log.text())),
        ("no UTF-8", whole + b"\xff\n"),
        ("a size with a zero before it", whole.replace(b"\n%d\n" % size, b"\n0%d\n" % size)),
        ("a control character", whole.replace(log.key.name.encode(), log.key.name.encode() + b"\t", 1)),
    ]:
        asking.refuses(f"a request with {what}", data, [400, 403, 404, 422])
    asking.refuses("a body of 4 MiB", body(start, [], note + b"\n" * (4 << 20)), [0, 400, 403, 413])
    asking.signs("a good request after all these", whole)


def race(asking, log, threads=8):
    """Forks of one size at the same moment: one may pass, and whoever has it is the log from then on."""
    size = len(log.leaves)
    forks = [log.grown(size + 1, f"fork {number}") for number in range(threads)]
    statuses, ready = [0] * threads, threading.Barrier(threads)

    def send(number):
        ready.wait()
        statuses[number] = asking.add(forks[number].request(size))[0]

    running = [threading.Thread(target=send, args=[number]) for number in range(threads)]
    [thread.start() for thread in running]
    [thread.join() for thread in running]
    passed = [number for number, status in enumerate(statuses) if status == 200]
    asking.claim("of forks at one moment, one alone is signed", len(passed) == 1, str(statuses))
    asking.claim("the others conflict", sorted(set(statuses)) == [200, 409], str(statuses))
    return forks[passed[0]] if passed else log


def monitoring(asking, log):
    path = f"/{hashlib.sha256(log.key.name.encode()).hexdigest()}/checkpoint"
    status, _, note = asking.call("GET", path)
    if status == 404:
        return print("-: it serves no checkpoints to monitors, as it may")
    note = Checkpoint(note)
    both = note.signed_by(log.key) is not None and note.signed_by(asking.witness) is not None
    asking.claim("monitors get a checkpoint with both signatures", status == 200 and both, str(status))


def ask(url, keyfile, vkey, state):
    asking, key = Asking(url, Key.of_vkey(vkey)), Key.of_file(keyfile)
    if os.path.exists(state):
        log = Log(key, [bytes.fromhex(text) for text in json.load(open(state))])
        asking.conflicts("it remembers the log's size", log.request(0), len(log.leaves))
    else:
        log = first_steps(asking, Log(key))
    keys_and_origins(asking, log)
    sizes_and_proofs(asking, log)
    forms(asking, log)
    for _ in range(5):
        log = race(asking, log)
    grown = log.grown(len(log.leaves) + 40)
    if asking.signs("growth after the race", grown.request(len(log.leaves))):
        log = grown
    monitoring(asking, log)
    with open(state, "w") as file:
        json.dump([leaf.hex() for leaf in log.leaves], file)
    if asking.failed:
        raise Bad(f"{asking.failed} claims do not hold")
    print("ok: it is a witness")

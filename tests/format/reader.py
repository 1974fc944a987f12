"""Reads an index from its file, as docs/FORMAT.md describes it, without the extension.

    python tests/format/reader.py FILE INDEX VECTOR_AS_HEX [K]

prints the nearest rows, found by reading every vector and found by the codes, and checks what the
format lets a reader check: the hashes of rows whose texts are there, and every code. Needs NumPy and xxHash.
"""

import json
import re
import sqlite3
import sys

import numpy as np
import xxhash

CHUNK = 1024
SLACK = np.float32(2e-6)


class Index:
    def __init__(self, db, name):
        self.db, self.name = db, name
        self.config = dict(db.execute(f"SELECT k, v FROM {self.table('config')}"))
        assert self.config["format"] in (1, 2), f"format {self.config['format']}"
        self.dims = self.config.get("dims")
        [declaration] = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        found = re.search(r"storage\s*=\s*'?(\w+)", declaration, re.IGNORECASE)
        self.storage = found[1].lower() if found else "f32"

    def table(self, suffix):
        return '"' + f"{self.name}_{suffix}".replace('"', '""') + '"'

    # --- vectors

    def decoded(self, stored):
        """The f32 elements of a stored vector."""
        if self.storage == "f32":
            vector = np.frombuffer(stored, "<f4")
        elif self.storage == "f16":
            vector = np.frombuffer(stored, "<f2").astype(np.float32)
        else:
            vector = np.frombuffer(stored, "<f4", 1) * np.frombuffer(stored, "i1", offset=4).astype(np.float32)
        assert vector.dtype == np.float32 and len(vector) == self.dims and np.isfinite(vector).all()
        return vector

    def passages(self, where="1", *arguments):
        """(slot, row, start, stop, vector)"""
        sql = f"SELECT slot, row, start, stop, vector FROM {self.table('passages')} WHERE {where} ORDER BY slot"
        return [(*place, self.decoded(stored)) for *place, stored in self.db.execute(sql, arguments)]

    # --- searching

    def nearest(self, query, k):
        """The k nearest rows as (row, distance): every vector is read."""
        best = {}
        for _, row, _, _, vector in self.passages():
            distance = 1 - cosine(query, vector)
            best[row] = min(distance, best.get(row, 3))
        return ranked(best)[:k]

    def nearest_by_codes(self, query, k):
        """The same by bounds; and how many vectors were read."""
        coder = Coder(self)
        chunks = self.chunks(coder)
        read, best = 0, {}

        def look(passages):
            nonlocal read
            for _, row, _, _, vector in passages:
                read += 1
                best[row] = min(1 - cosine(query, vector), best.get(row, 3))

        look(self.passages("slot >= ?", len(chunks) * CHUNK))
        bounds = coder.bounds(np.concatenate([codes for _, codes in chunks]), query, self.config.get("z", 5.0))
        live = np.concatenate([live for live, _ in chunks])
        for slot in np.argsort(np.where(live, bounds, np.inf), kind="stable")[:live.sum()]:
            if len(best) >= k and bounds[slot] > ranked(best)[k - 1][1]:
                break
            look(self.passages("slot = ?", int(slot)))
        return ranked(best)[:k], read

    def chunks(self, coder):
        """(live, codes) of every chunk: 1,024 booleans, 1,024 codes."""
        chunks = []
        rows = self.db.execute(f"SELECT chunk, used, live, codes FROM {self.table('codes')} ORDER BY chunk")
        for number, (chunk, used, live, codes) in enumerate(rows):
            live = np.unpackbits(np.frombuffer(live, np.uint8), bitorder="little").astype(bool)
            codes = np.frombuffer(codes, np.uint8).reshape(CHUNK, coder.width + 12)
            assert chunk == number and used == live.sum() and len(live) == CHUNK
            chunks.append((live, codes))
        return chunks

    def notes(self):
        """Keys of rows that may have changed. The log is made with the first."""
        if self.db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (f"{self.name}_log",)).fetchone():
            for id, in self.db.execute(f"SELECT id FROM {self.table('log')} WHERE id IS NOT NULL"):
                yield id

    # --- checks

    def check_codes(self):
        """Makes every code anew; how many there are."""
        coder, count = Coder(self), 0
        for number, (live, codes) in enumerate(self.chunks(coder)):
            slots = self.passages("slot >= ? AND slot < ?", number * CHUNK, (number + 1) * CHUNK)
            assert [slot % CHUNK for slot, *_ in slots] == np.flatnonzero(live).tolist()
            for slot, *_, vector in slots:
                assert coder.code(vector) == codes[slot % CHUNK].tobytes(), f"slot {slot}"
                count += 1
        return count

    def check_hashes(self, texts):
        """Compares the hashes of rows with those of their texts, given as id -> values of the text columns;
        how many were compared. Rows in the log may have changed."""
        pending, count = set(self.notes()), 0
        for id, stored, problem in self.db.execute(f"SELECT id, hash, problem FROM {self.table('rows')}"):
            if id not in pending and stored:
                assert stored == hash_of(texts[id], problem), f"row {id}"
                count += 1
        return count


def ranked(best):
    return sorted(best.items(), key=lambda row: (row[1], row[0]))


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    norm = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / norm, -1, 1)) if norm else 0.0


def joined(values):
    """The joined text of a row; None where all is NULL. (Reals are left to SQLite's CAST.)"""
    parts = [str(value) for value in values if value is not None]
    return ("\n".join(parts), len(parts[0].encode()) if len(parts) > 1 else 0) if parts else None


def hash_of(values, problem=None):
    """The 16 bytes of t_rows.hash."""
    if problem is not None:
        text, seed = problem, 2
    elif (found := joined(values)) is None:
        text, seed = "", 1
    else:
        text, seed = found[0], 4 * found[1]
    return xxhash.xxh3_128_digest(text.encode(), seed)[::-1]


def total(values):
    """In f64 and in order."""
    return np.add.accumulate(values.astype(np.float64))[-1]


def unit(vector):
    norm = np.sqrt(total(vector.astype(np.float64) ** 2))
    return (vector.astype(np.float64) / norm).astype(np.float32) if norm else vector


class Coder:
    """Codes and bounds of an index: "t_codes" of the document."""

    def __init__(self, index):
        self.dims, self.width = index.dims, -(-index.dims // 4)
        self.centroid = np.frombuffer(index.config["centroid"], "<f4")
        self.power = 1 << self.dims.bit_length() - 1
        transforms = 3 if self.power == self.dims else 6
        self.signs = signs(index.config["seed"], transforms * self.dims).reshape(transforms, self.dims)

    def rotated(self, v):
        v = v.astype(np.float32)
        for t, signs in enumerate(self.signs):
            v = v * signs
            if self.power == self.dims:
                v = hadamard(v)
            elif t % 2 == 0:
                v[:self.power] = hadamard(v[:self.power])
            else:
                v[self.dims - self.power:] = hadamard(v[self.dims - self.power:])
                half = self.dims // 2
                low, high = v[:half].copy(), v[self.dims - half:].copy()
                v[:half], v[self.dims - half:] = low + high, low - high
                scaled = np.r_[:half, self.dims - half:self.dims]
                v[scaled] *= np.float32(np.sqrt(0.5))
        return v

    def code(self, vector):
        y = unit(vector) - self.centroid
        offset = total(y.astype(np.float64) * self.centroid)
        y = self.rotated(y)
        m = np.sort(np.abs(y))[::-1].astype(np.float64)
        first = total(m) / 2
        # Before and after each: the products and squared lengths of every k.
        product = np.add.accumulate(np.concatenate([[first], m]))
        # One rounding, which a power of 2 does not promise.
        squared = product * product
        length = self.dims / 4 + 2.0 * np.arange(self.dims + 1)
        best = 0
        for k in range(1, self.dims + 1):
            parts_equals = k < self.dims and m[k] == m[k - 1]
            if not parts_equals and squared[k] * length[best] > squared[best] * length[k]:
                best = k
        p, l, squares = product[best], length[best], total(m * m)
        scale = squares / p if p else 0.0
        sigma = np.sqrt(max(scale * scale * l - squares, 0.0) / max(self.dims - 1, 1)) if p else 0.0
        far = np.abs(y) >= (m[best - 1] if best else np.inf)
        u = np.where(y < 0, 1 - far.astype(int), 2 + far.astype(int))
        levels = np.zeros(4 * self.width, np.uint8)
        levels[:self.dims] = u
        planes = levels.reshape(4, self.width)
        packed = planes[0] | planes[1] << 2 | planes[2] << 4 | planes[3] << 6
        return packed.tobytes() + np.array([offset, scale, sigma], "<f4").tobytes()

    def bounds(self, codes, query, z):
        """A lower bound of the distance for each code."""
        q = unit(query)
        r = self.rotated(q - self.centroid)
        step = np.abs(r).max() / np.float32(127)
        n = np.clip(np.round(r / step), -127, 127) if step else np.zeros(self.dims)
        error = float(((r.astype(np.float64) - np.float64(step) * n) ** 2).sum())
        levels = codes[:, :self.width]
        u = np.concatenate([levels >> shift & 3 for shift in (0, 2, 4, 6)], axis=1)[:, :self.dims]
        offset, scale, sigma = np.ascontiguousarray(codes[:, self.width:]).view("<f4").astype(np.float64).T
        c, d = self.centroid.astype(np.float64), self.dims
        base, radius = 1 - c @ q, 1 - c @ c + float(SLACK)
        alpha, beta = float(r.astype(np.float64) @ r) + error * (d - 1) / d, error / d
        s = scale * float(step) * (u.astype(np.float64) @ n - 1.5 * n.sum())
        y2 = np.maximum(radius - 2 * offset, float(SLACK))
        a2 = z * z * sigma ** 2 / y2
        r2 = z * z * (alpha * sigma ** 2 + beta * y2)
        t = (s + np.sqrt(a2 * r2 + np.maximum(r2 - a2 * s * s, 0))) / (1 + a2)
        bound = base - offset - t - float(SLACK)
        return np.where(np.isfinite(bound), bound, -np.inf)


def signs(seed, count):
    state, made, mask = seed % 2 ** 64, [], 2 ** 64 - 1
    for n in range(count):
        if n % 64 == 0:
            state = state + 0x9E3779B97F4A7C15 & mask
            z = state
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
            z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
            bits = z ^ z >> 31
        made.append(-1.0 if bits >> n % 64 & 1 else 1.0)
    return np.array(made, np.float32)


def hadamard(v):
    half = 1
    while half < len(v):
        pairs = v.reshape(-1, 2, half)
        v = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
        half *= 2
    return v * np.float32(1 / np.sqrt(len(v)))


def main(file, name, vector, k="10"):
    db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    db.execute("BEGIN")
    index, query = Index(db, name), np.frombuffer(bytes.fromhex(vector), "<f4")
    found = {"nearest": index.nearest(query, int(k))}
    if "centroid" in index.config:
        found["by_codes"], found["read"] = index.nearest_by_codes(query, int(k))
        found["codes"] = index.check_codes()
    keeps_text = db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (f"{name}_text",)).fetchone()
    if keeps_text and index.db.execute(f"SELECT count(*) FROM {index.table('text')}").fetchone()[0]:
        columns = [column for _, column, *_ in db.execute(f"PRAGMA table_info({index.table('text')})")][1:]
        others = [column for _, column, *_ in db.execute(f"PRAGMA table_info({index.table('rows')})")]
        wanted = ", ".join(column for column in columns if column not in others)
        texts = {id: values for id, *values in db.execute(f"SELECT id, {wanted} FROM {index.table('text')}")}
        found["hashes"] = index.check_hashes(texts)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

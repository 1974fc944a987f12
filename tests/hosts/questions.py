"""Random statements on an index, each with the statement on ordinary tables that must give the same rows.

The index is `t`, searched with `:q`; the ordinary table `o` has the same rows and `distance` and `score` to the same vector; its
view `v` has those that can be found (see oracle.py). What `k` means is said by where it stands in the second statement:
`(SELECT * FROM v WHERE own ORDER BY distance, rowid LIMIT k)`, where `own` are the index's own constant
filters. Whatever comes from another table, is computed, or is not offered by SQLite stands outside.
"""

from dataclasses import dataclass, field

from oracle import OTHERS, VALUES
from sessions import literal

# Terms of these roles beside k: they take part in the cut; they do so, or k is refused since SQLite alone can decide; they
# are applied to the k rows.
OWN, EITHER, LATER = "own", "either", "later"

JOINS = [
    "w.rowid = s.rowid", "s.rowid = w.rowid + 1", "s.n = w.n", "s.lang = w.lang", "s.tag IS w.tag", "s.n > w.n", "s.rowid < w.rowid",
    "s.x BETWEEN w.x AND w.x + 9", "s.distance < w.x", "s.pad <> w.pad",
    "s.lang LIKE w.lang || '%'", "s.lang NOT IN (w.lang, 'de')", "s.rowid = w.n + w.n", "s.lang IS NOT w.lang",
    "s.lang COLLATE NOCASE = w.lang", "s.raw = w.raw", "(s.lang, s.n) = (w.lang, w.n)", "s.score > w.x", "s.tag = w.lang",
    "w.n IS s.n",
]
# Lists that another table has a part in. SQLite does not tell them from constant ones: test_index_k.py says what they are beside k.
LISTS = ["s.rowid IN (w.rowid, w.rowid + 1)", "s.lang IN (w.lang, 'en')", "s.lang IN (SELECT y.lang FROM o AS y WHERE y.n = w.n)"]


@dataclass
class Term:
    sql: str
    role: str


@dataclass
class Question:
    asked: str
    wanted: str
    kind: str
    bound: dict = field(default_factory=dict)
    ordered: bool = True
    # Beside k a term may be refused.
    may_refuse: bool = False


class Questions:
    def __init__(self, chance, ids, cuts, joins=True, modern=True, texts=(), parameters=True, view=False):
        """joins: also statements that may search once for each of many rows. modern: IS DISTINCT FROM (SQLite 3.39), and
        AS MATERIALIZED, which SQLite 3.38 merges like any other subquery.
        texts: of the text column, if it is kept. view: there is a view `near` of the 7 nearest rows."""
        self.chance, self.ids, self.cuts, self.joins, self.modern = chance, ids, cuts, joins, modern
        self.texts, self.parameters, self.view = texts, parameters, view
        self.bound = {}

    # --- terms

    def value(self, given):
        """A literal, or a parameter."""
        if self.parameters and self.chance.random() < 0.25:
            name = f"p{len(self.bound)}"
            self.bound[name] = given
            return f":{name}"
        return literal(given)

    def some_id(self):
        return self.chance.choice(self.ids)

    def few(self, column):
        chosen = self.chance.sample(VALUES[column], self.chance.randint(1, 3))
        return ", ".join(self.value(v) for v in chosen), chosen

    def compared(self, s):
        """A column of the user's compared with a constant."""
        chance = self.chance
        column = chance.choice(list(OTHERS))
        given = chance.choice(VALUES[column])
        operators = ["=", "=", "=", "<", ">", "<=", ">=", "<>", "IS", "IS NOT", "=="]
        if self.modern:
            operators += ["IS DISTINCT FROM", "IS NOT DISTINCT FROM"]
        operator = chance.choice(operators)
        collation = chance.choice(["", "", "", " COLLATE NOCASE", " COLLATE BINARY", " COLLATE RTRIM"])
        # What SQLite does not tell a virtual table: a number's conversion; the collation of an inequality, and no inequality of a
        # column with COLLATE (see `later`).
        unequal = operator in ("<>", "IS NOT", "IS DISTINCT FROM")
        collation = "" if unequal else collation
        untold = column == "raw" and not isinstance(given, (str, bytes)) or unequal
        role = EITHER if untold else OWN
        if chance.random() < 0.1 and operator == "=":
            return Term(f"{self.value(given)} = {s}.{column}{collation}", role)
        return Term(f"{s}.{column}{collation} {operator} {self.value(given)}", role)

    def own(self, s="s"):
        """A constant filter that SQLite offers an index."""
        chance = self.chance
        column = chance.choice(list(OTHERS))
        few, chosen = self.few(column)
        untold = column == "raw" and any(not isinstance(v, (str, bytes)) for v in chosen)
        given, other = chance.choice(VALUES[column]), chance.choice(VALUES[column])
        role = EITHER if untold else OWN
        cut, operator = chance.choice(self.cuts), chance.choice(["=", "<", ">", "<=", ">=", "<>", "IS", "IS NOT"])
        numbers = ", ".join(self.value(self.some_id()) for _ in range(chance.randint(1, 9)))
        made = chance.randrange(20)
        if made < 8:
            return self.compared(s)
        between = EITHER if column == "raw" else OWN
        return [
            Term(f"{s}.{column} IN ({few})", role), Term(f"{s}.{column} IN ({few})", role),
            Term(f"{s}.{column} IS {chance.choice(['', 'NOT '])}NULL", OWN),
            Term(f"{s}.{column} BETWEEN {self.value(given)} AND {self.value(other)}", between),
            Term(f"{s}.rowid IN ({numbers})", OWN), Term(f"{s}.rowid {operator} {self.value(self.some_id())}", OWN),
            Term(f"{s}.rowid {chance.choice(['<', '>=', '='])} {self.some_id()}.5", OWN),
            Term(f"{s}.rowid IN (SELECT rowid FROM o WHERE n = {chance.randint(0, 3)})", OWN),
            Term(f"{s}.lang IN (SELECT lang FROM o WHERE rowid < {self.some_id()})", OWN),
            Term(f"{s}.distance {chance.choice(['<', '<=', '>', '>='])} {self.value(cut)}", OWN),
            Term(f"{s}.score {chance.choice(['<', '>='])} {self.value(1 - cut)}", OWN),
            Term(f"{s}.{chance.choice(['lang', 'tag', 'pad'])} {chance.choice(['LIKE', 'GLOB'])} {self.value(chance.choice(['%e%', 'd%', '*e*', 'ä%', 'R*', '']))}", OWN),
        ][made - 8]

    def later(self, s="s"):
        """A filter that SQLite does not offer, or whose value is not a constant."""
        chance = self.chance
        column = chance.choice(list(OTHERS))
        few, _ = self.few(column)
        given = chance.choice(VALUES[column])
        return Term(chance.choice([
            f"{s}.{column} NOT IN ({few})", f"{s}.rowid NOT IN ({self.some_id()}, {self.some_id()})",
            f"NOT ({s}.{column} = {self.value(given)})", f"{s}.{column} NOT BETWEEN {self.value(given)} AND {literal(given)}",
            f"{s}.rowid % 3 = 1", f"{s}.{column} COLLATE {chance.choice(['NOCASE', 'BINARY', 'RTRIM'])} {chance.choice(['<>', 'IS NOT'])} {self.value(given)}",
            f"length({s}.lang) = 2", f"{s}.lang NOT LIKE '%e%'", f"{s}.n + 0 = {self.value(2)}", f"{s}.n = 1 + 1",
            f"({s}.lang = {self.value('de')} OR {s}.n > 1)", f"({s}.n = 1 OR {s}.rowid < {self.some_id()})", f"{s}.lang = {s}.tag",
            f"EXISTS (SELECT 1 FROM o AS y WHERE y.rowid = {s}.rowid + 1 AND y.n > 1)",
            f"{s}.{column} = (SELECT {column} FROM o WHERE rowid = {self.some_id()})",
            # Not as a correlated IN: SQLite 3.40 loses rows of a join of ordinary tables where it stands beside NOT IN.
            *self.joins * [f"EXISTS (SELECT 1 FROM o AS y WHERE y.n = {s}.n AND y.lang = {s}.lang)"], f"coalesce({s}.x, 0) < 1", f"{s}.tag || '' = 'red'",
        ]), LATER)

    def text_term(self, s="s"):
        word = self.chance.choice(self.texts)
        return Term(self.chance.choice([f"{s}.body = {self.value(word)}", f"{s}.body LIKE {self.value('%' + word[:3] + '%')}", f"{s}.body > {self.value(word)}",
                                        f"{s}.body IS NOT {self.value(word)}", f"{s}.body IN ({self.value(word)}, 'x')"]), EITHER)

    def any_term(self, s="s"):
        if self.texts and self.chance.random() < 0.06:
            return self.text_term(s).sql
        return (self.own(s) if self.chance.random() < 0.72 else self.later(s)).sql

    def where(self, s="s"):
        terms = [self.any_term(s) for _ in range(self.chance.choice([0, 0, 1, 1, 1, 2, 2, 3]))]
        made = " AND ".join(f"({t} OR {self.any_term(s)})" if self.chance.random() < 0.15 else
                            f"NOT ({t})" if self.chance.random() < 0.1 else t for t in terms)
        return made or "1"

    def some(self, make, counts):
        return [make() for _ in range(self.chance.choice(counts))]

    # --- order and number of rows

    def limit(self):
        chance = self.chance
        return chance.choice(["", "", "LIMIT 1", f"LIMIT {chance.randint(1, 20)}", f"LIMIT {chance.randint(1, 20)} OFFSET {chance.randint(0, 9)}",
                              "LIMIT 0", "LIMIT -1", f"LIMIT -3 OFFSET {chance.randint(0, 9)}", f"LIMIT {chance.randint(1, 400)}",
                              "LIMIT (SELECT n FROM o WHERE n > 0 AND typeof(n) = 'integer' LIMIT 1)", "LIMIT 5 OFFSET -2",
                              f"LIMIT 3 OFFSET {chance.randint(10, 2000)}"])

    def order(self, s="s"):
        """As the index is asked, and in full."""
        ranking = self.chance.choice([f"{s}.distance", f"{s}.score DESC"])
        asked = self.chance.choice([ranking, ranking, ranking, f"{ranking}, {s}.rowid", f"{s}.lang, {s}.distance, {s}.rowid", f"{s}.rowid DESC",
                                    f"{s}.distance DESC, {s}.rowid", f"{s}.score, {s}.rowid", f"{s}.n DESC, {s}.rowid", f"{ranking}, {s}.rowid DESC"])
        return asked, asked if "rowid" in asked else f"{asked}, {s}.rowid"

    # --- statements

    def any(self):
        self.bound = {}
        with_k = self.chance.random() < 0.45
        question = self.with_k() if with_k else self.without_k()
        question.bound = self.bound
        return question

    def without_k(self):
        """Every filter is plain SQL: {t} is the index or the ordinary table."""
        chance = self.chance
        where, limit, (asked, full) = self.where(), self.limit(), self.order()
        kind = chance.choice(["plain"] * 8 + ["in", "distinct", "group", "window", "union", "cte", "correlated", "count", "cross"]
                             + self.joins * ["join", "join", "left", "twice", "exists"])
        rest = f"WHERE {where} ORDER BY "
        ordered = True
        if kind == "plain":
            start = f"SELECT s.rowid, s.distance, s.score, s.lang, s.raw FROM {{t}} AS s {rest}"
            both = f"{start}{asked} {limit}", f"{start}{full} {limit}"
        elif kind == "join":
            start = f"SELECT s.rowid, w.rowid, s.distance FROM {self.sides('{t} AS s')} WHERE {chance.choice(JOINS + LISTS)} AND {where} ORDER BY "
            both = (f"{start}{full}, w.rowid {limit}",) * 2
        elif kind == "left":
            start = f"SELECT w.rowid, s.rowid, s.distance FROM (SELECT * FROM o ORDER BY rowid LIMIT 9) AS w LEFT JOIN {{t}} AS s ON {chance.choice(JOINS + LISTS)} AND {where}"
            both = (f"{start} ORDER BY w.rowid, s.rowid {limit}",) * 2
        elif kind == "exists":
            start = f"SELECT w.rowid FROM o AS w WHERE {chance.choice(['', 'NOT '])}EXISTS (SELECT 1 FROM {{t}} AS s WHERE {chance.choice(JOINS + LISTS)} AND {where})"
            both = (f"{start} ORDER BY 1 {limit}",) * 2
        elif kind == "cross":
            start = f"SELECT w.x, s.rowid FROM (SELECT 1 AS x UNION ALL SELECT 2) AS w CROSS JOIN {{t}} AS s {rest}"
            both = (f"{start}{full}, w.x {limit}",) * 2
        elif kind == "in":
            start = f"SELECT rowid FROM o WHERE rowid IN (SELECT s.rowid FROM {{t}} AS s {rest}"
            both = f"{start}{asked} {limit}) ORDER BY 1", f"{start}{full} {limit}) ORDER BY 1"
        elif kind == "distinct":
            both = (f"SELECT DISTINCT s.lang, s.tag COLLATE BINARY FROM {{t}} AS s WHERE {where} ORDER BY 1, 2 {limit}",) * 2
        elif kind == "group":
            both = (f"SELECT s.n, count(*), min(s.distance), max(s.score) FROM {{t}} AS s WHERE {where} GROUP BY s.n ORDER BY s.n {limit}",) * 2
        elif kind == "window":
            over = chance.choice([f"row_number() OVER (ORDER BY {full})", "rank() OVER (PARTITION BY s.lang ORDER BY s.distance)",
                                  f"count(*) OVER (ORDER BY {full} ROWS 2 PRECEDING)"])
            both = (f"SELECT s.rowid, {over} FROM {{t}} AS s {rest}{full} {limit}",) * 2
        elif kind == "union":
            both = (f"SELECT s.rowid FROM {{t}} AS s WHERE {where} {chance.choice(['UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT'])} "
                    f"SELECT s.rowid FROM {{t}} AS s WHERE {self.where()} ORDER BY 1 {limit}",) * 2
        elif kind == "twice":
            both = (f"SELECT s.rowid, z.rowid FROM {{t}} AS s JOIN {{t}} AS z ON z.rowid = s.rowid + 1 {rest}{full} {limit}",) * 2
        elif kind == "cte":
            start = f"WITH near AS (SELECT s.rowid AS r, s.distance AS d FROM {{t}} AS s {rest}"
            after = ") SELECT near.r, near.d, w.lang FROM near JOIN o AS w ON w.rowid = near.r WHERE w.rowid % 2 ORDER BY near.d, near.r"
            both = start + asked + " " + limit + after, start + full + " " + limit + after
        elif kind == "correlated":
            start = f"SELECT w.rowid, (SELECT s.rowid FROM {{t}} AS s WHERE s.n = w.n AND {where} ORDER BY "
            after = " LIMIT 1) FROM (SELECT * FROM o ORDER BY rowid DESC LIMIT 5) AS w"
            both, ordered = (start + asked + after, start + full + after), False
        else:
            both = (f"SELECT count(*), sum(s.rowid), min(s.distance), total(s.n) FROM {{t}} AS s WHERE {where}",) * 2
        asked, wanted = both
        return Question(asked.replace("{t}", "t(:q)"), wanted.replace("{t}", "v"), kind, ordered=ordered)

    def sides(self, s, w="o AS w"):
        """The two tables of a join, in either order."""
        join = self.chance.choice([",", " JOIN", " CROSS JOIN"])
        return self.chance.choice([f"{s}{join} {w}", f"{w}{join} {s}"])

    def with_k(self):
        """The `k` rows of the index's own constant filters; then all else."""
        chance = self.chance
        k = chance.choice([1, 2, 3, 5, chance.randint(1, 40), 1000])
        given = self.value(k)
        given_terms = self.some(self.own, [0, 0, 1, 1, 1, 2])
        own = [term for term in given_terms if term.role != LATER]
        later = [term for term in given_terms if term.role == LATER] + self.some(self.later, [0, 0, 0, 1])
        kind = chance.choice(["plain"] * 4 + ["in", "count", "merged", "limited"] + self.modern * ["materialized"] + self.view * ["view", "view"]
                             + self.joins * (["join"] * 5 + ["left", "left", "of left", "exists", "scalar", "twice"]))
        # Asked as a call, or with MATCH and k among the terms.
        called = chance.random() < 0.5
        table = f"t(:q, {given}) AS s" if called else "t AS s"
        asked = [] if called else ["s.t MATCH :q", f"s.k = {given}"]

        def cut(more=()):
            return f"(SELECT s.* FROM v AS s WHERE {conjunction([*own, *more])} ORDER BY s.distance, s.rowid LIMIT {k}) AS s"

        def where(*terms):
            return conjunction([*asked, *own, *terms])

        order, limit = "ORDER BY s.distance, s.rowid", chance.choice(["", "", "LIMIT 3", "LIMIT 5 OFFSET 1"])
        join, few = chance.choice(JOINS), f"w.rowid % {chance.choice([1, 3, 7])} = 0"
        if kind == "plain":
            short = chance.choice([order, "ORDER BY s.distance", "ORDER BY s.score DESC"])
            columns = "SELECT s.rowid, s.distance, s.lang, s.raw FROM"
            both = f"{columns} {table} WHERE {where(*later)} {short} {limit}", f"{columns} {cut()} WHERE {conjunction(later)} {order} {limit}"
        elif kind == "join":
            sides = self.sides("{s}")
            start, end = "SELECT s.rowid, w.rowid, s.distance FROM", f"{order}, w.rowid {limit}"
            both = (f"{start} {sides} WHERE {where(*later, join, few)} {end}".replace("{s}", table),
                    f"{start} {sides} WHERE {conjunction([*later, join, few])} {end}".replace("{s}", cut()))
        elif kind == "left":
            start, end = "SELECT w.rowid, s.rowid, s.distance FROM o AS w LEFT JOIN", f"WHERE {few} ORDER BY w.rowid, s.rowid {limit}"
            both = f"{start} {table} ON {where(*later, join)} {end}", f"{start} {cut()} ON {conjunction([*later, join])} {end}"
        elif kind == "of left":
            start, end = "SELECT s.rowid, w.rowid, s.distance FROM", f"LEFT JOIN o AS w ON {join} AND {few}"
            both = (f"{start} {table} {end} WHERE {where(*later)} {order}, w.rowid {limit}",
                    f"{start} {cut()} {end} WHERE {conjunction(later)} {order}, w.rowid {limit}")
        elif kind == "exists":
            start = f"SELECT w.rowid FROM o AS w WHERE {few} AND {chance.choice(['', 'NOT '])}EXISTS (SELECT 1 FROM"
            both = f"{start} {table} WHERE {where(*later, join)}) ORDER BY 1", f"{start} {cut()} WHERE {conjunction([*later, join])}) ORDER BY 1"
        elif kind == "scalar":
            start, end = "SELECT w.rowid, (SELECT s.rowid FROM", f"{order} LIMIT 1) FROM o AS w WHERE {few} ORDER BY 1"
            both = f"{start} {table} WHERE {where(*later, join)} {end}", f"{start} {cut()} WHERE {conjunction([*later, join])} {end}"
        elif kind == "in":
            start = f"SELECT w.rowid FROM o AS w WHERE w.rowid {chance.choice(['', 'NOT '])}IN (SELECT s.rowid FROM"
            both = f"{start} {table} WHERE {where(*later)}) ORDER BY 1", f"{start} {cut()} WHERE {conjunction(later)}) ORDER BY 1"
        elif kind == "count":
            start = "SELECT count(*), sum(s.rowid), min(s.distance) FROM"
            both = f"{start} {table} WHERE {where(*later)}", f"{start} {cut()} WHERE {conjunction(later)}"
        elif kind == "twice":
            other = chance.randint(1, 9)
            start, end = "SELECT s.rowid, z.rowid FROM", f"z.rowid {chance.choice(['=', '<', '>'])} s.rowid {order}, z.rowid"
            near = f"(SELECT * FROM v ORDER BY distance, rowid LIMIT {other}) AS z"
            both = (f"{start} {table} JOIN t(:q, {other}) AS z WHERE {where(*later)} AND {end}",
                    f"{start} {cut()} JOIN {near} WHERE {conjunction(later)} AND {end}")
        else:
            return self.nested(kind, table, where, cut, own)
        asked_sql, wanted = both
        refuse = any(term.role == EITHER for term in own)
        return Question(asked_sql, wanted, f"k {kind}", may_refuse=refuse)

    def nested(self, kind, table, where, cut, own):
        """A subquery, CTE or view with k, and something around it."""
        chance = self.chance
        outer = self.some(lambda: Term(chance.choice([f"z.n > {self.value(1)}", f"z.lang = {self.value('de')}", f"z.r < {self.some_id()}", "z.n IS NULL",
                                                      f"z.lang IN ('en', {self.value('de')})"]), OWN), [0, 1, 1])
        inner = "SELECT s.rowid AS r, s.distance AS d, s.lang AS lang, s.n AS n FROM"
        joined = self.joins and chance.random() < 0.6
        join = chance.choice(["w.rowid = z.r", "z.r = w.rowid + 1", "w.n = z.n", "z.lang = w.lang", "z.d < w.x", "z.n > w.n"])
        sides = self.sides("{z} AS z") if joined else "{z} AS z"
        rest = conjunction([*outer, *joined * [join]])
        end = f"ORDER BY z.d, z.r{', w.rowid' * joined}"
        select = f"SELECT z.r, z.d{', w.rowid' * joined} FROM {sides} WHERE"
        # SQLite merges an outer filter into a subquery that is one of plain columns: it is the index's own.
        merged = [Term(t.sql.replace("z.r ", "s.rowid ").replace("z.", "s."), OWN) for t in outer]
        if kind == "view":
            if joined and chance.random() < 0.4:
                select = f"SELECT w.rowid, z.r FROM o AS w LEFT JOIN {{z}} AS z ON {join} WHERE"
                rest, merged, end = "w.rowid % 2", [], "ORDER BY w.rowid, z.r"
            near = f"(SELECT s.rowid AS r, s.distance AS d, s.lang AS lang, s.n AS n FROM v AS s WHERE {conjunction(merged)} ORDER BY s.distance, s.rowid LIMIT 7)"
            asked, wanted = select.replace("{z}", "near"), select.replace("{z}", near)
            return Question(f"{asked} {rest} {end}", f"{wanted} {rest} {end}", "k view")
        refuse = any(term.role == EITHER for term in own)
        if kind == "merged":
            asked, wanted = select.replace("{z}", f"({inner} {table} WHERE {where()})"), select.replace("{z}", f"({inner} {cut(merged)})")
        elif kind == "limited":
            few = f"ORDER BY s.distance, s.rowid LIMIT {chance.randint(1, 9)}"
            asked = select.replace("{z}", f"({inner} {table} WHERE {where()} {few})")
            wanted = select.replace("{z}", f"({inner} {cut()} {few})")
        else:
            asked = f"WITH c AS MATERIALIZED ({inner} {table} WHERE {where()}) {select.replace('{z}', 'c')}"
            wanted = select.replace("{z}", f"({inner} {cut()})")
        return Question(f"{asked} {rest} {end}", f"{wanted} {rest} {end}", f"k {kind}", may_refuse=refuse)


def conjunction(terms):
    return " AND ".join(t.sql if isinstance(t, Term) else t for t in terms) or "1"

#!/usr/bin/env bash
# Ranks the descriptions of Debian packages by meaning.
#
#   search.sh DATABASE QUERY
#
# The first run reads `apt-cache dumpavail` and embeds 2,500 descriptions into DATABASE, in steps
# that show their progress and can be interrupted and repeated; later runs only search.
set -euo pipefail
cd "$(dirname "$0")"
database=$(realpath -m "../../$1")
query=$2
wanted=2500
extension=../../dist/libbge

sql() { sqlite3 -batch -bail -cmd ".load $extension" "$database" "$@"; }

# One package a line, as CSV: name, first paragraph of the description.
packages() {
    apt-cache dumpavail | awk -v RS= -v wanted="$wanted" '
        function quote(text) { gsub(/"/, "\"\"", text); return "\"" text "\"" }
        {
            name = ""; text = ""; section = ""; inside = 0
            count = split($0, lines, "\n")
            for (i = 1; i <= count; i++) {
                line = lines[i]
                if (line ~ /^Package: /) name = substr(line, 10)
                else if (line ~ /^Section: /) section = substr(line, 10)
                else if (line ~ /^Description(-en)?: /) { sub(/^[^:]*: /, "", line); text = line; inside = 1 }
                else if (inside && line ~ /^ \./) inside = 0
                else if (inside && line ~ /^ /) text = text line
                else inside = 0
            }
            # Programs for people, without the -data and -doc parts; each name once, every second one.
            if (section ~ /^(games|education|science|graphics|sound|video|editors|hamradio|utils)$/ &&
                text != "" && name !~ /-(dev|dbg|doc|data|common)$/ && !(name in seen)) {
                seen[name] = 1
                if (++kept % 2 == 1 && written < wanted) { written++; print quote(name) "," quote(text) }
            }
        }'
}

read_packages() {
    local csv
    csv=$(mktemp)
    trap 'rm -f "$csv"' RETURN
    packages > "$csv"
    if [ "$(wc -l < "$csv")" -lt "$wanted" ] && [ "$(id -u)" = 0 ]; then
        echo "fetching Debian's package lists with apt-get update"
        apt-get -qq update
        packages > "$csv"
    fi
    if [ "$(wc -l < "$csv")" -lt 2000 ]; then
        echo "apt knows only $(wc -l < "$csv") packages; run: sudo apt-get update" >&2
        exit 1
    fi
    sql "CREATE TABLE IF NOT EXISTS packages(name TEXT PRIMARY KEY, description TEXT, embedding BLOB)" \
        ".import --csv $csv packages" 2> >(grep -v 'expected 3 columns but found 2' >&2)
}

embed() {
    local left total
    total=$(sql "SELECT count(*) FROM packages")
    while left=$(sql "SELECT count(*) FROM packages WHERE embedding IS NULL") && [ "$left" -gt 0 ]; do
        echo "embedding descriptions: $((total - left)) of $total"
        sql "UPDATE packages SET embedding = b.embedding FROM bge_batch(
                 'SELECT rowid, name || '': '' || description FROM packages WHERE embedding IS NULL LIMIT 250') AS b
             WHERE packages.rowid = b.key"
    done
}

if ! [ -s "$database" ]; then read_packages; fi
embed
echo "the packages closest in meaning to: $query"
literal="'${query//\'/\'\'}'"
sql ".mode box --wordwrap on --wrap 90" "
    WITH asked AS MATERIALIZED (SELECT bge_embed_query($literal) AS query)
    SELECT name, round(bge_cosine(embedding, query), 3) AS cosine, description
    FROM asked, packages ORDER BY cosine DESC LIMIT 8"

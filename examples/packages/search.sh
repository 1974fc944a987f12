#!/usr/bin/env bash
# Searches the descriptions of Debian packages by meaning, through a semantic index.
#
#   search.sh DATABASE [QUERY ...]
#
# The first run reads 5,000 descriptions from `apt-cache dumpavail` into DATABASE and embeds them, in
# committed steps that show their progress and can be interrupted and repeated; later runs only search.
set -euo pipefail
cd "$(dirname "$0")"
database=$(realpath -m "../../$1")
shift
wanted=5000
extension=../../dist/libbge

sql() { sqlite3 -batch -bail -cmd ".load $extension" "$database" "$@"; }

# One package a line, as CSV: name, section, first paragraph of the description.
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
            # Programs for people, without the -data and -doc parts; each name once.
            if (section ~ /^(games|education|science|graphics|sound|video|editors|hamradio|utils|web|mail|net|text|math)$/ &&
                text != "" && name !~ /-(dev|dbg|doc|data|common)$/ && !(name in seen) && written < wanted) {
                seen[name] = 1
                written++
                print quote(name) "," quote(section) "," quote(text)
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
    if [ "$(wc -l < "$csv")" -lt "$wanted" ]; then
        echo "apt knows only $(wc -l < "$csv") of $wanted packages; run: sudo apt-get update" >&2
        exit 1
    fi
    rm -f "$database"
    sql "CREATE TABLE packages(id INTEGER PRIMARY KEY, name TEXT UNIQUE, section TEXT, description TEXT)" \
        "CREATE TEMP TABLE csv(name, section, description)" \
        ".import --csv $csv csv" \
        "INSERT INTO packages(name, section, description) SELECT * FROM csv" \
        "CREATE VIRTUAL TABLE packages_bge USING bge(name, description, section UNINDEXED, content='packages')"
}

embed() {
    local done=1 left
    while [ "$done" != 0 ]; do
        left=$(sql "SELECT json_extract(bge_status('packages_bge'), '$.pending')")
        if [ "$left" != 0 ]; then echo "descriptions to embed: $left"; fi
        done=$(sql "SELECT bge_sync('packages_bge', 5)")
    done
}

search() {
    local query=$1 filter=${2:-}
    echo
    echo "the packages closest in meaning to: $query${filter:+ (of section $filter)}"
    sql ".mode box --wordwrap on --wrap 90" "
        SELECT p.name, p.section, round(s.score, 3) AS cosine, p.description
        FROM packages_bge AS s JOIN packages AS p ON p.id = s.rowid
        WHERE packages_bge MATCH '${query//\'/\'\'}' ${filter:+AND s.section = '$filter'}
        ORDER BY s.distance LIMIT 4"
}

if [ "$(sql "SELECT count(*) FROM pragma_table_list WHERE name = 'packages_bge'" 2> /dev/null)" != 1 ]; then
    read_packages
fi
embed
if [ $# -gt 0 ]; then
    for query in "$@"; do search "$query"; done
else
    search "watch the night sky and find planets"
    search "edit a photo" graphics
    search "keep track of the money I spend"
fi

#!/usr/bin/env bash
# The runs of benchmarks between two nights: fetched from a branch, compared, kept there.
#
#   benchmarks.sh fetch STORE             STORE as it was kept last; none the first time
#   benchmarks.sh keep STORE              keep STORE in place of it
#   benchmarks.sh compare BEFORE STORE …  what got slower; further options are those of `bench compare`
#
# The branch has a single commit with one compressed file, so that it does not grow with each night. It is replaced only
# if nobody else has replaced it since `fetch`, and only by a whole database that holds no fewer runs.
set -euo pipefail

BRANCH=refs/heads/benchmark-data
BASE=refs/benchmarks/base # What was fetched.
FILE=benchmarks.sqlite.gz
PYTHON=${PYTHON:-.venv/bin/python}

fetch() {
    local status=0
    git ls-remote --exit-code origin "$BRANCH" >/dev/null || status=$?
    if [ "$status" -eq 2 ]; then # Any other status is a failure, after which nothing may be kept.
        echo "There are no runs yet: origin has no branch ${BRANCH#refs/heads/}."
        git update-ref -d "$BASE"
        return
    fi
    [ "$status" -eq 0 ] || return "$status"
    git fetch --quiet --no-tags --depth 1 origin "+$BRANCH:$BASE"
    kept "$1"
    echo "$1 has $(count "$1") runs."
}

keep() {
    local base unfinished blob commit before=0
    count "$1" >/dev/null
    base=$(git rev-parse --quiet --verify "$BASE" || true)
    unfinished=$(mktemp -d)
    if [ -n "$base" ]; then
        kept "$unfinished/before"
        before=$(count "$unfinished/before")
    fi
    if [ "$(count "$1")" -lt "$before" ]; then
        echo "$1 has $(count "$1") runs, and there were $before: it is not kept." >&2
        return 1
    fi
    gzip -9 -n -c "$1" >"$unfinished/$FILE"
    blob=$(git hash-object -w "$unfinished/$FILE")
    commit=$(printf '100644 blob %s\t%s\n' "$blob" "$FILE" | git mktree | xargs git commit-tree -m "Runs of benchmarks")
    git push --quiet --force-with-lease="$BRANCH:$base" origin "$commit:$BRANCH"
    git update-ref "$BASE" "$commit"
    rm -r "$unfinished"
    echo "$(count "$1") runs are kept."
}

compare() {
    local status=0 text
    if [ ! -e "$1" ]; then
        echo "::notice::There are no runs to compare with yet"
        return
    fi
    text=$("$PYTHON" -m runinference bench compare "$@" 2>&1) || status=$?
    echo "$text"
    printf '```text\n%s\n```\n' "$text" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
    if [ "$status" -eq 2 ]; then # Such as on a machine with another processor than ever before.
        echo "::warning::Nothing could be compared"
        return
    fi
    return "$status"
}

kept() { # As it is in the commit that was fetched.
    git cat-file blob "$BASE:$FILE" | gzip -d >"$1.unfinished"
    mv "$1.unfinished" "$1"
}

count() { # Runs in a database that is whole.
    if [ ! -s "$1" ]; then
        echo "There is no $1." >&2
        return 1
    fi
    "$PYTHON" - "$1" <<'PROGRAM'
import sqlite3, sys

with sqlite3.connect(f"file:{sys.argv[1]}?mode=rw", uri=True) as store:
    ((health,),) = store.execute("PRAGMA integrity_check(1)").fetchall()
    if health != "ok":
        sys.exit(f"{sys.argv[1]} is damaged: {health}")
    print(*store.execute("SELECT count(*) FROM runs").fetchone())
PROGRAM
}

case "${1:-}" in
fetch | keep | compare) "$@" ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
    ;;
esac

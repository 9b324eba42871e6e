#!/usr/bin/env bash
# R's pROC, which tests/statistics/test_proc.py asks for its answers. Installed where there are apt-get and root; elsewhere
# this says what is missing and how to get it. Exits 0 always: a test that needs it skips, and says so too.
set -u
export DEBIAN_FRONTEND=noninteractive

present() {
    command -v Rscript >/dev/null && Rscript -e 'quit(status = !requireNamespace("pROC", quietly = TRUE))' >/dev/null 2>&1
}

apt() {
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@" >/dev/null
}

present && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "R with pROC is missing: installing r-cran-proc" >&2
    # The package lists of a fresh image are empty or old.
    apt install -y --no-install-recommends r-cran-proc 2>/dev/null ||
        { apt update && apt install -y --no-install-recommends r-cran-proc; } ||
        echo "apt-get could not install it" >&2
    present && exit 0
fi
cat >&2 <<'TEXT'
R with pROC is missing: tests/statistics/test_proc.py will skip the test that runs it (the stored answers are tested anyway).
To install it: apt-get install r-cran-proc, as root on Debian or Ubuntu; elsewhere R, and in it install.packages("pROC").
TEXT
exit 0

#!/usr/bin/env bash
# Install what tests use and pip cannot install. This needs apt-get and root. Without them, this
# script says what is missing, which tests skip, and how to install it. It always exits 0.
set -u
export DEBIAN_FRONTEND=noninteractive
# Keep systemctl from starting services. The tests start their own daemons.
export SYSTEMD_OFFLINE=1
updated=

# Print nothing on success, and the last two lines of output on failure.
apt() {
    local output
    output=$(apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@" 2>&1 >/dev/null) && return
    tail -n 2 <<<"$output" >&2
    return 1
}

# Update the package lists at most once, when an install fails. A fresh image has none, or old ones.
install() {
    apt install -y --no-install-recommends "$@" 2>/dev/null && return
    if [ -z "$updated" ]; then
        updated=yes
        apt update
    fi
    apt install -y --no-install-recommends "$@"
}

# need NAME CHECK "PACKAGES" SKIPPED [ELSEWHERE]
need() {
    local name=$1 check=$2 packages=$3 skipped=$4 elsewhere=${5:-}
    "$check" && return
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "$name is missing: installing $packages" >&2
        # shellcheck disable=SC2086 # Splits into one word per package.
        install $packages || echo "apt-get could not install $packages" >&2
        "$check" && return
    fi
    echo "$name is missing: $skipped. To install it: apt-get install $packages, as root on Debian or Ubuntu$elsewhere." >&2
}

has_proc() {
    command -v Rscript && Rscript -e 'quit(status = !requireNamespace("pROC", quietly = TRUE))'
} >/dev/null 2>&1

has_ceph() {
    type -P ceph-mon && type -P ceph-osd && type -P radosgw && type -P radosgw-admin && type -P ceph
} >/dev/null

has_chromium() {
    type -P chromium
} >/dev/null

need "R with pROC" has_proc "r-cran-proc" \
    "tests/statistics/test_proc.py skips the test that runs it, and still checks its stored results" \
    '; elsewhere R, and in it install.packages("pROC")'
need "The Ceph gateway" has_ceph "ceph-mon ceph-osd radosgw ceph-common" \
    "the tests against a real S3 server are skipped"
need "Chromium" has_chromium "chromium" \
    "the tests that look at a page in a browser are skipped"
exit 0

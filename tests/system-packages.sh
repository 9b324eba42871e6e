#!/usr/bin/env bash
# What tests use that pip doesn't bring. Installed where there are apt-get and root; elsewhere this says what is missing, what
# is skipped for it and how to get it. Exits 0 always: a test that needs one of these skips, and says so too.
set -u
export DEBIAN_FRONTEND=noninteractive
# Keeps systemctl from starting services: the tests run their own daemons, and nothing else here needs one.
export SYSTEMD_OFFLINE=1
updated=

# Quiet when it works; when it fails, its last words are enough.
apt() {
    local said
    said=$(apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@" 2>&1 >/dev/null) && return
    tail -n 2 <<<"$said" >&2
    return 1
}

# The package lists of a fresh image are empty or old; fetched at most once, and only when an install needs it.
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
        # shellcheck disable=SC2086 # a list of packages
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
    "tests/statistics/test_proc.py skips the test that runs it (the stored answers are tested anyway)" \
    '; elsewhere R, and in it install.packages("pROC")'
need "The Ceph gateway" has_ceph "ceph-mon ceph-osd radosgw ceph-common" \
    "the tests against a real S3 server are skipped"
need "Chromium" has_chromium "chromium" \
    "the tests that look at a page in a browser are skipped"
exit 0

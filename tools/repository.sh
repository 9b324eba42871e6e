#!/bin/sh
# Make repositories of git and DVC where there are none. A subfolder has no .git, and a worktree has a file of that name.
unset $(git rev-parse --local-env-vars 2>/dev/null) # a hook's or direnv's, which name another repository
if ! words=$(LC_ALL=C git rev-parse --git-dir 2>&1); then
    case $words in
    *"(or any"*) git init -q ;;
    *) echo "git: $words" >&2 ;; # it refuses the folder, or is missing; wor doctor says what to do
    esac
fi
test -d .dvc || "$1/dvc" init -q $(test -e .git || echo --subdir)

#!/bin/sh
# Print the path of a Python that this project runs on: the one that $1 names, or else the first that is found.
# A command of that name may be a shim without a Python behind it, so each is run. The path is of the Python that an
# environment was made from, as the environment may be removed.
for name in ${1:-python3.11 python3.12 python3.13 python3 python}; do
    path=$("$name" -I -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) and print(sys._base_executable)' 2>/dev/null)
    if [ -n "$path" ]; then
        echo "$path"
        exit
    fi
done
echo "error: python: ${1:-none found}. This project runs on Python 3.11, 3.12 or 3.13: make setup PYTHON=PATH" >&2
exit 2

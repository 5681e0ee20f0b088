#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# guarded_members_test.sh CLANG INCLUDE_FOLDER: Clang refuses code that touches a guarded member without its lock.
set -eu
cd "$(dirname "$0")"
compile() {
    "$1" -std=c++20 -fsyntax-only -Wthread-safety -Werror -I "$2" -DUNGUARDED="$3" unguarded.cpp 2>&1
}
compile "$1" "$2" 0
for fault in 1 2 3; do
    if said=$(compile "$1" "$2" $fault); then
        echo "unguarded.cpp compiles with -DUNGUARDED=$fault"
        exit 1
    fi
    case $said in
        *-Werror,-Wthread-safety*) ;;
        *) echo "unguarded.cpp does not compile for another reason:"; echo "$said"; exit 1 ;;
    esac
done

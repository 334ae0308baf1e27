#!/bin/bash
# The executable: compiles with the options of build/nuitka.spec into dist/girginosvm.dist, then checks what came out.
#
#   PY=PYTHON  the interpreter with the packages and Nuitka     JOBS=N  compilers at once
set -euo pipefail
cd "$(dirname "$0")/.."
PY=${PY:-.venv/bin/python}
out=dist
tree=$out/girginosvm.dist
export CCACHE_DIR=${CCACHE_DIR:-$PWD/.cache/ccache} NUITKA_CACHE_DIR=${NUITKA_CACHE_DIR:-$PWD/.cache/nuitka}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} PYTHONHASHSEED=0

missing=()
for tool in patchelf ccache gcc objdump; do command -v "$tool" >/dev/null || missing+=("${tool/objdump/binutils}"); done
if [ ${#missing[@]} -gt 0 ]; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "install first: ${missing[*]}" >&2; exit 1; }
    apt-get -qq update && apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
fi

mapfile -t options < <(grep -Ev '^[[:space:]]*(#|$)' build/nuitka.spec)
[ ! -d assets ] || options+=(--include-data-dir=assets=assets)
"$PY" -m nuitka "${options[@]}" --jobs="${JOBS:-$(nproc)}" --output-dir="$out" --report="$out/report.xml" --report-diffable

# Only what the run lock names: a compiler in a virtual environment of the tests sees far more than that.
strange=$(grep -oP '<distribution name="\K[^"]+' "$out/report.xml" | tr 'A-Z_.' 'a-z--' | sort -u |
    grep -vxFf <(grep -oP '^[a-z0-9-]+(?===)' requirements/run.txt) || true)
[ -z "$strange" ] || { echo "compiled in, though requirements/run.txt does not name it: $strange" >&2; exit 1; }
bundled=$(find "$tree" -name 'libvirt*.so.*')
[ -z "$bundled" ] || { echo "libvirt was bundled: $bundled" >&2; exit 1; }
newest=$(find "$tree" -type f \( -name '*.so*' -o -name '*.bin' \) -exec objdump -T {} + 2>/dev/null |
    grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -1)
echo "newest glibc symbol: $newest (AlmaLinux 10 has 2.39)"
[ "$(printf '%s\nGLIBC_2.39\n' "$newest" | sort -V | tail -1)" = GLIBC_2.39 ] || exit 1
du -sh "$tree"
# What has to be in it is read from the sources: a compiled package does not list its modules.
mapfile -t modules < <(find girginosvm -name '*.py' ! -name __main__.py | sed 's|/__init__.py$||; s|\.py$||; s|/|.|g' | sort)
# Away from the sources, without a home or an environment: what is imported now is what was compiled.
(cd / && env -i PATH=/usr/bin:/bin "$OLDPWD/$tree/girginosvm.bin" __selftest "${modules[@]}")

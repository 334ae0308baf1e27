#!/bin/sh
# Installs what the tests and the demo need: distribution packages, the virtual environment, npm modules.
# Run as root, from anywhere. The second run compares a stamp and ends at once.
#
#   VENV=DIR  another virtual environment than .venv (it is then not written to)
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
stamp=.cache/setup.stamp

say() { echo "setup: $*" >&2; }

# What the stamp stands for: change one of these and everything below runs anew.
want=$(cat build/setup.sh requirements/dev.txt /etc/os-release $(ls package-lock.json tests/web/package-lock.json assets/web/package-lock.json 2>/dev/null) |
    sha256sum | cut -d' ' -f1)
ready() {
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && [ -x "$venv/bin/pytest" ] || return 1
    # One at a time: dash looks at the first name only.
    for name in libvirtd virsh qemu-img nft debootstrap cpio; do
        command -v "$name" >/dev/null || return 1
    done
    for folder in . assets/web tests/web; do
        [ ! -f "$folder/package-lock.json" ] || [ -d "$folder/node_modules" ] || return 1
    done
}
if ready; then exit 0; fi
[ "$(id -u)" = 0 ] || { say "needs root to install packages; run it once as root"; exit 1; }
mkdir -p .cache

packages_debian() {
    list="python3 python3-venv python3-dev gcc pkg-config libvirt-dev libvirt-daemon-system libvirt-clients
          qemu-system-x86 qemu-utils ovmf iproute2 nftables iputils-ping util-linux kmod genisoimage e2fsprogs cpio
          binutils debootstrap openssh-client chromium"
    command -v npm >/dev/null || list="$list nodejs npm"
    missing=
    for name in $list; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
    done
    # The tiny guest is made of downloaded packages, so the lists are needed even when nothing is missing.
    if [ -n "$missing" ] || ! apt-cache show busybox-static >/dev/null 2>&1; then apt-get -qq update; fi
    [ -n "$missing" ] || return 0
    say "installing$missing"
    [ -w /usr ] || { say "/usr is read-only: cannot install$missing"; exit 1; }
    quiet_services
    # An installation that was interrupted is finished first: apt refuses to begin beside it.
    if [ -n "$(dpkg --audit)" ]; then DEBIAN_FRONTEND=noninteractive dpkg --configure -a >/dev/null; fi
    # A machine just started often updates itself: its lock is waited for (seconds).
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
        install $missing >/dev/null
}

# The tests start their own libvirtd in namespaces: an installation must not start services on this machine.
# A policy with our mark is what a killed run left: it is taken over, and goes when this run ends.
policy=/usr/sbin/policy-rc.d
mark='# written by girginosvm build/setup.sh'
quiet_services() {
    if [ -e "$policy" ] && ! grep -qxF "$mark" "$policy"; then return 0; fi
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy.new"
    chmod 755 "$policy.new"
    mv "$policy.new" "$policy"
}

# Not run: written for AlmaLinux 10, nobody has tried it yet. libvirt-devel is looked for in CRB, debootstrap and
# chromium in EPEL. libvirt-daemon is named for libvirtd itself, which the modular daemons do not need.
packages_almalinux() {
    say "AlmaLinux: this path has not been run yet"
    dnf -y -q install dnf-plugins-core epel-release
    dnf config-manager --set-enabled crb
    dnf -y -q install python3 python3-devel gcc pkgconf-pkg-config libvirt-devel libvirt-daemon libvirt-daemon-kvm \
        libvirt-client qemu-kvm qemu-img edk2-ovmf iproute nftables iputils util-linux kmod xorriso e2fsprogs cpio \
        binutils openssh-clients nodejs npm debootstrap chromium
}

. /etc/os-release
case "$ID" in
debian) packages_debian ;;
almalinux) packages_almalinux ;;
*) say "$ID is not known here; written for Debian 12 and AlmaLinux 10"; exit 1 ;;
esac

python=
for name in python3.11 python3.12 python3; do
    if "$name" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
        python=$name
        break
    fi
done
[ -n "$python" ] || { say "needs Python 3.11 or 3.12"; exit 1; }

if [ "$venv" = .venv ]; then
    lock=$(sha256sum requirements/dev.txt | cut -d' ' -f1)
    if [ "$(cat "$venv/.lock" 2>/dev/null)" != "$lock" ]; then
        say "virtual environment $venv from requirements/dev.txt"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/pip" -q --disable-pip-version-check install --require-hashes -r requirements/dev.txt
        echo "$lock" >"$venv/.lock"
    fi
fi

for folder in . assets/web tests/web; do
    [ -f "$folder/package-lock.json" ] || continue
    say "npm modules of $folder"
    (cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts)
done

echo "$want" >"$stamp"

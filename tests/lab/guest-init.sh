#!/bin/busybox sh
# Process 1 of the tiny guest. Settings come from a NoCloud seed: a disk labelled "cidata" (ISO 9660 or FAT).
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=linux
mkdir -p /proc /sys /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts && mount -t devpts pts /dev/pts
exec </dev/console >/dev/console 2>&1
# Twice: a module may be listed before one that it needs.
for module in /mod/* /mod/*; do insmod "$module" 2>/dev/null; done

tries=0
while [ ! -e /dev/vda ] && [ $tries -lt 40 ]; do usleep 50000; tries=$((tries + 1)); done
name=tiny ip='' gateway=''
for disk in /dev/vd[b-z] /dev/sr0 /dev/vda; do
    [ -e "$disk" ] || continue
    mount -o ro -t iso9660 "$disk" /seed 2>/dev/null || mount -o ro -t vfat "$disk" /seed 2>/dev/null || continue
    [ -e /seed/meta-data ] && break
    umount /seed
done
if [ -e /seed/meta-data ]; then
    found=$(sed -nE 's/.*local-hostname"?: *"?([A-Za-z0-9.-]+).*/\1/p' /seed/meta-data | head -1)
    name=${found:-$name}
    if [ -e /seed/network-config ]; then
        ip=$(grep -oE '([0-9]+\.){3}[0-9]+/[0-9]+' /seed/network-config | grep -v '^0\.0\.0\.0' | head -1)
        gateway=$(sed -nE 's/.*(gateway4|gateway|via)"?: *"?([0-9.]+).*/\2/p' /seed/network-config | head -1)
    fi
fi
hostname "$name"

ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    ip link set eth0 up
    if [ -n "$ip" ]; then
        ip addr add "$ip" dev eth0
        # A gateway outside the own subnet (a /32 guest) is reached on the link.
        [ -z "$gateway" ] || ip route add default via "$gateway" || {
            ip route add "$gateway" dev eth0
            ip route add default via "$gateway"
        }
    else
        udhcpc -i eth0 -s /bin/dhcp-bound -b -t 5 -q >/dev/null &
    fi
fi
echo "tiny $name" >/www/index.html
httpd -p 80 -h /www

mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    [ -e "$port/name" ] && ln -sf "/dev/${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
[ ! -e /dev/virtio-ports/org.qemu.guest_agent.0 ] ||
    qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -t /run -f /run/qga.pid

mkdir -p /etc/acpi/PWRF
ln -s /bin/power-off /etc/acpi/PWRF/00000080
# The guest agent calls these by name.
for word in shutdown halt; do ln -sf /bin/power-off /bin/$word; done
# acpid ends at once when it cannot write its log.
mkdir -p /var/log
acpid -c /etc/acpi

# A write that has to be in the disk after a restart.
mount -t ext4 /dev/vda1 /disk 2>/dev/null && echo "boot $name" >>/disk/boots && sync
cp /disk/boots /www/boots 2>/dev/null
[ "$(head -c2 /seed/user-data 2>/dev/null)" != '#!' ] || sh /seed/user-data

echo "TINY READY $name ${ip:-dhcp}"
while :; do setsid cttyhack sh </dev/ttyS0 >/dev/ttyS0 2>&1; sleep 1; done

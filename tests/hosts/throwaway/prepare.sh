# shellcheck shell=sh
# prepare.sh: run inside a container, make its image into one whose containers answer by ssh.
set -eu
if command -v apt-get; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq -y --no-install-recommends install \
    systemd systemd-sysv dbus procps iproute2 openssh-server python3 python3-apt
  apt-get clean
  rm -rf /var/lib/apt/lists/*
elif dnf=$(command -v dnf || command -v microdnf || command -v yum); then
  "$dnf" -y install systemd procps-ng iproute openssh-server python3
  "$dnf" clean all
elif command -v pacman; then
  pacman -Syu --noconfirm --needed systemd-sysvcompat procps-ng iproute2 openssh python
  rm -rf /var/cache/pacman/pkg/* /var/lib/pacman/sync/*
elif command -v zypper; then
  zypper --non-interactive install systemd procps iproute2 openssh-server python3
  zypper clean --all
elif command -v apk; then
  # No systemd there: such a host is a plain one.
  apk add --no-cache procps iproute2 openssh-server python3
else
  echo "None of apt-get, dnf, microdnf, yum, pacman, zypper and apk is in this image." >&2
  exit 1
fi
ssh-keygen -A
mkdir -p /root/.ssh
chmod 700 /root/.ssh
: >/etc/machine-id
if command -v systemctl; then
  systemctl enable ssh.service 2>/dev/null || systemctl enable sshd.service
  # What only costs time in a host of a few minutes, wants hardware, or the engine does itself.
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer dnf-makecache.timer console-getty.service getty@.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service \
    systemd-resolved.service systemd-timesyncd.service systemd-firstboot.service; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
  done
  ln -sf /usr/lib/systemd/system/multi-user.target /etc/systemd/system/default.target
fi

# shellcheck shell=sh
# Sourced by the recipes that turn a copy of a Debian root into another distribution.
# They run in namespaces of their own: no mount of theirs has to be undone.

# What Debian's packages become in the other distribution: nginx, openssl, and all the rest
# of /srv/repo, which is what python3-cryptography needs.
unpack_packages() { # unpack_packages ROOT: into ROOT/tmp/{nginx,openssl,cryptography}
  for deb in "$1"/srv/repo/*.deb; do
    case ${deb##*/} in
      nginx[_-]*) part=nginx ;;
      openssl_*) part=openssl ;;
      *) part=cryptography ;;
    esac
    mkdir -p "$1/tmp/$part"
    dpkg-deb -x "$deb" "$1/tmp/$part"
  done
}

upstream_version() { # upstream_version ROOT PACKAGE: of a package in ROOT/srv/repo
  dpkg-deb -f "$1/srv/repo/$2"_*.deb Version | sed -E 's/^[0-9]+://; s/-[^-]*$//; s/~/./g'
}

install_debs() { # install_debs ROOT FOLDER
  mount -t proc proc "$1/proc"
  cp -r "$2" "$1/tmp/debs"
  chroot "$1" sh -c 'DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io -i /tmp/debs/*.deb'
  rm -r "$1/tmp/debs"
}

# From here on nobody can tell that the packages were Debian's, nor its package manager be used.
forget_debian() { # forget_debian ROOT
  rm -rf "$1"/etc/debian_version "$1"/etc/os-release "$1"/usr/lib/os-release "$1"/etc/issue* \
    "$1"/etc/dpkg "$1"/var/lib/dpkg "$1"/usr/bin/dpkg* "$1"/usr/sbin/dpkg* "$1"/usr/lib/dpkg \
    "$1"/etc/apt "$1"/var/lib/apt "$1"/var/cache/apt "$1"/usr/bin/apt* "$1"/usr/lib/apt \
    "$1"/usr/lib/python3/dist-packages/apt "$1"/usr/lib/python3/dist-packages/apt[s_]* \
    "$1"/usr/lib/python3/dist-packages/python_apt* \
    "$1"/usr/sbin/update-rc.d "$1"/usr/sbin/invoke-rc.d "$1"/usr/bin/deb-systemd* \
    "$1"/srv/repo "$1"/srv/newer "$1"/srv/firewalls "$1"/srv/nginx.org
  for file in passwd group shadow gshadow; do
    sed -i '/^www-data:/d' "$1/etc/$file"
  done
}

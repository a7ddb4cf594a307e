# shellcheck shell=sh
# keeper.sh GROUP... -- COMMAND...: keep systemd-nspawn running in control groups.
# systemd-nspawn ends with status 133 when its host reboots, to be started again, and makes the
# host's groups below the one it is started in.
set -u
groups=
while [ "$1" != -- ]; do
  groups="$groups $1"
  shift
done
shift
for group in $groups; do
  # Not with -p: where the group is gone, the host has been given up already.
  [ -d "$group/keeper" ] || mkdir "$group/keeper" || exit 1
  echo 0 >"$group/keeper/cgroup.procs" || exit 1
done
status=133
while [ "$status" = 133 ]; do
  (
    for group in $groups; do
      echo 0 >"$group/cgroup.procs" || exit 1
    done
    exec "$@"
  )
  status=$?
done

#!/bin/sh
# previous.sh CHECKOUT FOLDER: unpack the newest tagged version into FOLDER, as a collection.
set -eu
git() { command git -c safe.directory='*' -C "$checkout" "$@"; }
checkout=$1 folder=$2/ansible_collections/edge/mtls
# HEAD may be the tag itself, on the day of a release.
version=$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null) || {
  version=HEAD
  echo "There is no tag yet; the last commit stands in for the previous version."
}
rm -rf "$2"
mkdir -p "$folder"
git archive "$version" galaxy.yml meta playbooks plugins roles | tar -x -C "$folder"
echo "The previous version is $version."

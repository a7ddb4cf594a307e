#!/bin/sh
# Issue certificates with the openssl program: openssl.sh FOLDER AUTHORITY COUNT
set -eu

folder=$1 authority=$2 count=$3
umask 077
mkdir -p "$folder"
cat >"$folder/extensions.cnf" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END

number=0
while [ "$number" -lt "$count" ]; do
    name=$(printf 'client%06d' "$number")
    serial=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    path=$folder/$name
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$path.key.pem"
    openssl req -new -key "$path.key.pem" -subj "/CN=$name" -out "$path.request.pem"
    openssl x509 -req -in "$path.request.pem" -CA "$authority/issuer.pem" \
        -CAkey "$authority/issuer.key.pem" -set_serial "0x$serial" -days 365 -sha256 \
        -extfile "$folder/extensions.cnf" -out "$path.certificate.pem"
    cat "$path.certificate.pem" "$authority/issuer.pem" >"$path.fullchain.pem"
    sync "$path.key.pem" "$path.certificate.pem" "$path.fullchain.pem" "$folder"
    printf '%s\t%s\n' "$serial" "$name" >>"$folder/index.txt"
    number=$((number + 1))
done
sync "$folder/index.txt"

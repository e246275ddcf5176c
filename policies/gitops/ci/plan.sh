#!/bin/sh
# What this commit would change. Exit code 0: it is right, whether or not it changes something; 1: it is wrong.
set -u
cd "$(dirname "$0")/.." || exit 1
sluicectl plan -f policy/policy.yaml
case $? in
0) changed=false ;;
2) changed=true ;;
*) exit 1 ;;
esac
[ -z "${GITHUB_OUTPUT:-}" ] || echo "changed=$changed" >>"$GITHUB_OUTPUT"

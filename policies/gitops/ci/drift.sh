#!/bin/sh
# Does the firewall run what the repository says? Exit code 0 yes, 2 no (the difference is printed), 1 it could not be asked.
cd "$(dirname "$0")/.." || exit 1
exec sluicectl plan -f policy/policy.yaml --no-flows

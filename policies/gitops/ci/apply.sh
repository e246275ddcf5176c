#!/bin/sh
# Puts this commit's policy in force: on probation first, for good if SLUICE_CHECK is content. Where the policy asks for
# approvals it is handed in, and others let it go. Exit code 1: the policy of before is in force, or will be when the
# probation is over.
#   SLUICE_CONFIRM        how long the probation may take (10m)
#   SLUICE_GUARD          leave it at once if a rate gets worse by so many points (drop-rate=10,refused-flows=20)
#   SLUICE_CHECK          a command that fails if what must work does not; empty = only the guard watches, for 15 s
#   SLUICE_CONFIRM_TOKEN  token of the role approver; empty = a person confirms
set -u
cd "$(dirname "$0")/.." || exit 1
commit=${GITHUB_SHA:-${CI_COMMIT_SHA:-$(git rev-parse HEAD)}}
author=${GITHUB_ACTOR:-${GITLAB_USER_LOGIN:-$(git log -1 --format=%ae "$commit")}}

sluicectl plan -f policy/policy.yaml --no-flows >/dev/null
case $? in
0)
    echo "nothing to do: the firewall runs this policy"
    exit 0
    ;;
2) ;;
*) exit 1 ;;
esac

applied=$(sluicectl apply -f policy/policy.yaml --confirm "${SLUICE_CONFIRM:-10m}" \
    --guard "${SLUICE_GUARD:-drop-rate=10,refused-flows=20}" \
    --reason "commit $commit by $author" --idempotency-key "$commit" -o json)
case $? in
0) ;;
3)
    echo "the policy in force asks for approvals; it is applied with the last: sluicectl changes list --state pending"
    exit 0
    ;;
*) exit 1 ;;
esac
generation=$(printf '%s' "$applied" | sed -n 's/.*"generation":\([0-9]*\).*/\1/p')
echo "generation $generation is on probation"

if [ -z "${SLUICE_CONFIRM_TOKEN:-}" ]; then
    echo "somebody with the role approver confirms it: sluicectl confirm $generation"
    exit 0
fi
if ! sh -c "${SLUICE_CHECK:-sleep 15}"; then
    echo "the check failed: back to the policy of before" >&2
    SLUICE_TOKEN=$SLUICE_CONFIRM_TOKEN sluicectl rollback --reason "the check of commit $commit failed"
    exit 1
fi
# Refused if its guard has left it meanwhile; the reason is in the answer.
SLUICE_TOKEN=$SLUICE_CONFIRM_TOKEN sluicectl confirm "$generation" --reason "the check of commit $commit is content"

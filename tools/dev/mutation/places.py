"""Which files are broken: the parts where a mistake lets a packet through, or a bad table in."""
import itertools
import os
import random
import re
import subprocess

from .operators import expression_mutants
from .statements import statement_mutants

GROUPS = {
    "flow": ["dataplane/flow/tcp_state.cpp", "dataplane/flow/tcp_window.hpp", "dataplane/flow/sctp_state.cpp",
             "dataplane/flow/flow_table.cpp", "dataplane/flow/ageing.cpp", "dataplane/flow/phase.cpp",
             "dataplane/flow/source_table.cpp", "dataplane/flow/flow_recovery.cpp",
             "dataplane/flow/syn_cookie.cpp", "dataplane/flow/segments_beside.hpp", "dataplane/flow/server_habits.hpp"],
    "acl": ["dataplane/acl/addresses_body.hpp", "dataplane/acl/blocks_body.hpp", "dataplane/acl/check.cpp",
            "dataplane/acl/lookup_body.hpp", "dataplane/acl/trees_body.hpp",
            "dataplane/acl/validate_addresses.cpp", "dataplane/acl/validate_rules.cpp",
            "dataplane/acl/validate_transport.cpp", "dataplane/acl/validate_trees.cpp",
            "dataplane/acl/validate_zones.cpp", "dataplane/acl/validator.cpp"],
    "parse": ["dataplane/pipeline/parse_inner.cpp", "dataplane/pipeline/parse_ipv4.cpp",
              "dataplane/pipeline/parse_ipv6.cpp", "dataplane/pipeline/parse_l4.cpp",
              "dataplane/pipeline/parse_link.cpp", "dataplane/pipeline/parse_nd.cpp",
              "dataplane/pipeline/parse_fragment.cpp", "dataplane/pipeline/parse_sctp.cpp",
              "dataplane/pipeline/parse_plain.hpp"],
    "stages": ["dataplane/pipeline/track.cpp", "dataplane/pipeline/classify.cpp", "dataplane/pipeline/admit.cpp",
               "dataplane/pipeline/limits.cpp", "dataplane/pipeline/fragment_store.cpp",
               "dataplane/pipeline/reassemble.cpp", "dataplane/pipeline/answer.cpp", "dataplane/pipeline/usual.hpp",
               "dataplane/pipeline/rejudge.cpp", "dataplane/pipeline/sweep.cpp"],
    "syn_proxy": ["dataplane/pipeline/syn_proxy.cpp", "dataplane/pipeline/syn_proxy_opening.cpp",
                  "dataplane/pipeline/translate.cpp"],
    "shm": ["dataplane/manager/attach.cpp", "dataplane/manager/generations.cpp", "dataplane/manager/memfd.cpp",
            "dataplane/manager/last_good.cpp"],
    "sets": ["dataplane/acl/set_table.cpp", "dataplane/acl/set_view.hpp", "dataplane/manager/set_keeper.cpp",
             "controlplane/compiler/changing_sets.cpp"],
    "compiler": ["controlplane/compiler/address_table.cpp", "controlplane/compiler/classes.cpp",
                 "controlplane/compiler/lines.cpp", "controlplane/compiler/tree.cpp",
                 "controlplane/compiler/tree_block.cpp", "controlplane/compiler/tree_cut.cpp",
                 "controlplane/compiler/compiler.cpp",
                 "controlplane/compiler/ranges.cpp", "controlplane/compiler/slot_map.cpp",
                 "controlplane/compiler/terms.cpp"],
    "access": ["controlplane/api/authenticator.cpp", "controlplane/api/event_feed.cpp",
               "controlplane/api/gateway.cpp", "controlplane/identity/attempt_limit.cpp"],
}  # fmt: skip


def group_of(file):
    return next((name for name, files in GROUPS.items() if file in files), os.path.dirname(file))


def mutants_of(root, file):
    """All mutants of a file, in the order of their places."""
    with open(os.path.join(root, file), encoding="utf-8") as opened:
        text = opened.read()
    found = [*expression_mutants(file, text), *statement_mutants(file, text)]
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.new))


def sampled(mutants, count, seed):
    if count == 0 or count >= len(mutants):
        return mutants
    chosen = set(random.Random(f"sample {seed}").sample(range(len(mutants)), count))
    return [mutant for i, mutant in enumerate(mutants) if i in chosen]


def spread(mutants, count, seed):
    """As many of each group as there are, in turns: for a run that ends by the clock, which must not end in one group."""
    groups = {}
    for mutant in mutants:
        groups.setdefault(group_of(mutant.file), []).append(mutant)
    for name, of_group in groups.items():
        random.Random(f"spread {seed} {name}").shuffle(of_group)
    turns = [mutant for turn in itertools.zip_longest(*groups.values()) for mutant in turn if mutant is not None]
    return turns[:count] if count else turns


def changed_lines(root, base, files):
    """file -> line numbers that differ from the point where `base` was left."""
    fork = subprocess.run(
        ["git", "-C", root, "merge-base", base, "HEAD"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    diff = subprocess.run(
        ["git", "-C", root, "diff", "-U0", "--no-color", fork, "--", *files], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    lines, current = {}, None
    for line in diff.split("\n"):
        if line.startswith("+++ "):
            current = line[6:] if line.startswith("+++ b/") else None
        elif current and (found := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line)):
            first, count = int(found[1]), int(found[2] or 1)
            lines.setdefault(current, set()).update(range(first, first + count))
    return lines

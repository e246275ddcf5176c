#!/usr/bin/python3
"""The publish protocol, every state of it:   tests/model/run.py [--only PART_OF_NAME]   (needs Debian's spin, and cc)

Explores each part of publish.pml whole: no violation may be found. Then the same with mistakes built in, each of which
must be found, and with claims that something never happens, each of which must be refuted: a model that finds nothing
proves nothing. Prints `ok NAME` or `FAIL NAME: why`.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
MODEL = os.path.join(HERE, "publish.pml")
DEPTH = 2_000_000  # steps in a row; four times the longest there is, and pan says if it was too few

# Mistakes and refuted claims, each in the part where it can be made.
PARTS = {
    "READERS": (
        "BUG_POINTER_BEFORE_SEQUENCE",
        "BUG_QUIESCE_FOR_A_NEWER_NODE",
        "BUG_TAKES_TWICE_IN_A_BURST",
        "BUG_ONLINE_IS_RELEASE",
        "BUG_PUBLISH_IS_RELEASE",
        "BUG_FREES_WITHOUT_WAITING",
        "BUG_OFF_BY_ONE",
        "BUG_COMPARE_WRAPS",
        "SHOW_ADOPTED_AFTER_WRAP",
    ),
    "FOUR": ("BUG_GIVES_A_STALLED_WORKER_UP", "SHOW_REFUSED"),
    "LIFE": (
        "BUG_ANSWERS_BEFORE_RECORD",
        "BUG_RECORD_IN_PARTS",
        "BUG_REVERT_KEEPS_ITS_SEQUENCE",
        "SHOW_REVERTED",
        "SHOW_RESTARTED_UNCONFIRMED",
    ),
    "FLOWS": ("BUG_POLICY_SEQ_ZERO", "BUG_IDLE_FLOWS_LIVE_ON"),
}

# What the model takes from the code, word for word: whoever changes one of these looks at the model as well.
MODELLED = {
    "dataplane/pipeline/qsbr.hpp": (
        "void publish(const Node* node) noexcept { current_.store(node, std::memory_order_seq_cst); }",
        "const std::uint64_t seen = slots_[r].seen.load(std::memory_order_seq_cst);",
        "if (seen != 0 && seen < sequence) late |= std::uint64_t{1} << r;",
        "slots_[r].seen.store(1, std::memory_order_seq_cst);",
        "const Node* current() const noexcept { return current_.load(std::memory_order_seq_cst); }",
        "if (node != nullptr) slots_[r].seen.store(node->sequence, std::memory_order_release);",
        "void offline(std::uint32_t r) noexcept { slots_[r].seen.store(0, std::memory_order_release); }",
    ),
    "dataplane/manager/generations.hpp": ("inline constexpr std::size_t kUnretiredMax = 4;",),
    "dataplane/manager/generations.cpp": (
        'if (low == 0) ++sequence_;  // a flow\'s 0 means "never judged"',
        "retiring_.push_back({std::move(current_), sequence_});",
        "return tables_.readers_before(r.left_at) == 0;",
    ),
}

# And in which order: each step stands once in its function, behind the one before. Behind its last step a worker names
# the tables of its burst no more.
ORDERED = {
    "dataplane/pipeline/worker.cpp": {
        "std::size_t Worker::run_once(TscTime now) noexcept {": (
            "const ActiveTables* active = w.tables.current();",
            "w.flows.use(",
            "w.walk_timed(w.burst, *active);",
            "w.sweep.run(active->view,",
            "w.flows.age(",
            "w.fragments.expire(moment,",
            "w.walk_of_manager.serve(",
            "w.tables.quiesce(w.config.index, active);",
        ),
    },
    "dataplane/manager/generations.cpp": {
        "bool Generations::tell_time(std::uint64_t unix_s) {": (
            "!may_switch()) return false;",
            "publish(running_, false);",
        ),
        "void Generations::publish(const Held& generation, bool compare) {": (
            "    ++sequence_;\n",
            "node->active.sequence = sequence_;",
            "node->active.policy_seq = static_cast<std::uint32_t>(sequence_);",
            "node->active.valid_since = node->valid_since;",
            "node->generation = generation;",
            "tables_.publish(&node->active);",
            "retiring_.push_back(",
            "current_ = std::move(node);",
        ),
        "std::uint64_t Generations::switch_to(Held generation, abi::StateSource source, abi::MonoTime confirm_deadline) {": (
            "publish(generation, true);",
            "if (!unconfirmed && running_) previous_ = running_;",
            "running_ = std::move(generation);",
            "confirm_deadline_ = confirm_deadline;",
        ),
        "bool Generations::revert(std::uint64_t leave, abi::StateSource source) {": (
            "!may_switch()) return false;",
            "switch_to(std::exchange(previous_, nullptr), source, {});",
            "previous_ = nullptr;",
        ),
    },
    "dataplane/manager/requests.cpp": {
        "bool Manager::on_offer(ClientId client, const abi::Offer& offer, std::vector<UniqueFd> fds) {": (
            "accept_offer(client, offer,",
            "store_.keep(**accepted);",
            "generations_.switch_to(",
            "record();",
            "switched(client,",
        ),
        "void Manager::on_confirm(ClientId client, const abi::Confirm& confirm) {": (
            "generations_.confirm(confirm.generation)",
            "record();",
            "socket_->send(client, answer(abi::AnswerKind::adopted, request));",
        ),
        "void Manager::on_revert(ClientId client, const abi::Revert& revert) {": (
            "generations_.may_switch()",
            "generations_.revert(revert.generation, abi::StateSource::reverted)",
            "record();",
            "switched(client,",
        ),
    },
    "dataplane/manager/manager.cpp": {
        "void Manager::answer_pending(abi::MonoTime now) {": (
            "generations_.late_workers(p.sequence);",
            "answer(late == 0 ? abi::AnswerKind::adopted : abi::AnswerKind::stalled, p.request);",
            "socket_->send(p.client, reply);",
        ),
        "void Manager::revert_at_deadline(abi::MonoTime now) {": (
            "generations_.revert(left, abi::StateSource::reverted)",
            "record();",
            "notice(abi::NoticeKind::reverted, 0);",
        ),
    },
}
LAST_MENTION = ("active", "w.tables.quiesce(w.config.index, active);")


class Failed(Exception):
    pass


def finished(argv, folder, what):
    done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Failed(f"{what}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else 'no reason given'}")
    return done.stdout


def explore(part, variant):
    """Returns (violation or None, number of states)."""
    with tempfile.TemporaryDirectory(prefix="sluice-model-") as folder:
        finished(["spin", "-a", f"-D{part}", *([f"-D{variant}"] if variant else []), MODEL], folder, "spin")
        # The whole exploration deserves an optimized checker; a mistake is found before that has paid.
        level, hash_bits = ("-O0", 20) if variant else ("-O2", 23)
        finished(["cc", level, "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=6000", "-o", "pan", "pan.c"], folder, "cc")
        said = finished(["./pan", f"-m{DEPTH}", f"-w{hash_bits}"], folder, "pan")
    if "out of memory" in said or "max search depth too small" in said or "resource" in said.lower():
        raise Failed("not explored whole: memory or depth too small")
    violation = re.search(r"^pan:\d+: (.*?) \(at depth", said, re.M)
    states = re.search(r"^\s*(\d+) states, stored", said, re.M)
    errors = re.search(r"errors: (\d+)", said)
    if states is None or errors is None or (int(errors[1]) != 0) != (violation is not None):
        raise Failed(f"pan's words are not understood: {said.strip().splitlines()[-1]}")
    if violation is None and "Search not completed" in said:
        raise Failed("not explored whole")
    return violation[1] if violation else None, int(states[1])


def complaint_of(part, variant):
    """Returns (complaint or None, remark)."""
    violation, states = explore(part, variant)
    if variant is None:
        return violation and f"violated: {violation}", f"{states} states, all of them"
    return None if violation else f"not found in {states} states", violation and f"found: {violation}"


def out_of_order(text, head, steps):
    """A complaint about one function of a file, or None."""
    start = text.find(head)
    if start < 0:
        return f"no longer has `{head}`"
    body, at = text[start : text.index("\n}\n", start)], 0
    for step in steps:
        if body.count(step) != 1:
            return f"has `{step.strip()}` {body.count(step)} times, not once, in `{head}`"
        found = body.index(step)
        if found < at:
            return f"no longer has `{step.strip()}` in its place in `{head}`"
        at = found
    word, last = LAST_MENTION
    if steps[-1] == last and re.search(rf"\b{word}\b", re.sub("//.*", "", body[at + len(last) :])):
        return f"names `{word}` behind `{last}`"
    return None


def is_as_modelled(texts=None):
    """A complaint or None. `texts`: path -> what stands there, for a test."""
    cure = "change tests/model/publish.pml with it, then the list in run.py"
    for path in {**MODELLED, **ORDERED}:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            text = (texts or {}).get(path) or file.read()
        for line in MODELLED.get(path, ()):
            if line not in text:
                return f"{path} no longer has `{line}`: {cure}"
        for head, steps in ORDERED.get(path, {}).items():
            if complaint := out_of_order(text, head, steps):
                return f"{path} {complaint}: {cure}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--long", action="store_true", help="accepted for tools/test; the whole is explored always")
    options = parser.parse_args()
    failed = 0
    complaint = is_as_modelled()
    print(f"FAIL model/code-as-modelled: {complaint}" if complaint else "ok model/code-as-modelled", flush=True)
    failed += complaint is not None
    for part, variants in PARTS.items():
        for variant in (None, *variants):
            name = "model/" + "-".join([part, *([variant] if variant else [])]).lower().replace("_", "-")
            if options.only not in name:
                continue
            started = time.monotonic()
            try:
                complaint, remark = complaint_of(part, variant)
            except Failed as problem:
                complaint, remark = str(problem), ""
            print(f"FAIL {name}: {complaint}" if complaint else f"ok {name}", flush=True)
            print(f"    {remark}, {time.monotonic() - started:.1f} s", flush=True)
            failed += complaint is not None
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

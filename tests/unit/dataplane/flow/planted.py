#!/usr/bin/python3
"""Plants one bug at a time into the trackers of TCP and SCTP and expects the flow tests to go red.

    tests/unit/dataplane/flow/planted.py            all; needs a build (tools/dev/build flow_test)
    tests/unit/dataplane/flow/planted.py NAME...    some, by the names in the list below

tools/test runs it in the suite `mutation` (so with --long, or by --only mutation).

A bug is a piece of text of a product file, however its lines are broken, and what stands there instead; one that is no
longer there exactly once is an error, so that the list follows the code. The mutated file is compiled beside the build with the build's own flags
and linked with the build's test objects; the work tree is not touched. Each bug is first shown to the rows, which are
quick, and then to 30,000 conversations of the model.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
STATE, WINDOW, AGEING = "dataplane/flow/tcp_state.cpp", "dataplane/flow/tcp_window.hpp", "dataplane/flow/ageing.cpp"
SCTP = "dataplane/flow/sctp_state.cpp"

# name, file, text, what stands there instead
BUGS = [
    ("upper edge off by one", WINDOW, "if (at > history + 2 * offered_peer)", "if (at >= history + 2 * offered_peer)"),
    ("no upper edge", WINDOW, "if (at > history + 2 * offered_peer) return WindowFit::out_of_window;", ""),
    ("overshoot counted at the edge", WINDOW, "return at > history + offered_peer ?", "return at >= history + offered_peer ?"),
    ("history from the wrong window", WINDOW,
     "history = std::max(offered_peer, kHistoryBytesMin);\n    const std::uint32_t at",
     "history = std::max(offered_from, kHistoryBytesMin);\n    const std::uint32_t at"),
    ("short history", WINDOW, "kHistoryBytesMin = 2 * 66'000", "kHistoryBytesMin = 66'000"),
    ("ack of what was never sent", WINDOW, "(flow.seq_end[peer] - flow.seq_acked[peer])) return WindowFit::bad_ack",
     "(flow.seq_end[peer] - flow.seq_acked[peer]) + 1) return WindowFit::bad_ack"),
    ("acks from any time", WINDOW, "const std::uint32_t ack_at = ack - flow.seq_acked[peer] + ack_history;",
     "const std::uint32_t ack_at = beyond(ack, flow.seq_acked[peer]) ? ack - flow.seq_acked[peer] + ack_history : 0;"),
    ("order of numbers without the wrap", WINDOW, "return static_cast<std::int32_t>(a - b) > 0;", "return a > b;"),
    ("what is ahead counted from the end", WINDOW,
     "if (beyond(end, flow.seq_acked[me]) && ahead > flow.seq_end[me] - flow.seq_acked[me]) flow",
     "if (ahead != 0 && beyond(end, flow.seq_end[me])) flow"),
    ("windows forgotten", WINDOW, "std::max(flow.window_max[me], window)", "window"),
    ("a closed window lets no probe pass", WINDOW, "std::max<std::uint32_t>(flow.window_max[index(d)], 1)",
     "std::uint32_t{flow.window_max[index(d)]}"),
    ("SYN windows are scaled", WINDOW, "return is_opening(flow.phase) ? units :", "return false ? units :"),
    ("scale though one side has not offered", STATE,
     "window_scale(flow, Direction::original) != kNoScale && window_scale(flow, Direction::reply) != kNoScale;",
     "window_scale(flow, Direction::original) != kNoScale || window_scale(flow, Direction::reply) != kNoScale;"),
    ("SYN window not brought to units", STATE, "(flow.window_max[index(d)] + (1U << scale) - 1) >> scale)",
     "flow.window_max[index(d)])"),
    ("SYN window rounded down", STATE, "(flow.window_max[index(d)] + (1U << scale) - 1) >> scale)",
     "flow.window_max[index(d)] >> scale)"),
    ("early window not scaled", STATE, "std::uint32_t{s.window} << (both_scale(flow) ? window_scale(flow, from) : 0)",
     "std::uint32_t{s.window}"),
    ("a repeated SYN forgets its data", STATE, "if (!again || beyond(end, flow.seq_end[me]))", "if (true)"),
    ("a repeated SYN forgets its scale", STATE, "if (offered || !again)", "if (true)"),
    ("SYN-ACK may acknowledge too much", STATE, "return ack - first <= flow.seq_end[index(side)] - first;",
     "return ack - first <= flow.seq_end[index(side)] - first + 1;"),
    ("any RST in the window closes", STATE, "if (rst_is_exact(flow, from, s.seq)) return passed(FlowPhase::closed);\n    // A",
     "if (s.seq - flow.seq_acked[me] < 64'000) return passed(FlowPhase::closed);\n    // A"),
    ("RST before a gap does not close", STATE, "return seq == flow.seq_acked[index(from)] || seq ==", "return seq =="),
    ("RST behind unacknowledged data does not close", STATE,
     "return seq == flow.seq_acked[index(from)] || seq == flow.seq_end[index(from)];",
     "return seq == flow.seq_acked[index(from)];"),
    ("RST anywhere passes", STATE, "if (s.seq - flow.seq_acked[me] > waited_for) {", "if (false) {"),
    ("RST that forgets the SYN", STATE, "is_opening(flow.phase) && from == Direction::reply && (s.flags & kAck) != 0",
     "false && is_opening(flow.phase) && from == Direction::reply && (s.flags & kAck) != 0"),
    ("inexact RST is a sign of life", STATE, "return passed_quietly(flow.phase, over ? 0 : tcp_note::inexact_rst);",
     "TcpResult r = passed(flow.phase);\n    r.notes = over ? 0 : tcp_note::inexact_rst;\n    return r;"),
    ("RST to a SYN unchecked", STATE, "if ((s.flags & kAck) == 0 || !acks_syn_of(flow, Direction::original, s.ack)) {",
     "if ((s.flags & kAck) == 0) {"),
    ("FIN acknowledged by anything", STATE,
     "flow.has(fin_flag(peer)) && flow.seq_acked[index(peer)] == flow.seq_end[index(peer)]", "flow.has(fin_flag(peer))"),
    ("TIME-WAIT after one FIN's ACK", STATE,
     "flow.has(flow_flag::fin_acked_original) && flow.has(flow_flag::fin_acked_reply)",
     "(flow.has(flow_flag::fin_acked_original) || flow.has(flow_flag::fin_acked_reply))"),
    ("SYN on a live flow refreshes", STATE,
     "case Check::live_syn: return passed_quietly(flow.phase, tcp_note::syn_on_live);",
     "case Check::live_syn: return passed(flow.phase);"),
    ("TIME-WAIT reopens on the old number", STATE, "if (beyond(s.seq, flow.seq_end[index(from)])) return reopened();",
     "if (!beyond(flow.seq_end[index(from)], s.seq)) return reopened();"),
    ("challenge ACK with data", STATE, "if (s.payload_bytes != 0) return dropped(DropReason::tcp_bad_ack);", ""),
    ("strict lets pass", STATE, "if (check == SeqCheck::strict) return dropped(reason_of(fit));", ""),
    ("log drops", STATE, "if (check == SeqCheck::strict) return dropped(DropReason::tcp_bad_rst);",
     "return dropped(DropReason::tcp_bad_rst);"),
    ("unknown windows are checked", STATE, "flow.window_scales == kScalesUnknown || check == SeqCheck::off",
     "check == SeqCheck::off"),
    ("roles flip: reply's SYN on a live flow", STATE, "{{bad_flags, again, stay, fin_r, reset}}",
     "{{live, again, stay, fin_r, reset}}"),
    ("data pass a closed flow", STATE, "return {{{reopen, dead, dead, dead, dead}},", "return {{{reopen, dead, stay, dead, dead}},"),
    ("simultaneous open refused", STATE, "{{{P::syn_crossed, C::opens}, received,", "{{bad_flags, received,"),
    ("unacknowledged timeout for all flows", AGEING, "in_flight_ = ticks_;", "in_flight_ = ticks_;\n    ticks_[static_cast<std::size_t>(FlowPhase::established)] = ticks_of(t.tcp_unacknowledged_ms);"),
    ("unacknowledged timeout for none", AGEING, "ticks = std::min(ticks, unacknowledged);", "(void)ticks;"),
    ("a second SYN replaces the first", STATE, "if (from == Direction::original && s.seq + 1 != flow.seq_acked[index(from)]) {", "if (false) {"),
    ("a refusal of any SYN", STATE, "return (s.flags & rst_ack) == rst_ack && s.ack - (syn.seq + 1) <= tcp_end(syn) - (syn.seq + 1);",
     "return (s.flags & rst_ack) == rst_ack;"),
    ("quotes from any time", STATE, "return seq - flow.seq_acked[me] + history <= history + (flow.seq_end[me] - flow.seq_acked[me]);",
     "return !beyond(seq, flow.seq_end[me]);"),
    ("quotes of what was never sent", STATE, "return seq - flow.seq_acked[me] + history <= history + (flow.seq_end[me] - flow.seq_acked[me]);",
     "return seq - flow.seq_acked[me] + history <= history + (flow.seq_end[me] - flow.seq_acked[me]) + 1;"),
    ("quotes measured by the sender's window", STATE, "const std::uint32_t history = window_bytes(flow, opposite(sender));",
     "const std::uint32_t history = window_bytes(flow, sender);"),
    ("any tag will do", SCTP, "if (fit == Fit::none) return dropped(DropReason::sctp_bad_vtag);", ""),
    ("tags of the other direction", SCTP, "const Direction named_by = p.reflected ? opposite(from) : from;",
     "const Direction named_by = opposite(from);"),
    ("T bit ignored", SCTP, "const Direction named_by = p.reflected ? opposite(from) : from;", "const Direction named_by = from;"),
    ("a second INIT ACK replaces the first", SCTP, "if (tag(flow, of) == 0) tag(flow, of) = t;", "tag(flow, of) = t;"),
    ("a second INIT ACK is forgotten", SCTP, "if (tag(flow, of) != t) candidate(flow, of) = t;", ""),
    ("an INIT restarts at once", SCTP, "candidate(flow, peer) = p.init_tag; candidate(flow, from) = 0;", "tag(flow, peer) = p.init_tag;"),
    ("an INIT keeps an earlier one's answer", SCTP, "candidate(flow, from) = 0; return passed_quietly(flow.phase);", "return passed_quietly(flow.phase);"),
    ("an INIT on a live association refreshes", SCTP, "candidate(flow, from) = 0; return passed_quietly(flow.phase);",
     "candidate(flow, from) = 0; return passed(flow.phase);"),
    ("a cookie before INIT ACK", SCTP, "if (flow.phase == P::sctp_init) return dropped(DropReason::sctp_bad_chunk);", ""),
    ("data before the cookie", SCTP, "return dropped(DropReason::sctp_bad_chunk); // nobody has anything to say before the cookie",
     "return passed(flow.phase);"),
    ("a restart with one tag", SCTP, "if (candidate(flow, peer) == 0) return dropped(DropReason::sctp_bad_chunk);", ""),
    ("half a restart", SCTP, "promote(flow, from); promote(flow, peer); return", "promote(flow, from); return"),
    ("the end of another association closes this one", SCTP, "if (fit == Fit::candidate) return passed_quietly(flow.phase); if (p.has(sctp_chunk::abort))",
     "if (p.has(sctp_chunk::abort))"),
    ("SHUTDOWN COMPLETE closes a live association", SCTP, "return flow.phase == P::sctp_shutdown ? passed(P::sctp_closed) :",
     "return flow.phase != P::sctp_init ? passed(P::sctp_closed) :"),
    ("data after the end", SCTP, "if (fit == Fit::own && p.has(endings)) return", "if (fit == Fit::own) return"),
    ("no SHUTDOWN ACK after the end", SCTP, "if (fit == Fit::own && p.has(endings)) return passed_quietly(flow.phase);", ""),
    ("SHUTDOWN before the association", SCTP, "p.has(sctp_chunk::shutdown | sctp_chunk::shutdown_ack) && !is_opening(flow.phase);",
     "p.has(sctp_chunk::shutdown | sctp_chunk::shutdown_ack);"),
    ("a picked up tag is never learned", SCTP, "tag(flow, from) = p.tag; fit = Fit::own;", "fit = Fit::own;"),
    ("a tag is learned from an ABORT", SCTP, "if (fit == Fit::none && picked_up && sctp_picks_up(p)) {", "if (fit == Fit::none && picked_up) {"),
    ("the hand looks too late", AGEING, "deadline(now_tick + timeouts_.shortest(phase));", "deadline(now_tick + timeouts_[phase]);"),
]  # fmt: skip


def compile_command(source):
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            if os.path.realpath(os.path.join(entry["directory"], entry["file"])) == os.path.join(ROOT, source):
                return [w for w in shlex.split(entry["command"]) if os.path.basename(w) != "ccache"], entry["directory"]
    raise SystemExit(f"{BUILD} does not compile {source}; run tools/dev/build first")


def compile_with(overlay, source, output):
    argv, directory = compile_command(source)
    mutated = os.path.join(overlay, source)
    for number, word in enumerate(argv):
        if os.path.realpath(os.path.join(directory, word)) == os.path.join(ROOT, source):
            argv[number] = mutated if os.path.exists(mutated) else word
        elif argv[number - 1] in ("-o", "-MF", "-MQ"):
            argv[number] = output + (".d" if argv[number - 1] == "-MF" else "")
    subprocess.run(argv[:1] + ["-I" + overlay] + argv[1:], cwd=directory, check=True, capture_output=True, text=True)


def plant(overlay, path, old, new):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    anyhow = re.compile(r"\s+".join(re.escape(word) for word in old.split()))  # however the lines are broken
    places = len(anyhow.findall(text))
    if places != 1:
        raise SystemExit(f"{path} has {places} places like this, expected one; correct the list:\n{old}")
    os.makedirs(os.path.join(overlay, os.path.dirname(path)), exist_ok=True)
    with open(os.path.join(overlay, path), "w", encoding="utf-8") as file:
        file.write(anyhow.sub(lambda _: new, text))


def first_red(program, tests):
    """The first failed test, or None."""
    environment = dict(os.environ, SEED=os.environ.get("SEED", "1"), TCP_CONVERSATIONS="30000")
    run = subprocess.run([program, "--gtest_filter=" + tests, "--gtest_fail_fast"], env=environment, timeout=120,
                         capture_output=True, text=True)  # fmt: skip
    if run.returncode == 0:
        return None
    failed = [line for line in run.stdout.splitlines() if line.startswith("[  FAILED  ]")]
    return failed[0].split()[3] if failed else f"exit {run.returncode}"


def try_bug(name, path, old, new):
    with tempfile.TemporaryDirectory() as overlay:
        plant(overlay, path, old, new)
        objects = []
        for source in (STATE, AGEING) if path == WINDOW else (path,):
            objects.append(os.path.join(overlay, os.path.basename(source) + ".o"))
            compile_with(overlay, source, objects[-1])
        program = os.path.join(overlay, "flow_test")
        tests = os.path.join(BUILD, "tests/unit/dataplane/flow/flow_test.p")
        compiler = compile_command(STATE)[0][0]
        sanitize = [w for w in compile_command(STATE)[0] if w.startswith("-fsanitize")]
        subprocess.run(
            [compiler, *sanitize, "-o", program]
            + sorted(os.path.join(tests, f) for f in os.listdir(tests) if f.endswith(".o"))
            + objects
            + [os.path.join(BUILD, "dataplane/flow/libsluice_flow.a"), "-lgtest", "-lgtest_main", "-lpthread"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return first_red(program, "Tcp*:Sctp*:Ageing.*-TcpModel.*") or first_red(program, "TcpModel.*")


def main():
    wanted = set(sys.argv[1:])
    unknown = wanted - {bug[0] for bug in BUGS}
    if unknown:
        raise SystemExit(f"no such bug: {', '.join(sorted(unknown))}")
    missed = []
    for name, path, old, new in BUGS:
        if wanted and name not in wanted:
            continue
        try:
            red = try_bug(name, path, old, new)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{name}: does not compile\n{error.stderr}") from error
        slug = "planted/" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        print(f"ok {slug}: {red}" if red else f"FAIL {slug}: no test noticed", flush=True)
        if not red:
            missed.append(name)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

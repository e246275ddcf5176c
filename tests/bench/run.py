#!/usr/bin/python3
"""Smoke test of the benches:   tests/bench/run.py [--only PART_OF_NAME] [--lab NAME]

Every bench at a size that takes a moment, with the programs of $BUILD: the lines have the contract's shape, nothing was
dropped, the flows are as many as asked for, and what must fail does. No figure is judged: that needs a quiet machine.
Needs root, for the end-to-end lane's namespaces. Prints `ok NAME` or `FAIL NAME: why`.
"""
import argparse
import json
import lzma
import os
import subprocess
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.realpath(os.path.join(HERE, "../.."))
SAMPLE = os.path.join(HERE, "sample.filters")
_BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
_HANG_S = 120
_LONG_HANG_S = 900

_ENVIRONMENT = {
    "commit", "dirty", "cpu_model", "cpu_flags", "cores", "load_average", "kernel", "huge_pages", "compiler", "build_type",
    "transparent_huge_pages", "autogroup_nice",
}  # fmt: skip
_PROCESS = {"tsc_hz", "dpdk", "dpdk_huge_pages", "cpu"}
_RESULT = ["bench", "variant", "params", "mpps", "cycles", "peer", "peer_mpps", "ratio", "runs", "spread"]


def tools_bench(*arguments, expect=0):
    done = subprocess.run(
        [os.path.join(ROOT, "tools/bench"), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=_LONG_HANG_S if "10000000" in arguments else _HANG_S,
    )  # fmt: skip
    said = [line for line in done.stderr.split("\n") if line.strip() and not line.startswith("EAL: ")]
    assert done.returncode == expect, f"code {done.returncode}, said {said[-1:]}"
    return done.stdout, done.stderr


def bench(name, *options, runs=2):
    """One result of a tiny run, its shape checked."""
    out, _ = tools_bench(name, "--json", "--build", _BUILD, "--no-build", "--runs", str(runs), *options)
    first, *results = [json.loads(line) for line in out.splitlines()]
    environment = first["environment"]
    wanted = _ENVIRONMENT | (_PROCESS if name != "end-to-end" else set())
    assert wanted <= set(environment), f"environment lacks {wanted - set(environment)}"
    assert environment["commit"] and environment["build_type"] and environment["compiler"], environment
    for result in results:
        assert list(result)[: len(_RESULT)] == _RESULT, f"keys are {list(result)}"
        assert result["bench"] == name and result["runs"] == runs, result
        assert result["spread"] >= 0 and isinstance(result["params"], dict), result
    return results


def one(name, *options, runs=2):
    (result,) = bench(name, *options, runs=runs)
    for field in ("mpps", "cycles", "peer_mpps", "ratio", "mpps_wall"):
        assert result[field] > 0, f"{field} is {result[field]}"
    assert result["ratio_spread"] >= 0
    return result


def flows_and_drops(result, flows):
    assert result["params"]["flows"] == flows, result["params"]
    assert result["flows_read_back"] == flows, result["flows_read_back"]
    assert result["drops"] == 0, result["drops"]


def established():
    result = one("established", "--flows", "1k", "--rules", "10", "--count", "20k")
    flows_and_drops(result, 1024)
    assert result["variant"] == "marked-good" and result["source_cycles"] > 0 and result["net_mpps"] >= result["mpps"], result
    assert "watched_cost_percent" in result, result


def established_with_checksums_in_software():
    result = one("established", "--flows", "1k", "--rules", "10", "--count", "20k", "--sw-csum")
    flows_and_drops(result, 1024)
    assert result["variant"] == "sw-csum", result["variant"]


def new_flows():
    result = one("new-flows", "--flows", "6400", "--rules", "100")
    flows_and_drops(result, 6400)
    assert "watched_cost_percent" in result, result


def established_by_stage():
    result = one("established", "--flows", "1k", "--rules", "10", "--count", "20k", "--stages")
    stages = {name: value for name, value in result.items() if name.startswith("stage_")}
    assert set(stages) == {f"stage_{name}" for name in ("rx", "parse", "track", "classify", "admit", "act", "tx", "rest")}, stages
    assert stages["stage_parse"] > 0 and stages["stage_track"] > 0, stages


def lifecycle():
    result = one("lifecycle", "--flows", "1k", "--rules", "10", "--count", "100k")
    assert result["drops"] == 0 and result["params"]["flows"] == 1024, result
    # Three turns, one of them not kept, and the filling; a connection begins with every eighth packet.
    assert abs(result["flows_created"] - (3 * 100_000 + 8 * 1024) / 8) < 2 * 1024, result["flows_created"]
    assert abs(result["lives_per_second_m"] * 8 / result["mpps"] - 1) < 1e-3, result


def mixed():
    result = one("mixed", "--flows", "1k", "--rules", "10", "--count", "200k")
    assert result["drops"] == 0 and result["params"]["flows"] == 1024, result
    assert 3 < result["new_flows_percent"] < 7, result
    assert result["flows_created"] > 1024 and result["gbit_s"] > 0 and result["source_cycles"] > 0, result


def latency():
    added, sampling = bench("latency", "--flows", "1k", "--rules", "10", "--count", "100k")
    assert (added["variant"], sampling["variant"]) == ("half-load", "sampling")
    assert added["p99_us"] >= added["p50_us"] > 0 and added["peer_p99_us"] >= added["peer_p50_us"] > 0, added
    assert added["offered_mpps"] > 0 and added["drops"] == 0 and added["product_p99_us"] >= added["product_p50_us"] > 0, added
    assert sampling["ratio"] > 0 and sampling["drops"] == 0 and sampling["flows_read_back"] == 1024, sampling


def flood():
    syns, headers = bench("flood", "--flows", "1k", "--rules", "30", "--count", "200k")
    assert (syns["variant"], headers["variant"]) == ("syn-flood", "arbitrary-headers")
    assert syns["goodput_percent"] > 99.9 and syns["meant_connections"] > 0, syns
    assert 9 < syns["flood_packets"] / syns["meant_connections"] < 11, syns
    assert headers["denied"] >= 3 * 200_000 and headers["ratio"] > 0, headers


def workers():
    results = bench("workers", "--flows", "4k", "--rules", "16", "--count", "100k")
    assert [result["params"]["workers"] for result in results] == [1, 2, 4, 8], results
    for result, share in zip(results, (0, 50, 75, 87.5)):
        assert abs(result["handed_over_percent"] - share) < 8, result
        assert result["ratio"] > 0, result


def scrape():
    result = one("scrape", "--flows", "640", "--rules", "100", "--count", "50k")
    flows_and_drops(result, 640)
    assert result["scrapes"] >= 40 and result["scrape_bytes"] > 1_000 and result["late_per_s"] >= 0, result


def a_report_of_one_row():
    """The whole takes a quarter of an hour; a row runs as all do, and the document stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.jsonl")
        out, _ = tools_bench("report", "--only", "patch --rules 10k", "--build", _BUILD, "--no-build", "--json-file", path)
        assert "| 10k rules: PUT to adopted, p99 of fifty, s | 0.2 | 0.1 |" in out and "0 commands gave none" in out, out
        with open(path, encoding="utf-8") as file:
            assert [list(json.loads(line))[0] for line in file] == ["environment", "bench"]
    _, said = tools_bench("report", "--only", "no such row", "--build", _BUILD, "--no-build", expect=2)
    assert "no row's command has" in said, said


def classify_made_rules():
    result = one("classify", "--rules", "200", "--count", "10k")
    assert result["params"]["rules"] == 200 and result["disagreements"] == 0, result


def classify_a_filter_file():
    with open(SAMPLE, "rb") as file:
        content = file.read()
    rules = content.count(b"\n")
    results = [one("classify", "--filters", SAMPLE, "--count", "10k"), one("classify", "--filters", SAMPLE, "--count", "10k", "--sw")]
    with tempfile.TemporaryDirectory() as folder:
        packed = os.path.join(folder, "sample.filters.xz")
        with lzma.open(packed, "wb") as file:
            file.write(content)
        results.append(one("classify", "--filters", packed, "--count", "10k"))
    for result in results:
        assert result["params"]["rules"] == rules and result["disagreements"] == 0, result
        assert result["params"]["filters"] == "sample.filters", result["params"]
    assert [result["variant"] for result in results] == ["vector", "scalar", "vector"]
    assert results[1]["peer_method"] == "scalar"


def classify_families():
    """Each in another way: what a packet costs is told, and the worst packets cost more than others."""
    lines = {}
    for family, options in (("acl", ["--ipv6"]), ("fw", ["--trace", "worst"]), ("fw", []), ("ipc", ["--trace", "zipf"])):
        result = one("classify", "--family", family, "--rules", "2k", "--count", "10k", *options)
        assert result["params"]["rules"] == 2000 and result["params"]["filters"] == family, result["params"]
        assert result["params"]["ip"] == (6 if "--ipv6" in options else 4) and result["disagreements"] == 0, result
        lines[family, result["params"]["trace"]] = result["lines_mean"]
    assert lines["fw", "worst"] > lines["fw", "uniform"] > 0, lines
    (cloud,) = bench("classify", "--family", "cloud", "--rules", "500", "--count", "10k")  # too much for the peer
    assert cloud["mpps"] > 0 and cloud["peer"] is None and cloud["params"]["rules"] == 500, cloud


def flow_index():
    result = one("flow-index", "--flows", "5000", "--count", "20k")
    assert result["flows_read_back"] == 5000 and result["bytes_per_flow"] > 64, result
    # Of a single run nothing is left to choose: the ratio is that of the two figures, and there is no spread.
    single = one("flow-index", "--flows", "5000", "--count", "20k", runs=1)
    assert abs(single["ratio"] * single["peer_mpps"] / single["mpps"] - 1) < 1e-3 and single["spread"] == 0, single


def ovs():
    (result,) = bench("ovs", "--flows", "500", "--count", "100k", runs=1)
    assert result["peer"] == "OVS-DPDK ct()" and result["peer_connections"] == 500 and result["ratio"] > 0, result
    tools_bench("ovs", "--flows", "1M", "--no-build", "--build", _BUILD, expect=2)


def crafted_keys():
    results = {result["variant"]: result for result in bench("crafted-keys", "--flows", "1024", "--count", "20k")}
    assert set(results) == {"rss", "secret"}, results
    rss, secret = results["rss"], results["secret"]
    assert rss["peer"] == secret["peer"] == "random keys" and rss["flows_read_back"] == 1024 and rss["refused"] == 0, rss
    # Of nine in a crowd one is refused, and more where crowds share a bucket.
    assert 0 < secret["flows_read_back"] <= 768 and secret["refused"] >= secret["flows_read_back"] / 8, secret


def _flow_pages(flows, rules):
    result = one("flow-pages", "--flows", str(flows), "--rules", str(rules), "--count", "50k", runs=1)
    assert result["params"]["flows"] == flows and result["pages"] >= 2 * flows // 1000, result  # a turn that is not kept, and one that is
    assert 0 < result["flows_ended"] == result["filter_flows"] == flows - result["flows_read_back"], result
    assert result["page_max_ms"] >= result["page_p99_ms"] >= result["page_p50_ms"] > 0, result
    return result


def flow_pages():
    _flow_pages(6400, 10)


def flow_pages_of_ten_million():
    """Only with --long. Every flow stands on one page, a filter's are found and ended, and no packet is lost meanwhile."""
    result = _flow_pages(10_000_000, 1000)
    names = ("walk_s", "page_p50_ms", "page_p99_ms", "page_max_ms", "filter_s", "end_s", "flows_ended", "rate_lost_percent")
    print("figure " + ", ".join(f"{name} {result[name]}" for name in names), flush=True)


def sets():
    one, poured = bench("sets", "--members", "3000", "--flows", "2048", "--count", "400k")
    assert one["variant"] == "one-by-one" and one["calls"] > 0 and one["call_p99_ms"] >= one["call_p50_ms"] > 0, one
    assert poured["variant"] == "poured" and poured["changes_per_s"] > 0, poured
    assert all(r["drops"] == 0 and r["flows_read_back"] == 2048 and "rate_lost_percent" in r for r in (one, poured)), poured


def rejudge():
    result = one("rejudge", "--flows", "640", "--rules", "100", "--count", "50k")
    flows_and_drops(result, 640)
    assert result["seconds"] > 0 and result["rate_kept_percent"] > 0 and result["worst_100ms_kept_percent"] > 0, result


def patch():
    for options in (["--rules", "300"], ["--filters", SAMPLE]):
        (result,) = bench("patch", *options, "--count", "30", runs=30)
        assert result["max_ms"] >= result["p99_ms"] >= result["p50_ms"] > 0 and result["put_p99_ms"] >= result["put_p50_ms"] > 0, result


def plan():
    for options in (["--rules", "300"], ["--filters", SAMPLE]):
        result, recorded = bench("plan", *options, "--count", "20", "--flows", "20k", runs=20)
        assert recorded["wall_s"] > 0 and recorded["params"]["records"] == 20_000, recorded
        assert result["p99_ms"] >= result["p50_ms"] > 0 and result["memory_mib"] > 0, result
        assert result["gave_up"] == 0 and result["rules_unexamined"] == 0 and result["boxes"] > 0, result


def policy_swap():
    result = one("policy-swap", "--flows", "640", "--rules", "100", "--count", "50k")
    flows_and_drops(result, 640)
    assert result["publishes"] >= 6, result  # there and back in each turn, the first one included
    assert result["scrapes"] >= 3 and result["patch_to_adopted_ms"] > 0 and result["publishes_per_s"] > 0, result
    assert result["late_per_s"] >= 0 and result["peer_late_per_s"] >= 0, result
    assert 0 < result["flows_rejudged"] < result["publishes"] * 640 // 2, result  # a tenth of the rules changed


def records():
    result = one("records", "--count", "50k")
    assert result["lost"] == 0 and 20 < result["bytes_per_record"] < 120, result
    assert result["peer"].startswith("flow log") and result["records_per_core_second"] > 0, result


def end_to_end():
    results = bench("end-to-end", "--lab", end_to_end.lab, "--seconds", "0.2", runs=1)
    fields = {"udp-60B-one-flow": "mpps", "tcp-bulk-one-flow": "gbit_s", "http-32-connections": "requests_s", "http-connection-each": "requests_s"}
    assert [result["variant"] for result in results] == list(fields), results
    assert all(r[fields[r["variant"]]] > 0 and r["peer_" + fields[r["variant"]]] > 0 for r in results), results
    assert all(result["lane"].startswith("correctness") for result in results)


def what_cannot_be_measured_is_said():
    with tempfile.TemporaryDirectory() as folder:
        broken = os.path.join(folder, "broken")
        with open(broken, "w", encoding="utf-8") as file:
            file.write("@10.0.0.0/8 oops\n")
        _, said = tools_bench("classify", "--build", _BUILD, "--no-build", "--filters", broken, expect=1)
        assert "line 1 is no ClassBench filter" in said, said
    _, said = tools_bench("classify", "--no-build", "--filters", "/nowhere", expect=2)
    assert "/nowhere" in said, said
    tools_bench("sing", expect=2)
    out, _ = tools_bench("--help")
    for test in ("established", "new-flows", "lifecycle", "mixed", "latency", "flood", "workers", "scrape", "report", "classify", "flow-index", "crafted-keys", "flow-pages", "ovs", "patch", "plan", "policy-swap", "records", "rejudge", "sets", "end-to-end", "compare"):
        assert test in out, f"--help does not name {test}"


def people_get_a_table():
    out, _ = tools_bench("flow-index", "--build", _BUILD, "--no-build", "--runs", "1", "--flows", "1k", "--count", "2k")
    assert "rte_hash+record" in out and "ratio" in out and "{" not in out, out


TESTS = [
    established, established_with_checksums_in_software, established_by_stage, new_flows, lifecycle, classify_made_rules, classify_a_filter_file,
    classify_families, flow_index, crafted_keys, ovs, flow_pages, mixed, latency, flood, workers, scrape, a_report_of_one_row,
    patch, plan, policy_swap, records, rejudge, sets, end_to_end, what_cannot_be_measured_is_said, people_get_a_table,
]  # fmt: skip
LONG_TESTS = [flow_pages_of_ten_million]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--long", action="store_true", help="some at the size that is promised, too")
    parser.add_argument("--lab", default="tb", help="another name where a second run goes on beside this one")
    options = parser.parse_args()
    end_to_end.lab = options.lab
    failed = 0
    for test in [*TESTS, *(LONG_TESTS if options.long else ())]:
        name = f"bench/{test.__name__}"
        if options.only not in name:
            continue
        try:
            test()
            print(f"ok {name}", flush=True)
        except Exception as problem:  # noqa: BLE001  a test's failure must not end the others
            failed += 1
            where = next(frame for frame in reversed(traceback.extract_tb(problem.__traceback__)) if frame.filename == __file__)
            print(f"FAIL {name}: line {where.lineno}: {str(problem)[:600] or where.line}".replace("\n", " | "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

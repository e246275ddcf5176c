"""Holds two result files against each other: tools/bench compare A.json B.json

Absolute figures drift with the machine's neighbours, so the paired ratios (ours / peer, in turns, in one process) are
what is judged. A ratio is known to half of its spread on either side; a difference is beyond noise when the two ranges
do not touch. Exit code 1 if a ratio got worse beyond noise, else 0; 2 if a file is no result file."""
import json
import sys

# Runs that agree better than this agree by chance.
_NOISE_MIN = 0.02
# A result of another machine or build is no answer to "did this change help?".
_SAME = ("cpu_model", "cpu_flags", "build_type", "compiler", "dpdk", "dpdk_huge_pages")


class Unreadable(Exception):
    pass


def read(path):
    """(environment, {key: result})"""
    results, environment = {}, None
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                found = json.loads(line)
                if "environment" in found:
                    environment = environment or found["environment"]
                else:
                    key = (found["bench"], found["variant"], json.dumps(found["params"], sort_keys=True))
                    results[key] = found
    except (OSError, ValueError, KeyError, TypeError) as problem:
        where = f"{path}:{number}" if not isinstance(problem, OSError) and "number" in locals() else path
        raise Unreadable(f"{where}: {problem}") from problem
    if environment is None:
        raise Unreadable(f"{path}: no environment line")
    return environment, results


def judge(a, b):
    """(quotient of the ratios, noise, verdict)"""
    quotient = b["ratio"] / a["ratio"]
    noise = max(_NOISE_MIN, (a.get("ratio_spread", a["spread"]) + b.get("ratio_spread", b["spread"])) / 2)
    verdict = "worse" if quotient < 1 - noise else "better" if quotient > 1 + noise else "same"
    return quotient, noise, verdict


def _name(key):
    params = " ".join(f"{name}={value}" for name, value in json.loads(key[2]).items())
    return f"{key[0]} {key[1]} [{params}]"


def compare(path_a, path_b, out=sys.stdout):
    try:
        (environment_a, a), (environment_b, b) = read(path_a), read(path_b)
    except Unreadable as problem:
        print(f"tools/bench compare: {problem}", file=sys.stderr)
        return 2
    for field in _SAME:
        if environment_a.get(field) != environment_b.get(field):
            print(f"differs: {field}: {environment_a.get(field)} / {environment_b.get(field)}", file=out)
    print(f"A {environment_a.get('commit')}   B {environment_b.get('commit')}", file=out)
    worse = 0
    for key in sorted(set(a) | set(b)):
        if key not in a or key not in b:
            print(f"{_name(key)}: only in {'A' if key in a else 'B'}", file=out)
            continue
        if a[key].get("lane") or not a[key]["ratio"] or not b[key]["ratio"]:
            figures = " / ".join(str(side[key]["mpps"]) for side in (a, b))
            print(f"{_name(key)}: {figures} Mpps, not judged", file=out)
            continue
        quotient, noise, verdict = judge(a[key], b[key])
        worse += verdict == "worse"
        print(
            f"{_name(key)}: ratio {a[key]['ratio']:.3f} -> {b[key]['ratio']:.3f}, x {quotient:.3f} "
            f"(noise {noise:.3f}): {verdict}{'' if verdict == 'same' else ', beyond noise'}",
            file=out,
        )
    print(f"{worse} worse beyond noise", file=out)
    return 1 if worse else 0

#!/usr/bin/env python3
"""Judges reports of the Autobahn testsuite, which itself exits with 0 whatever happens.

usage: check.py EXPECTED.json [--cases PATTERN,PATTERN...] INDEX.json...     compares reports with the committed results
       check.py --write EXPECTED.json INDEX.json...                          writes the results of a complete run
       check.py --self-test

Passed is a run in which each case was run once, each has the committed result, and every result is OK. INFORMATIONAL is what the suite
calls three cases for which the RFC asks nothing: those and no others. A PATTERN is a case or a prefix that ends with `*`; without
--cases it is all cases.
"""

import argparse
import json
import pathlib
import sys
import tempfile

CASES = 517
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def order(case):
    return [int(number) for number in case.split(".")]


def allowed(case):
    return ("OK", "INFORMATIONAL") if case in INFORMATIONAL else ("OK",)


def merge(files):
    """The results of all reports by case, and what is wrong with the reports themselves."""
    results, problems = {}, []
    for file in files:
        try:
            report = json.loads(pathlib.Path(file).read_text())
        except (OSError, ValueError) as error:
            problems.append(f"{file}: no report: {error}")
            continue
        if len(report) != 1:
            problems.append(f"{file}: {len(report)} agents, expected 1: was the peer there?")
        for cases in report.values():
            for case, result in cases.items():
                if case in results:
                    problems.append(f"{case}: run twice")
                results[case] = {"behavior": result["behavior"], "behaviorClose": result["behaviorClose"]}
    return results, problems


def judge_results(results):
    problems = []
    for case, result in results.items():
        for name, value in result.items():
            if value not in allowed(case):
                problems.append(f"{case}: {name} is {value}")
    return problems


def selected(cases, patterns):
    def matches(case, pattern):
        return case.startswith(pattern[:-1]) if pattern.endswith("*") else case == pattern

    return {case for case in cases if any(matches(case, pattern) for pattern in patterns)}


def judge(expected, results, patterns=None):
    """What is wrong with the results, nothing when the run is passed."""
    problems = judge_results(results)
    if len(expected) != CASES:
        problems.append(f"{len(expected)} committed results, expected {CASES}")
    wanted = set(expected) if patterns is None else selected(expected, patterns)
    if not wanted:
        problems.append("no case was asked for")
    problems += [f"{case}: not run" for case in wanted - set(results)]
    problems += [f"{case}: not asked for" for case in set(results) - wanted]
    for case in wanted & set(results):
        if results[case] != expected[case] and not judge_results({case: results[case]}):
            problems.append(f"{case}: {results[case]} differs from the committed {expected[case]}")
    return sorted(problems)


def read(file):
    return json.loads(pathlib.Path(file).read_text())


def write(file, results):
    lines = [f'  "{case}": {json.dumps(results[case])}' for case in sorted(results, key=order)]
    pathlib.Path(file).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def self_test():
    here = pathlib.Path(__file__).parent
    for name in ("expected-server.json", "expected-client.json"):
        expected = read(here / name)
        assert len(expected) == CASES, (name, len(expected))
        assert judge_results(expected) == [], name
        good = {case: dict(result) for case, result in expected.items()}
        assert judge(expected, good) == [], name

        def with_result(case, **change):
            return {**good, case: {**good[case], **change}}

        missing = {case: result for case, result in good.items() if case != "9.3.1"}
        assert judge(expected, missing) == ["9.3.1: not run"]
        assert judge(expected, {}) and len(judge(expected, {})) == CASES
        for bad in ("NON-STRICT", "FAILED", "UNIMPLEMENTED", "UNCLEAN", "WRONG CODE", "INFORMATIONAL", "MISSING"):
            assert judge(expected, with_result("6.4.3", behavior=bad)) == [f"6.4.3: behavior is {bad}"]
            assert judge(expected, with_result("6.4.3", behaviorClose=bad)) == [f"6.4.3: behaviorClose is {bad}"]
        assert judge(expected, with_result("7.1.6", behavior="FAILED"))
        assert judge(expected, {**good, "99.1": {"behavior": "OK", "behaviorClose": "OK"}}) == ["99.1: not asked for"]

        part = {case: result for case, result in good.items() if case.startswith("12.1.")}
        assert judge(expected, part, ["12.1.*"]) == []
        assert judge(expected, part), "a part is not the whole"
        del part["12.1.7"]
        assert judge(expected, part, ["12.1.*"]) == ["12.1.7: not run"]
        assert judge(expected, {}, ["no-such-case"])

        # The same through files, two shards of which one is missing or double.
        with tempfile.TemporaryDirectory() as folder:
            shards = []
            for shard, cases in (("a", list(good)[:300]), ("b", list(good)[300:])):
                shards.append(pathlib.Path(folder, f"{shard}.json"))
                shards[-1].write_text(json.dumps({"agent": {case: {**good[case], "duration": 1} for case in cases}}))
            assert merge(shards) == (good, [])
            assert merge([shards[0], shards[0]])[1]
            assert merge([*shards, pathlib.Path(folder, "missing.json")])[1]
            shards[0].write_text("{}")
            assert merge(shards)[1]
    print("self-test passed")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--cases")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("expected", nargs="?")
    parser.add_argument("reports", nargs="*")
    arguments = parser.parse_intermixed_args()
    if arguments.self_test:
        self_test()
        return 0
    if not arguments.expected or not arguments.reports:
        parser.error("the committed results and at least one report are needed")
    results, problems = merge(arguments.reports)
    if arguments.write:
        problems += judge_results(results)
        if len(results) != CASES:
            problems.append(f"{len(results)} cases, expected {CASES}")
        if not problems:
            write(arguments.expected, results)
    else:
        problems += judge(read(arguments.expected), results, arguments.cases and arguments.cases.split(","))
    informational = sum(result["behavior"] == "INFORMATIONAL" for result in results.values())
    passed = len(results) - informational - len({problem.split(":")[0] for problem in problems} & set(results))
    print(f"{len(results)} cases: {passed} OK, {informational} informational, {len(problems)} problems")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

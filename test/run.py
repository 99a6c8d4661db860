#!/usr/bin/python3
"""Runs every test suite and ends with the line `N passed, N failed`. Started by `./dev test`, which builds first.

A suite is the lint rules, one doctest executable, or one Python module of test/cli or test/system (these are run
against the sanitizer build, system tests against the release build too); all modules of test/system/containers are
one suite, since they share an engine, and use the release build. What counts are test cases. A crash, a
time-out, a sanitizer's report, a suite without a test and a skipped test each count as a failure: a check that
did not happen must not look like one that passed. Only the musl suite may be skipped, as a whole and with a
line that says why: when the packages for its toolchain cannot be fetched.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEBUG, RELEASE = ROOT / "build/debug", ROOT / "build/release"
TIMEOUT = 1200  # seconds, for one suite
CONTAINERS_TIMEOUT = 3600  # they build the program once more, in an image
BUILD_TIMEOUT = 2400  # for one that builds, at a low priority beside the others
PARALLEL = 3  # suites at once: most of a system test is waiting


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    report: str = ""  # shown in full at the end when something failed
    skipped: str = ""  # why there are no counts; only the musl suite may say so


@dataclasses.dataclass
class Suite:
    name: str
    run: object  # () -> Outcome


# --- kinds of suites ---------------------------------------------------------------------------------------------


def lint_suite():
    def run():
        sys.path.insert(0, str(ROOT / "test"))
        import lint

        outcome = Outcome()
        for rule in lint.RULES:
            problems = lint.check(rule)
            outcome.passed += not problems
            outcome.failed += bool(problems)
            outcome.report += lint.describe(rule, problems) if problems else ""
        return outcome

    return Suite("lint", run)


def unit_suites():
    registered = json.loads((DEBUG / "meson-info/intro-tests.json").read_text())  # each test() of meson.build
    return [doctest_suite(test["name"], test["cmd"], test["env"]) for test in registered]


def musl_suite():
    """The unit tests built with musl, in a toolchain whose parts a machine without package sources cannot fetch."""
    return doctest_suite("musl", [ROOT / "dev", "musl"], {}, debug=False, cannot_fetch=75)


def doctest_suite(name, command, env, debug=True, cannot_fetch=None):
    def run():
        status, output, sanitizer_reports = run_limited(command, debug, env, TIMEOUT if debug else BUILD_TIMEOUT)
        if status is not None and status == cannot_fetch:
            return Outcome(skipped=output.strip().rpartition("\n")[2].removeprefix("dev: "))
        outcome = Outcome(report=output)
        summary = re.findall(
            r"test cases: +\d+ \| +(\d+) passed \| +(\d+) failed \| +(\d+) skipped", output)
        for counts in summary:
            passed, failed, skipped = map(int, counts)
            outcome.passed += passed
            outcome.failed += failed + skipped
        if sanitizer_reports:
            add_failure(outcome, sanitizer_reports)
        elif status != 0 and not outcome.failed:
            add_failure(outcome, f"{name}: {describe_status(status)} with no failed test case")
        elif not summary or outcome.passed + outcome.failed == 0:
            add_failure(outcome, f"{name} ran no test")
        return outcome

    return Suite(name, run)


def module_suites(folder, bin_dir):
    """One suite for each test/FOLDER/test_*.py, run with the program in bin_dir."""
    return [
        module_suite(f"{folder}/{path.stem.removeprefix('test_')} ({bin_dir.name})", path, bin_dir)
        for path in sorted((ROOT / "test" / folder).glob("test_*.py"))
    ]


def containers_suite():
    return module_suite("system/containers", ROOT / "test/system/containers", RELEASE, timeout=CONTAINERS_TIMEOUT)


def module_suite(name, path, bin_dir, timeout=TIMEOUT):
    """`path`: a module, or a folder of modules."""
    def run():
        # When a suite was killed, what it has started may still be dying in there.
        with tempfile.TemporaryDirectory(prefix="ctrl-exec-test-", ignore_cleanup_errors=True) as folder:
            result = pathlib.Path(folder) / "result.json"
            status, output, sanitizer_reports = run_limited(
                [sys.executable, __file__, "--module", path, result],
                debug=bin_dir == DEBUG, timeout=timeout,
                env={"CTRL_EXEC_BIN_DIR": str(bin_dir), "CTRL_EXEC_BUILD": bin_dir.name,
                     **({"TMPDIR": folder} if path.is_dir() else {})})
            counts = json.loads(result.read_text()) if result.exists() else {"passed": 0, "failed": 0}
        outcome = Outcome(counts["passed"], counts["failed"], output)
        if sanitizer_reports:
            add_failure(outcome, sanitizer_reports)
        if status != 0 and not outcome.failed:
            add_failure(outcome, f"{name}: {describe_status(status, timeout)}")
        elif outcome.passed + outcome.failed == 0:
            add_failure(outcome, f"{name} ran no test")
        return outcome

    return Suite(name, run)


def add_failure(outcome, why):
    outcome.failed += 1
    outcome.report = outcome.report.rstrip("\n") + "\n" + why + "\n"


# --- running a suite in a process of its own ---------------------------------------------------------------------


def run_limited(command, debug, env=None, timeout=TIMEOUT):
    """Returns (exit status or None after a time-out, output, what the sanitizers reported)."""
    with tempfile.TemporaryDirectory(prefix="ctrl-exec-sanitizer-") as reports, tempfile.TemporaryFile() as output:
        os.chmod(reports, 0o1777)  # a daemon under test may have given up root
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **(env or {}))
        if debug:
            # Into files: so a daemon's report counts even when the test that started it looks at neither its
            # output nor its exit status.
            common = f"halt_on_error=1:log_path={reports}/report"
            environment["ASAN_OPTIONS"] = f"detect_leaks=1:handle_sigill=1:abort_on_error=0:exitcode=99:{common}"
            environment["UBSAN_OPTIONS"] = f"print_stacktrace=1:{common}"
            environment["LSAN_OPTIONS"] = f"suppressions={ROOT}/test/lsan.supp:print_suppressions=0"
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            kill_group(process)  # also what a crashed suite left running
        output.seek(0)
        text = output.read().decode(errors="replace")
        found = "".join(path.read_text(errors="replace") for path in sorted(pathlib.Path(reports).iterdir()))
        return status, text, found


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def describe_status(status, timeout=TIMEOUT):
    if status is None:
        return f"was stopped after {timeout} s"
    return f"died of {signal.Signals(-status).name}" if status < 0 else f"exited with {status}"


# --- inside that process: one Python module ----------------------------------------------------------------------


class CountingResult(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def failed_tests(self):
        entries = self.failures + self.errors + self.skipped + self.expectedFailures
        tests = [test for test, _ in entries] + self.unexpectedSuccesses
        return {getattr(test, "test_case", test).id() for test in tests}  # a subtest counts as its test


def run_module(path, result_path):
    path = pathlib.Path(path)
    folder = path if path.is_dir() else path.parent
    names = sorted(module.stem for module in folder.glob("test_*.py")) if path.is_dir() else [path.stem]
    sys.path[:0] = [str(folder), str(ROOT / "test/system"), str(ROOT / "test")]
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=CountingResult).run(suite)
    failed = result.failed_tests()
    pathlib.Path(result_path).write_text(json.dumps({"passed": result.passed, "failed": len(failed)}))
    return 1 if failed else 0


# --- all of it ---------------------------------------------------------------------------------------------------


def main(names):
    started = time.monotonic()
    # The containers first: they take longest, and wait for much of it.
    suites = [containers_suite(), musl_suite(), lint_suite(), *unit_suites(), *module_suites("cli", DEBUG), *module_suites("system", DEBUG),
              *module_suites("system", RELEASE)]
    if names:
        suites = [suite for suite in suites if any(name in suite.name for name in names)]
        if not suites:
            print(f"no suite's name contains {' or '.join(names)}")

    total, failures = Outcome(), []
    width = max((len(suite.name) for suite in suites), default=0)
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        running = {pool.submit(timed, suite): suite for suite in suites}
        for future in concurrent.futures.as_completed(running):
            suite, (outcome, seconds) = running[future], future.result()
            total.passed += outcome.passed
            total.failed += outcome.failed
            if outcome.skipped:
                print(f"{suite.name}: skipped: {outcome.skipped}", flush=True)
                continue
            counts = f"{outcome.passed:4} passed" + (f", {outcome.failed} FAILED" if outcome.failed else "")
            print(f"{suite.name:{width}}  {counts}  {seconds:.1f} s", flush=True)
            if outcome.failed:
                failures.append((suite.name, outcome.report))

    for name, report in failures:
        print(f"\n--- {name} " + "-" * max(0, 100 - len(name)))
        print(report.rstrip("\n"))
    print(f"\nin {time.monotonic() - started:.0f} s")
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


def timed(suite):
    started = time.monotonic()
    try:
        outcome = suite.run()
    except Exception:
        outcome = Outcome(failed=1, report=traceback.format_exc())
    return outcome, time.monotonic() - started


if __name__ == "__main__":
    if sys.argv[1:2] == ["--module"]:
        sys.exit(run_module(*sys.argv[2:]))
    sys.exit(main(sys.argv[1:]))

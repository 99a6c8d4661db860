#!/usr/bin/python3
"""Checks the rules of the house. Each says which rule was broken, where, and why it is one.

A rule is a function here that yields (place, what is wrong); the first line of its docstring is the rule, the rest
the reason. `./dev lint` runs all of them, `./dev lint --fix` formats the C++ first; `./dev test` counts each rule
as one test.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOMS = ("core", "net", "cmd")
MAX_LINES = {".cc": 400, ".h": 160}

# The only units that may speak to BoringSSL.
CRYPTO_UNITS = re.compile(
    r"core/(key|key_encryption|ca_key|certificate|certificate_builder|csr|authority|base64|digest|random|sealing|timestamp|openssl_support)\.(cc|h)"
    r"|net/tls_\w+\.(cc|h)")

RULES = []


def rule(function):
    RULES.append(function)
    return function


# --- what is checked ---------------------------------------------------------------------------------------------


def files(*suffixes, under="."):
    """The repository's own files, as paths relative to its root: nothing built, nothing fetched."""
    for folder, folders, names in os.walk(ROOT / under):
        here = pathlib.Path(folder).relative_to(ROOT)
        skipped = {".git", "build", "__pycache__"}
        if here == pathlib.Path("subprojects"):
            skipped |= set(folders) - {"packagefiles"}
        folders[:] = sorted(set(folders) - skipped)
        for name in sorted(set(names) - {".git"}):  # a file in a worktree
            if not suffixes or name.endswith(suffixes):
                yield here / name


def sources(under=None):
    for room in (under,) if under else ROOMS + ("test",):
        yield from files(".cc", ".h", under=room)


def text(path):
    return (ROOT / path).read_text(errors="replace")


def includes(path):
    """(line number, what is included) of each #include."""
    for number, line in enumerate(text(path).splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if found:
            yield number, found[1]


def forbid_includes(room, pattern):
    for path in sources(room):
        for number, name in includes(path):
            if re.match(pattern, name):
                yield f"{path}:{number}", f"includes {name}"


def forbid_text(pattern, paths):
    for path in paths:
        for number, line in enumerate(text(path).splitlines(), 1):
            if re.search(pattern, line):
                yield f"{path}:{number}", line.strip()


# --- layers ------------------------------------------------------------------------------------------------------


@rule
def core_knows_no_other_room():
    """core includes nothing of net or cmd, no Asio and no TLS
    It is the part that can be tested and reasoned about without an event loop or a socket."""
    return forbid_includes("core", r"net/|cmd/|asio|openssl/ssl\.h")


@rule
def net_knows_no_commands():
    """net includes nothing of cmd
    What it does must not depend on which command asked; printing and exit codes live in cmd alone."""
    return forbid_includes("net", r"cmd/")


@rule
def cmd_leaves_the_network_to_net():
    """cmd includes neither Asio nor BoringSSL
    A command reads arguments, calls net or core, and prints; net is the only room with an event loop."""
    return forbid_includes("cmd", r"asio|openssl/")


@rule
def few_units_speak_to_boringssl():
    """only the key, certificate, authority, digest and sealing units of core and net/tls_* include openssl/
    Its ownership and error rules are easy to get wrong; they are dealt with in one place each."""
    for room in ("core", "net"):
        for path in sources(room):
            if not CRYPTO_UNITS.fullmatch(str(path)):
                for number, name in includes(path):
                    if name.startswith("openssl/"):
                        yield f"{path}:{number}", f"includes {name}"


# --- sources -----------------------------------------------------------------------------------------------------


@rule
def sources_are_listed():
    """each .cc file is named in a meson.build of its room, and each header is included somewhere (or precompiled)
    A file that is not built is not tested, and nobody can tell whether it is meant to be."""
    included = {name for path in sources() for _, name in includes(path)}
    for path in sources():
        if path.suffix == ".h" and path.parent.name == "pch":
            if f"/{path}'" not in text(pathlib.Path("meson.build")):
                yield path, "meson.build does not name this precompiled header"
            continue
        if path.suffix == ".h":
            if str(path) not in included and not any(name.endswith("/" + path.name) or name == path.name
                                                     for name in included):
                yield path, "no file includes this header"
            continue
        for folder in list(path.parents)[:-1]:  # test/core/x_test.cc may be listed in test/ as 'core/x_test.cc'
            build = folder / "meson.build"
            if (ROOT / build).exists() and f"'{path.relative_to(folder)}'" in text(build):
                break
        else:
            yield path, "no meson.build lists this source"


@rule
def sources_are_not_globbed():
    """no meson.build collects its sources with a command
    A new file must appear in a diff of meson.build; a globbed one appears or vanishes unseen."""
    for room in ROOMS + ("test",):
        yield from forbid_text(r"\brun_command\b|\bglob\b(?!\.cc')", files("meson.build", under=room))


@rule
def files_stay_small():
    """a .cc file has at most 400 lines, a header 160
    Past that a file holds more than one thing, and a reader can no longer keep it in mind."""
    for path in sources():
        lines, limit = len(text(path).splitlines()), MAX_LINES[path.suffix]
        if lines > limit:
            yield path, f"{lines} lines, {limit} are the limit"


@rule
def headers_guard_themselves():
    """every header starts its code with #pragma once
    A guard macro can be copied wrongly; this cannot. One that is precompiled is no header to the compiler."""
    for path in sources():
        if path.suffix == ".h" and path.parent.name != "pch" and not re.search(r"^#pragma once$", text(path), re.MULTILINE):
            yield path, "has no #pragma once"


@rule
def types_have_one_definition():
    """no type of the program's namespace is defined in two headers
    The linker takes two for one (ISO C++, [basic.def.odr]), and the wrong destructor runs."""
    found = {}
    for path in sources():
        if path.suffix != ".h" or path.parts[0] == "test":
            continue
        for name in re.findall(r"^(?:struct|class|enum class) (\w+)(?: final)?(?: :[^;{]*)? ?\{", text(path), re.MULTILINE):
            if name in found:
                yield path, f"{name} is defined in {found[name]} too"
            found[name] = path


@rule
def sources_are_formatted():
    """C++ is formatted by clang-format 14 with .clang-format
    Other versions format differently; with one version, diffs show changes only."""
    program = clang_format()
    if not program:
        yield "clang-format", "version 14 is needed for this check; `./dev deps` installs it on Debian 12"
        return
    paths = [str(path) for path in sources()]
    if paths:
        output = subprocess.run([program, "--dry-run", *paths], cwd=ROOT, capture_output=True,
                                text=True).stderr
        for path in sorted(set(re.findall(r"^(\S+?):\d+:\d+: \w+: code should be clang-formatted", output, re.M))):
            yield path, f"is not formatted; ./dev lint --fix does it"


@rule
def shell_scripts_parse():
    """every shell script passes its own shell's syntax check
    A script that is started rarely would otherwise break when it is needed."""
    for path in files():
        first = text(path).split("\n", 1)[0]
        shell = re.match(r"#!.*\b(sh|bash|dash)\b", first)
        if shell or path.suffix == ".sh":
            name = "bash" if shell and shell[1] == "bash" else "sh"
            done = subprocess.run([name, "-n", path], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                yield path, done.stderr.strip()


# --- the repository ----------------------------------------------------------------------------------------------


@rule
def no_registry_is_named():
    """no file names the host of a package registry or mirror
    Where packages come from is the business of the machine; a name here would bypass its configuration."""
    hosts = (r"\b(deb|security|ftp[.\w]*|snapshot|archive|cdn[-\w]*)\.debian\.org|\bregistry\.npmjs\b|\bpypi\.org"
             r"|\bpythonhosted\.org|\bcrates\.io|\bproxy\.golang\b|\brubygems\.org|\bdl-cdn\.alpinelinux\b"
             r"|\barchive\.ubuntu\b|\bdeb\.nodesource\b")
    return forbid_text(hosts, files())


@rule
def no_path_of_one_machine():
    """no file contains an absolute path that exists on a developer's machine only
    The repository must build and pass its tests wherever it is cloned."""
    return forbid_text(r"(?<![\w.}])/(work|root|home/\w+)/\w", files())


# --- promises ----------------------------------------------------------------------------------------------------

PROMISES = pathlib.Path("docs/compatibility.md")

# Prints the tests of the modules that are its arguments, one a line, also those that are made when they are loaded.
PRINT_TESTS = """
import sys, unittest
def names(tests):
    for test in tests:
        yield from names(test) if isinstance(test, unittest.TestSuite) else [test.id()]
for module in sys.argv[1:]:
    print(*names(unittest.defaultTestLoader.loadTestsFromName(module)), sep="\\n")
"""


@rule
def promises_are_proven():
    """each promise of docs/compatibility.md names tests that exist, and one that runs against every build
    A test that was renamed or removed would leave a promise that nobody keeps; of the others nobody knows whether
    they hold for the program that is handed out."""
    rows = promises()
    paths = {test.partition("::")[0] for _, _, tests in rows for test in tests}
    systems = sorted(path for path in paths if re.fullmatch(r"test/system/test_\w+\.py", path))
    debug, release = (python_tests(systems, build) for build in ("debug", "release"))
    known = debug | release
    for path in paths - set(systems):
        if (ROOT / path).is_file():
            known |= test_cases(path) if path.endswith("_test.cc") else {path} if path.endswith(".test") else set()
    if not rows:
        yield PROMISES, "has no promise"
    for number, promise, tests in rows:
        for test in tests:
            if test not in known:
                yield f"{PROMISES}:{number}", f"there is no test {test}"
        if not debug & release & set(tests):
            yield f"{PROMISES}:{number}", f"no system test proves '{promise}'"


def promises():
    """(line number, promise, names of its tests) of each row of the page's tables."""
    rows = []
    for number, line in enumerate(text(PROMISES).splitlines(), 1):
        promise, bar, tests = line.removeprefix("| ").removesuffix(" |").rpartition(" | ")
        if line.startswith("| ") and bar and tests != "proven by":
            rows.append((number, promise, re.findall(r"`([^`]+)`", tests)))
    return rows


def python_tests(paths, build):
    """FILE::CLASS.METHOD of every test of these modules, as they are for that build."""
    modules = {pathlib.Path(path).stem: path for path in paths}
    environment = {**os.environ, "CTRL_EXEC_BIN_DIR": "/nonexistent", "CTRL_EXEC_BUILD": build,
                   "PYTHONPATH": str(ROOT / "test/system"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", PRINT_TESTS, *modules], env=environment, capture_output=True,
                          text=True, check=True)
    names = (line.partition(".") for line in done.stdout.splitlines())
    return {f"{modules[module]}::{name}" for module, _, name in names if module in modules}


def test_cases(path):
    """FILE::TEXT of every test case of a C++ file, whose text may stand in several literals."""
    found = re.findall(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text(path))
    return {f"{path}::" + "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)) for literals in found}


# --- running them ------------------------------------------------------------------------------------------------


def check(one_rule):
    return list(one_rule())


def describe(one_rule, problems):
    title, reason = (part.strip() for part in one_rule.__doc__.split("\n", 1))
    return "\n".join([f"Broken rule: {title}.", f"  Why: {' '.join(reason.split())}",
                      *(f"  {place}: {problem}" for place, problem in problems)]) + "\n"


def clang_format():
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    version = program and subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    return program if version and " 14." in version else None


def main():
    if "--fix" in sys.argv[1:] and clang_format():
        subprocess.run([clang_format(), "-i", *map(str, sources())], cwd=ROOT, check=True)
    broken = 0
    for one_rule in RULES:
        problems = check(one_rule)
        if problems:
            broken += 1
            print(describe(one_rule, problems))
    print(f"{len(RULES) - broken} rules kept, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

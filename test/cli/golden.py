"""Golden cases: a text file says what is typed and what must come out.

    # What this case shows.
    file state/agents/web-01.json        makes a file in the case's own directory
    | {"hostname":"web-01"}
    $ ced list-agents --config ctrl-exec.conf
    | a line of stdout
    ! a line of stderr
    [1]                                  exit code, left out when it is 0

A command is a line for sh, started in a new directory that holds copies of test/cli/fixture/, and in set-up/ a CA and a
dispatcher's certificate of it. The program's names are first in PATH. A line `\\` says that the line before it has no
line end. In files, <DIR> stands for the directory and <NOW> for the present time. In expectations <DIR>, <DATE>,
<JOIN-TOKEN>, <TOKEN>, <HASH>, <SERIAL>, <DAYS>, <REQID>, <PORT>, <RTT> and <VERSION> stand for what differs from run to run; a value that the
case or the fixture itself wrote is expected as written, small numbers of <DAYS>
excepted.

A case is named after its command and what it shows; config, log, names, options and output are what commands share.

With ACCEPT=1 the expectations are replaced by what came out, and every test that needed it fails once.
"""

import dataclasses
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE / "cases"
FIXTURE = HERE / "fixture"
TIMEOUT = 60  # seconds, for one command
NO_LINE_END = "\\"

PLACEHOLDERS = [
    ("<JOIN-TOKEN>", r"\bcej2_[0-9a-f]{16}_[A-Z2-7]{32}_[0-9a-f]{64}\b"),
    ("<TOKEN>", r"\bce_[A-Za-z0-9_-]{43}"),
    ("<HASH>", r"\b[0-9a-f]{64}\b"),
    ("<DATE>", r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),  # ISO 8601
    ("<DATE>", r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT\b"),  # OpenSSL's
    ("<DAYS>", r"(?<=\"days_left\":)-?\d+|(?m:(?<= GMT  )-?\d+(?:$| +(?=[a-z]+$))|(?<=<DATE>  )-?\d+(?:$| +(?=[a-z]+$)))"),
    ("<SERIAL>", r"\b[0-9a-fA-F]{32}\b"),
    ("<REQID>", r"\b[0-9a-f]{16}\b"),
    ("<RTT>", r"\b\d+ms\b"),
    ("<PORT>", r"(?<=listening on 127\.0\.0\.1:)\d+\b"),
    ("<PORT>", r"(?<=ADDRESS=127\.0\.0\.1:)\d+\b"),
    ("<VERSION>", r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])"),
]


@dataclasses.dataclass
class Text:
    """A comment or an empty line."""

    line: str

    def render(self):
        return [self.line]


@dataclasses.dataclass
class File:
    name: str
    content: str = ""

    def render(self):
        return [f"file {self.name}", *prefixed("|", self.content)]


@dataclasses.dataclass
class Command:
    line: str
    stdout: str = ""
    stderr: str = ""
    status: int = 0

    def render(self):
        status = [f"[{self.status}]"] if self.status else []
        return [f"$ {self.line}", *prefixed("|", self.stdout), *prefixed("!", self.stderr), *status]


def prefixed(mark, text):
    lines = text.split("\n")
    ended = lines[-1] == ""
    if ended:
        lines.pop()
    return [f"{mark} {line}" if line else mark for line in lines] + ([] if ended else [NO_LINE_END])


def parse(text, name="case"):
    steps, target = [], None
    for number, line in enumerate(text.splitlines(), 1):
        step = steps[-1] if steps else None
        if not line or line.startswith("#"):
            steps.append(Text(line))
        elif line.startswith("file "):
            steps.append(File(line[5:]))
        elif line.startswith("$ "):
            steps.append(Command(line[2:]))
        elif line[:2] in ("|", "| ") and isinstance(step, (File, Command)):
            target = "content" if isinstance(step, File) else "stdout"
            setattr(step, target, getattr(step, target) + line[2:] + "\n")
        elif line[:2] in ("!", "! ") and isinstance(step, Command):
            target = "stderr"
            step.stderr += line[2:] + "\n"
        elif line == NO_LINE_END and target:
            setattr(step, target, getattr(step, target).removesuffix("\n"))
        elif re.fullmatch(r"\[\d+\]", line) and isinstance(step, Command):
            step.status = int(line[1:-1])
        else:
            raise ValueError(f"{name}:{number}: cannot be read: {line!r}")
    return steps


def render(steps):
    return "".join(f"{line}\n" for step in steps for line in step.render())


def set_up(directory, bin_dir):
    """Makes what setup-ca and setup-ctrl-exec make; once, since every command of a case costs a process."""
    fill(directory)
    for verb in ("setup-ca", "setup-ctrl-exec"):
        status, _, errors = run_command(f"ctrl-exec {verb} --config ctrl-exec.conf", directory, bin_dir)
        if status:
            raise RuntimeError(f"{verb} failed:\n{errors.decode(errors='replace')}")
    return [directory / name for name in ("ca", "ctrl-exec.crt", "ctrl-exec.key")]


def run(steps, directory, bin_dir, prepared=()):
    """Carries out the steps in the directory and returns them with what came out."""
    written = fill(directory)
    for path in prepared:
        (directory / "set-up").mkdir(exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, directory / "set-up" / path.name)
    written += "".join(step.content if isinstance(step, File) else step.line for step in steps)
    outcome = []
    for step in steps:
        if isinstance(step, File):
            write(directory, step.name, step.content)
        if isinstance(step, Command):
            status, *outputs = run_command(step.line, directory, bin_dir)
            stdout, stderr = (normalise(output.decode(errors="backslashreplace"), directory, written)
                              for output in outputs)
            step = Command(step.line, stdout, stderr, status)
        outcome.append(step)
    return outcome


def run_command(line, directory, bin_dir):
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:  # no pipes: nobody can hold them
        status = subprocess.run(["/bin/sh", "-c", line], cwd=directory, env=environment(directory, bin_dir),
                                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, umask=0o022,
                                timeout=TIMEOUT).returncode
        stdout.seek(0)
        stderr.seek(0)
        return status, stdout.read(), stderr.read()


def fill(directory):
    """Copies the fixture and returns all its text."""
    text = ""
    for source in sorted(path for path in FIXTURE.rglob("*") if path.is_file()):
        content = source.read_text(encoding="utf-8")
        write(directory, source.relative_to(FIXTURE), content)
        text += content
    return text


def write(directory, name, content):
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(content.replace("<DIR>", str(directory)).replace("<NOW>", now), encoding="utf-8")


def environment(directory, bin_dir):
    kept = {name: value for name, value in os.environ.items() if name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS")}
    return {"PATH": f"{bin_dir}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory), "LC_ALL": "C.UTF-8",
            "USER": "operator", "CTRL_EXEC_LOG": "none", **kept}


def normalise(output, directory, written):
    output = output.replace(str(directory), "<DIR>")
    for name, pattern in PLACEHOLDERS:
        # The days that are left become every small number on some day, and those stand in what was written.
        is_known = (lambda text: text in written and len(text) > 3) if name == "<DAYS>" else (lambda text: text in written)
        output = re.sub(pattern, lambda found, name=name, known=is_known: found[0] if known(found[0]) else name, output)
    return output

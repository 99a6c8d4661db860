"""The Alpine package: APKBUILD and OpenRC scripts, run with stand-ins for abuild's and OpenRC's own commands."""

import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

from deployment import BIN

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALPINE = ROOT / "packaging/alpine"
BUILD_DIR = next(path for path in (BIN, BIN.parent) if (path / "meson-private").is_dir())
SERVICES = {"ctrl-exec-agent": "ctrl-exec-agent", "ctrl-exec-api": "ctrl-exec"}  # and their users

# Each stand-in notes how it was called; some then do a part of what the real one does.
NOTE = '#!/bin/sh\n{ printf %s "${0##*/}"; printf " %s" "$@"; echo; } >>"$CALLS"\n'
STAND_INS = {
    **dict.fromkeys(("abuild-meson", "default_prepare", "checkpath", "supervise-daemon", "ebegin", "eend", "eerror",
                     "addgroup", "adduser"), ""),
    "su": 'exit "${SELF_CHECK:-0}"\n',
    # The build is there already; abuild-meson would have set the prefix.
    "meson": '[ "$1" != install ] || { /usr/bin/meson install --quiet --no-rebuild --skip-subprojects -C "$BUILD_DIR" &&'
             ' mv "$DESTDIR/usr/local" "$DESTDIR/usr.new" && rmdir "$DESTDIR/usr" && mv "$DESTDIR/usr.new" "$DESTDIR/usr"; }\n',
    # The users exist only where pkgusers has made abuild create them.
    "install": 'for word; do shift; case $skip$word in -o|-g) skip=x ;; x*) skip= ;; *) set -- "$@" "$word" ;; esac; done\n'
               'exec /usr/bin/install "$@"\n',
    "amove": 'for path; do mkdir -p "$subpkgdir/${path%/*}" && mv "$pkgdir/$path" "$subpkgdir/$path" &&'
             ' rmdir -p --ignore-fail-on-non-empty "$pkgdir/${path%/*}" || exit 1; done\n',
}


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="ctrl-exec-alpine.")))
        (self.directory / "bin").mkdir()
        for name, body in STAND_INS.items():
            (self.directory / "bin" / name).write_text(NOTE + body)
            (self.directory / "bin" / name).chmod(0o755)

    def run_shell(self, script, **variables):
        """(exit status, output, how the stand-ins were called)"""
        calls = self.directory / "calls"
        calls.write_text("")
        environment = {"PATH": f"{self.directory}/bin:/usr/bin:/bin:/usr/sbin:/sbin", "CALLS": str(calls), "HOME": "/",
                       "BUILD_DIR": str(BUILD_DIR), **{name: str(value) for name, value in variables.items()}}
        done = subprocess.run(["/bin/sh", "-c", script], env=environment, cwd=ROOT, timeout=300, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout, calls.read_text()

    def check_shell(self, script, **variables):
        status, output, calls = self.run_shell("set -e\n" + script, **variables)
        self.assertEqual(status, 0, output)
        return output, calls


class Syntax(Sandbox):
    def test_every_script_parses(self):
        names = sorted(path for path in ALPINE.iterdir() if path.is_file())
        self.assertGreaterEqual(len(names), 7)
        for path in names:
            with self.subTest(path.name):
                self.check_shell(f"sh -n {shlex.quote(str(path))}")


class Package(Sandbox):
    def setUp(self):
        super().setUp()
        self.places = {"startdir": ALPINE, "srcdir": self.directory / "src", "pkgdir": self.directory / "pkg"}

    def apkbuild(self, script, **variables):
        return self.check_shell(f". {ALPINE}/APKBUILD\n{script}", **self.places, **variables)[0]

    def value(self, name):
        return self.apkbuild(f'echo "${name}"').strip()

    def subpackages(self):
        """{name: function} of those with a function of their own."""
        entries = (entry.split(":") for entry in self.value("subpackages").split())
        return {entry[0]: entry[1] for entry in entries if len(entry) > 1}

    def test_required_fields(self):
        for name in ("pkgname", "pkgver", "pkgrel", "pkgdesc", "url", "arch", "license"):
            self.assertTrue(self.value(name), name)
        self.assertLessEqual(len(self.value("pkgdesc")), 128)
        self.assertRegex(self.value("pkgrel"), r"^\d+$")
        self.assertEqual(pathlib.Path(self.value("builddir")).resolve(), ROOT)

    def test_version_is_that_of_the_program(self):
        version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1]
        self.assertEqual(self.value("pkgver"), version)
        self.assertEqual(subprocess.run([BIN / "ctrl-exec", "--version"], capture_output=True, text=True,
                                        check=True).stdout.split()[1], version)

    def test_functions_exist(self):
        for name in ("prepare", "build", "check", "package", *self.subpackages().values()):
            self.apkbuild(f'case $(command -V {name}) in *function*) ;; *) echo "no {name}()"; false ;; esac')

    def test_subpackage_fields(self):
        for name, function in self.subpackages().items():
            output = self.apkbuild(f'amove() {{ :; }}\n{function}\necho "${{#pkgdesc}} $depends $install_if"')
            self.assertLessEqual(int(output.split()[0]), 128, name)
            self.assertIn("openrc" if name.endswith("-openrc") else "ctrl-exec=0", output)

    def test_install_scripts_make_the_users_of_the_services(self):
        scripts = self.value("install").split()
        self.assertEqual(sorted(scripts), sorted(path.name for path in ALPINE.glob("*.pre-*")))
        packages = self.subpackages()
        made = set()
        for script in scripts:
            self.assertIn(script.removesuffix(".pre-install"), packages)
            _, calls = self.check_shell(f"sh {ALPINE}/{script}")
            group, user = (line.split() for line in calls.splitlines())
            self.assertEqual((group[:2], user[0]), (["addgroup", "-S"], "adduser"))
            self.assertEqual(group[-1], user[-1])
            made.add(user[-1])
        self.assertEqual(made, set(SERVICES.values()))
        self.assertEqual(made, set(self.value("pkgusers").split()))

    def test_install_scripts_succeed_when_the_users_are_there(self):
        for name in ("addgroup", "adduser"):
            (self.directory / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        for script in self.value("install").split():
            self.check_shell(f"sh {ALPINE}/{script}")

    def files(self, directory):
        """{path: octal mode, or where a link points} of what is no plain directory on the way to something else."""
        found = {}
        for path in sorted(directory.rglob("*")):
            if path.is_symlink():
                found[str(path.relative_to(directory))] = os.readlink(path)
            elif not path.is_dir() or not any(path.iterdir()):
                found[str(path.relative_to(directory))] = f"{path.stat().st_mode & 0o7777:o}"
        return found

    def test_what_each_package_contains(self):
        script = 'cd "$builddir"\npackage\n'
        names = self.subpackages()
        for name, function in names.items():
            script += f"(export pkgdir subpkgdir={self.directory}/{name}; {function})\n"
        (self.directory / "pkg").mkdir()
        _, calls = self.check_shell(f". {ALPINE}/APKBUILD\n{script}", **self.places)

        links = subprocess.run([BIN / "ctrl-exec", "--list-links"], capture_output=True, text=True, check=True).stdout
        main = self.files(self.directory / "pkg")
        documents = {name: main.pop(name) for name in list(main) if name.startswith("usr/share/")}
        self.assertEqual(main, {"usr/bin/ctrl-exec": "755",
                                **{f"usr/bin/{link}": "ctrl-exec" for link in links.split()}})
        self.assertEqual(set(documents), {f"usr/share/doc/ctrl-exec/{path.name}" for path in (ROOT / "docs").iterdir()}
                         | {"usr/share/licenses/ctrl-exec/LICENSE"})
        self.assertEqual({name: self.files(self.directory / name) for name in names}, {
            "ctrl-exec-agent": {"etc/ctrl-exec-agent": "750", "var/lib/ctrl-exec-agent": "750",
                                "opt/ctrl-exec-scripts": "755"},
            "ctrl-exec-dispatcher": {"etc/ctrl-exec": "750", "var/lib/ctrl-exec": "750"},
            "ctrl-exec-agent-openrc": {"etc/init.d/ctrl-exec-agent": "755", "etc/conf.d/ctrl-exec-agent": "644"},
            "ctrl-exec-dispatcher-openrc": {"etc/init.d/ctrl-exec-api": "755", "etc/conf.d/ctrl-exec-api": "644"},
        })
        for user, path in (("ctrl-exec-agent", "etc/ctrl-exec-agent"), ("ctrl-exec", "etc/ctrl-exec")):
            self.assertRegex(calls, rf"(?m)^install -d -m 750 -o {user} -g {user} .*{path}( |$)")


class Services(Sandbox):
    def service(self, name, script, settings="", **variables):
        return self.run_shell(f"{settings}\n. {ALPINE}/{name}.confd\n. {ALPINE}/{name}.initd\n{script}",
                              RC_SVCNAME=name, **variables)

    def test_every_function_exists(self):
        for name in SERVICES:
            for function in ("depend", "start_pre", "reload"):
                _, output, _ = self.service(name, f"command -V {function}")
                self.assertIn("function", output)
            self.assertEqual((ALPINE / f"{name}.initd").read_text().splitlines()[0], "#!/sbin/openrc-run")

    def test_defaults(self):
        for name, user in SERVICES.items():
            _, output, _ = self.service(name, 'echo "$supervisor $command_user $command $extra_started_commands"')
            self.assertEqual(output, f"supervise-daemon {user}:{user} /usr/bin/{name} reload\n")

    def test_settings_of_conf_d_win(self):
        settings = "cfgfile=/srv/x.conf command_user=other:group"
        for name in SERVICES:
            _, output, _ = self.service(name, 'echo "$command_user $required_files $command_args"', settings)
            self.assertRegex(output, r"^other:group /srv/x.conf .*--config /srv/x.conf$")

    def test_reload_sends_hup_to_the_supervised_process(self):
        for name in SERVICES:
            status, _, calls = self.service(name, "reload")
            self.assertEqual(status, 0)
            self.assertIn(f"supervise-daemon {name} --signal HUP --pidfile /run/{name}.pid\n", calls)

    def test_start_prepares_directories_and_log(self):
        for name, user in SERVICES.items():
            status, output, calls = self.service(name, "start_pre")
            self.assertEqual(status, 0, output)
            self.assertIn(f"checkpath --directory --mode 0750 --owner {user}:{user} /etc/{user} /var/lib/{user}\n", calls)
            self.assertIn(f"checkpath --file --mode 0640 --owner {user}:{user} /var/log/{name}.log\n", calls)

    def test_an_agent_that_fails_its_self_check_does_not_start(self):
        status, output, calls = self.service("ctrl-exec-agent", "start_pre", SELF_CHECK=1)
        self.assertEqual(status, 1, output)
        self.assertIn("self-check --config /etc/ctrl-exec-agent/agent.conf\n", calls)
        self.assertIn("eerror ", calls)


if __name__ == "__main__":
    unittest.main()

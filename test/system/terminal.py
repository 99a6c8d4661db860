"""A program on a pseudo terminal, typed at and read as an operator does."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading

from processes import DEADLINE, poll


class Terminal:
    """Runs a command with stdin, stdout and stderr on a terminal of its own, which echoes what is typed."""

    def __init__(self, argv, environment, columns=80):
        self._ours, theirs = pty.openpty()
        self.resize(columns)
        self.process = subprocess.Popen([str(word) for word in argv], env=environment, stdin=theirs, stdout=theirs,
                                        stderr=theirs, start_new_session=True)
        os.close(theirs)
        self._text, self._taken = "", 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # EIO: the program has closed its side
                return
            self._text += data.decode(errors="replace").replace("\r\n", "\n")

    @property
    def text(self):
        """All that it has shown."""
        return self._text

    def expect(self, pattern):
        """Waits for the pattern in what has come since the last match, and returns the match."""

        def find():
            found = re.compile(pattern, re.M).search(self._text, self._taken)
            if not found and self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"ended before {pattern!r}: {self._text}")
            return found

        try:
            found = poll(pattern, find)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; the terminal shows: {self._text}") from None
        self._taken = found.end()
        return found

    def type(self, text):
        os.write(self._ours, text.encode())

    def resize(self, columns):
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))

    def wait_exit(self):
        return self.process.wait(DEADLINE)

    def wait_end(self):
        """As wait_exit, of a program that leaves nobody behind: `text` then is all of it."""
        status = self.wait_exit()
        self._reader.join(DEADLINE)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(DEADLINE)
        os.close(self._ours)

"""Lets a running process believe that time has passed, so that a test of a limit of ten minutes takes no ten minutes.

A program asks for the time through the vDSO, code that the kernel maps into it. Here that code is replaced, in one
process, by the system call and an addition. Timers that already run are not shortened: what looks at a clock is.
"""

import os
import signal
import struct

from processes import poll, state_of

# clock_gettime(clock, result) as a system call, with an addition to result->tv_sec.
CODE = {
    "x86_64": lambda seconds: bytes.fromhex("b8e4000000 0f05 488106") + struct.pack("<i", seconds) + b"\xc3",
    "aarch64": lambda seconds: bytes.fromhex("5f2403d5 280e80d2 010000d4 220040f9 83000058 4200038b 220000f9 c0035fd6")
    + struct.pack("<q", seconds),
}
NAMES = ("__vdso_clock_gettime", "__kernel_clock_gettime")
DYNAMIC_SYMBOLS = 11  # the type of that section of an ELF file


def put_ahead(pid, seconds):
    """Sets the clocks of the process that many seconds ahead of everybody else's."""
    code = CODE[os.uname().machine](seconds)
    start, end = vdso(pid)
    os.kill(pid, signal.SIGSTOP)  # so that nobody executes what is being written
    try:
        poll("it is stopped", lambda: state_of(pid) == "T")
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            offset = function(memory.read(end - start))
            memory.seek(start + offset)
            memory.write(code)
    finally:
        os.kill(pid, signal.SIGCONT)


def vdso(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        [line] = [line for line in maps if line.endswith("[vdso]\n")]
    return tuple(int(address, 16) for address in line.split()[0].split("-"))


def function(image):
    """Where clock_gettime begins in the image, an ELF file of 64 bits."""
    [table] = struct.unpack_from("<Q", image, 0x28)
    [count] = struct.unpack_from("<H", image, 0x3c)
    sections = [struct.unpack_from("<IIQQQQI", image, table + 64 * i) for i in range(count)]
    for _, kind, _, _, offset, size, link in sections:
        if kind != DYNAMIC_SYMBOLS:
            continue
        names = sections[link][4]
        for at in range(offset, offset + size, 24):
            name, _, _, _, value = struct.unpack_from("<IBBHQ", image, at)
            text = image[names + name:image.index(b"\0", names + name)].decode()
            if text in NAMES:
                return value
    raise AssertionError("the vDSO has no clock_gettime")

"""``python -m tests.faults.share MOUNTPOINT BACKING``: a share that can be made to hang, or to refuse.

A file system in a process (FUSE, by the kernel's own protocol: no library is needed) that hands every
call on to the folder BACKING. While the process is stopped (SIGSTOP), whoever touches the share waits in
the kernel, as on a hard NFS mount whose server is down: only ``kill -9`` ends that. It goes on with
SIGCONT. Nothing is cached: each look at a file asks this process.

While there is a file ``BACKING.refuse`` with the text ``7 once``, the seventh write from then on is refused
as on a full disk, or by a quota that no look at the free space foretells; with ``7 always``, all after it.
Once one was refused there is a file ``BACKING.refused``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys

HEADER, REPLY = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<6Q10I")
DAEMON_READS = 2**20


class Share:
    """The calls of a file system, by the kernel's numbers; a node is known by its inode in BACKING."""

    def __init__(self, backing: str) -> None:
        self.nodes = {1: os.open(backing, os.O_PATH | os.O_DIRECTORY)}
        self.order, self.known, self.writes = f"{backing}.refuse", "", 0

    def path(self, node: int) -> str:
        return f"/proc/self/fd/{self.nodes[node]}"

    # -- what is sent back ---------------------------------------------------------------------

    @staticmethod
    def attributes(found: os.stat_result) -> bytes:
        times = [int(value) for value in (found.st_atime, found.st_mtime, found.st_ctime)]
        nanos = [value % 10**9 for value in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
        rest = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0)
        return ATTRIBUTES.pack(found.st_ino, found.st_size, found.st_blocks, *times, *nanos, *rest)

    def entry(self, parent: int, name: bytes) -> bytes:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.nodes[parent])
        found = os.fstat(fd)
        if found.st_ino in self.nodes:
            os.close(fd)
        else:
            self.nodes[found.st_ino] = fd
        return struct.pack("<4Q2I", found.st_ino, 0, 0, 0, 0, 0) + self.attributes(found)

    # -- calls ---------------------------------------------------------------------------------

    def call(self, number: int, node: int, body: bytes) -> bytes | None:
        """Return the answer to a call; None for one that wants none."""
        if number == 26:  # INIT
            major, minor, ahead, _ = struct.unpack_from("<4I", body)
            return struct.pack(
                "<4I2H2I2H8I", major, min(minor, 31), ahead, 0, 16, 12, 2**17, 1, 32, 0, *[0] * 8
            )
        if number == 1:  # LOOKUP
            return self.entry(node, body.split(b"\0")[0])
        if number == 3:  # GETATTR
            return struct.pack("<Q2I", 0, 0, 0) + self.attributes(os.stat(self.path(node)))
        if number == 4:  # SETATTR
            self.set_attributes(node, struct.unpack_from("<2I6Q8I", body))
            return struct.pack("<Q2I", 0, 0, 0) + self.attributes(os.stat(self.path(node)))
        if number == 9:  # MKDIR
            mode, mask = struct.unpack_from("<2I", body)
            os.mkdir(body[8:].split(b"\0")[0], mode & ~mask, dir_fd=self.nodes[node])
            return self.entry(node, body[8:].split(b"\0")[0])
        if number in (10, 11):  # UNLINK, RMDIR
            (os.unlink if number == 10 else os.rmdir)(body.split(b"\0")[0], dir_fd=self.nodes[node])
            return b""
        if number in (12, 45):  # RENAME, RENAME2
            return self.rename(node, number, body)
        if number == 13:  # LINK
            (old,) = struct.unpack_from("<Q", body)
            new = body[8:].split(b"\0")[0]
            os.link(self.path(old), new, dst_dir_fd=self.nodes[node], follow_symlinks=True)
            return self.entry(node, new)
        if number in (14, 27):  # OPEN, OPENDIR
            (flags,) = struct.unpack_from("<I", body)
            return struct.pack("<Q2I", os.open(self.path(node), flags & ~os.O_NOFOLLOW), 0, 0)
        if number == 35:  # CREATE
            flags, mode, mask, _ = struct.unpack_from("<4I", body)
            new = body[16:].split(b"\0")[0]
            fd = os.open(new, flags, mode & ~mask, dir_fd=self.nodes[node])
            return self.entry(node, new) + struct.pack("<Q2I", fd, 0, 0)
        if number == 15:  # READ
            fd, offset, size = struct.unpack_from("<2QI", body)
            return os.pread(fd, size, offset)
        if number == 16:  # WRITE; the kernel sends the offset, also for O_APPEND
            self.count_a_write()
            fd, offset, size = struct.unpack_from("<2QI", body)
            with open(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY), "wb", buffering=0) as file:
                return struct.pack("<2I", os.pwrite(file.fileno(), body[40 : 40 + size], offset), 0)
        if number == 17:  # STATFS
            room = os.statvfs(self.path(node))
            sizes = (room.f_blocks, room.f_bfree, room.f_bavail, room.f_files, room.f_ffree)
            return struct.pack("<5Q10I", *sizes, room.f_bsize, room.f_namemax, room.f_frsize, *[0] * 7)
        if number in (18, 29):  # RELEASE, RELEASEDIR
            os.close(struct.unpack_from("<Q", body)[0])
            return b""
        if number == 20:  # FSYNC
            os.fsync(struct.unpack_from("<Q", body)[0])
            return b""
        if number in (25, 30, 38):  # FLUSH, FSYNCDIR, DESTROY
            return b""
        if number == 28:  # READDIR
            _, offset, size = struct.unpack_from("<2QI", body)
            return self.listing(node, offset, size)
        if number in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET
            return None
        raise OSError(errno.ENOSYS, "")

    def count_a_write(self) -> None:
        try:
            with open(self.order) as file:
                order = file.read()
        except FileNotFoundError:
            order = ""
        if order != self.known:
            self.known, self.writes = order, 0
        self.writes += 1
        nth, how = (order or "0 once").split()[:2]
        if self.writes == int(nth) or (how == "always" and self.writes > int(nth)):
            with open(f"{self.order}d", "w"):
                raise OSError(errno.ENOSPC, "")

    def set_attributes(self, node: int, given: tuple[int, ...]) -> None:
        valid, size, mode = given[0], given[3], given[11]
        if valid & 8:
            os.truncate(self.path(node), size)
        if valid & 1:
            os.chmod(self.path(node), stat.S_IMODE(mode))

    def rename(self, node: int, number: int, body: bytes) -> bytes:
        size = 8 if number == 12 else 16
        folder = struct.unpack_from("<Q", body)[0]
        flags = 0 if number == 12 else struct.unpack_from("<I", body, 8)[0]
        old, new = body[size:].split(b"\0")[:2]
        if flags:
            raise OSError(errno.EINVAL, "")
        os.replace(old, new, src_dir_fd=self.nodes[node], dst_dir_fd=self.nodes[folder])
        return b""

    def listing(self, node: int, offset: int, size: int) -> bytes:
        found = b""
        names = [b".", b"..", *sorted(os.listdir(os.fsencode(self.path(node))))]
        for number, name in enumerate(names[offset:], offset + 1):
            entry = struct.pack("<2Q2I", 2**40 + number, number, len(name), 0) + name
            entry += b"\0" * (-len(entry) % 8)
            if len(found) + len(entry) > size:
                break
            found += entry
        return found


def main(mountpoint: str, backing: str) -> None:
    """Mount, say so, and serve until unmounted."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    kind = b"fuse.bluesky-export-test"
    if libc.mount(b"share", os.fsencode(mountpoint), kind, 0, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")
    print("mounted", flush=True)
    share = Share(backing)
    while True:
        try:
            request = os.read(device, DAEMON_READS)
        except OSError as error:
            if error.errno == errno.ENODEV:  # unmounted
                return
            if error.errno in (errno.ENOENT, errno.EINTR):  # a call that was given up
                continue
            raise
        _, number, unique, node, *_ = HEADER.unpack_from(request)
        try:
            answer, failed = share.call(number, node, request[HEADER.size :]), 0
        except OSError as error:
            answer, failed = b"", error.errno or errno.EIO
        if answer is not None:
            try:
                os.write(device, REPLY.pack(REPLY.size + len(answer), -failed, unique) + answer)
            except OSError as error:
                if error.errno != errno.ENOENT:  # who asked has been killed
                    raise


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

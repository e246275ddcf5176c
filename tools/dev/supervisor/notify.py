"""Notify datagrams (systemd's sd_notify protocol): a UNIX datagram socket, lines of KEY=value, descriptors beside them."""
import array
import os
import socket
import struct

# The kernel takes at most this many descriptors in one message (SCM_MAX_FD).
FDS_PER_MESSAGE_MAX = 253
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


class Datagram:
    """One message: who sent it, its assignments, and its descriptors (the receiver owns and must close them)."""

    def __init__(self, sender_pid, fields, fds):
        self.sender_pid = sender_pid
        self.fields = fields
        self.fds = fds

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []


def listen(path):
    """The socket that NOTIFY_SOCKET names. Anybody may send: the kernel tells us the sender's pid."""
    if os.path.exists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    sock.bind(path)
    os.chmod(path, 0o666)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return sock


def receive(sock):
    """The next datagram, or None if there is none."""
    space = socket.CMSG_SPACE(FDS_PER_MESSAGE_MAX * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)
    try:
        data, ancillary, _flags, _address = sock.recvmsg(4096, space, socket.MSG_CMSG_CLOEXEC)
    except (BlockingIOError, InterruptedError):
        return None
    fds = array.array("i")
    sender_pid = 0
    for level, kind, payload in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        elif kind == socket.SCM_CREDENTIALS:
            sender_pid = _CREDENTIALS.unpack(payload[: _CREDENTIALS.size])[0]
    fields = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        key, separator, value = line.partition("=")
        if separator:
            fields[key] = value
    return Datagram(sender_pid, fields, list(fds))


class DescriptorStore:
    """What a service wants to survive it: (name, descriptor) pairs in the order of arrival; names may repeat."""

    def __init__(self, count_max):
        self.count_max = count_max
        self.entries = []

    def add(self, name, fds):
        """Takes the descriptors. Returns a complaint, or None. The same file under the same name is kept once."""
        complaint = None
        if not name or len(name) > 255 or ":" in name or not name.isprintable():
            complaint = f"FDNAME {name!r} is not allowed"
        for fd in fds:
            if complaint is None and len(self.entries) >= self.count_max:
                complaint = f"descriptor store is full ({self.count_max})"
            if complaint is not None or self._holds(name, fd):
                os.close(fd)
            else:
                self.entries.append((name, fd))
        return complaint

    def _holds(self, name, fd):
        wanted = os.fstat(fd)
        return any(
            held == name and os.path.samestat(os.fstat(held_fd), wanted) for held, held_fd in self.entries
        )

    def remove(self, name):
        kept = []
        for held, fd in self.entries:
            if held == name:
                os.close(fd)
            else:
                kept.append((held, fd))
        self.entries = kept

    def clear(self):
        for _name, fd in self.entries:
            os.close(fd)
        self.entries = []

    def names(self):
        return [name for name, _fd in self.entries]

"""Raw sockets inside the hosts' namespaces: what we send is what arrives, and the other way round."""
import ctypes
import os
import select
import socket
import struct

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 263, 8, 23
_SO_RCVBUFFORCE = 33
_AUXDATA = struct.Struct("IIIHHHH")  # struct tpacket_auxdata
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6


def _enter(fd):
    if _LIBC.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Port:
    """One end of a cable. The socket stays in its namespace, we do not."""

    def __init__(self, name, namespace, interface):
        self.name = name
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _enter(there)
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
            self.socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            self.socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
            self.socket.bind((interface, _ETH_P_ALL))
        finally:
            _enter(home)
            os.close(home)
            os.close(there)

    def send(self, frame):
        self.socket.send(frame)

    def receive(self, timeout_s):
        """The next frame that arrived here, or None."""
        if not select.select([self.socket], [], [], timeout_s)[0]:
            return None
        frame, ancillary, _flags, _address = self.socket.recvmsg(65536, 256)
        for level, kind, payload in ancillary:
            if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
                status, _length, _snap, _mac, _net, tci, tpid = _AUXDATA.unpack(payload[: _AUXDATA.size])
                # The kernel takes the tag out of the frame and tells it beside; put it back.
                if status & _VLAN_VALID:
                    tpid = tpid if status & _VLAN_TPID_VALID else 0x8100
                    frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        return frame

    def drain(self):
        frames = []
        while (frame := self.receive(0)) is not None:
            frames.append(frame)
        return frames

    def close(self):
        self.socket.close()

#!/usr/bin/python3
"""G2: an association from INIT to SHUTDOWN COMPLETE; wrong tags, chunks out of place, INITs that cross, a restart."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from rig.build import Raw, Scenario  # noqa: E402
from rig.policies import EDGE  # noqa: E402
from scapy.layers.sctp import (  # noqa: E402
    SCTP,
    SCTPChunkAbort,
    SCTPChunkCookieAck,
    SCTPChunkCookieEcho,
    SCTPChunkData,
    SCTPChunkInit,
    SCTPChunkInitAck,
    SCTPChunkShutdown,
    SCTPChunkShutdownAck,
    SCTPChunkShutdownComplete,
)

s = Scenario(__file__, EDGE)
DATA, ECHO = SCTPChunkData(data=b"four"), SCTPChunkCookieEcho(cookie=b"crumbles")
for family in (4, 6):
    field = {"proto": 132} if family == 4 else {"nh": 132}
    port = s.sport

    def inside(tag, chunks, what, **more):
        packet = s.ip("inside", family, **field) / SCTP(sport=port, dport=3868, tag=tag) / chunks
        s.send("inside", packet, f"v{family} {what}", **more)

    def outside(tag, chunks, what, **more):
        packet = s.ip("outside", family, **field) / SCTP(sport=3868, dport=port, tag=tag) / chunks
        s.send("outside", packet, f"v{family} {what}", **more)

    inside(9, DATA, "DATA without an association", drop="sctp_no_flow")
    inside(9, SCTPChunkInit(init_tag=7), "an INIT with a tag", drop="sctp_bad_vtag")
    inside(0, SCTPChunkInit(init_tag=7) / DATA, "an INIT that is not alone", drop="sctp_malformed")
    inside(0, SCTPChunkInit(init_tag=7), "INIT", rule="egress", flows=1)
    outside(8, SCTPChunkInitAck(init_tag=9), "INIT ACK to another INIT", drop="sctp_bad_vtag")
    outside(7, SCTPChunkInitAck(init_tag=9), "INIT ACK")
    outside(7, DATA, "DATA before the cookie", drop="sctp_bad_chunk")
    inside(9, ECHO, "COOKIE ECHO")
    outside(7, SCTPChunkCookieAck(), "COOKIE ACK")
    inside(9, DATA, "DATA")
    outside(7, DATA, "DATA back")
    outside(8, DATA, "DATA with a wrong tag", drop="sctp_bad_vtag")
    outside(8, SCTPChunkAbort(), "ABORT with a wrong tag", drop="sctp_bad_vtag")
    inside(0, SCTPChunkInit(init_tag=70), "INIT of a restart")
    outside(70, SCTPChunkInitAck(init_tag=90), "its INIT ACK")
    inside(90, ECHO, "its COOKIE ECHO")
    outside(70, SCTPChunkCookieAck(), "its COOKIE ACK")
    outside(7, DATA, "DATA of before the restart", drop="sctp_bad_vtag")
    outside(70, SCTPChunkShutdown(), "SHUTDOWN")
    inside(90, SCTPChunkShutdownAck(), "SHUTDOWN ACK")
    outside(70, SCTPChunkShutdownComplete(), "SHUTDOWN COMPLETE")
    inside(90, DATA, "DATA after the end", drop="sctp_bad_chunk")

    port = s.sport + 1
    inside(0, SCTPChunkInit(init_tag=7), "crossing: the client's INIT", rule="egress", flows=1)
    outside(0, SCTPChunkInit(init_tag=9), "crossing: the server's INIT")
    inside(9, SCTPChunkInitAck(init_tag=7), "crossing: INIT ACK")
    outside(7, ECHO, "crossing: COOKIE ECHO")
    inside(9, SCTPChunkCookieAck(), "crossing: COOKIE ACK")
    outside(7, SCTPChunkAbort(), "ABORT")
    outside(7, Raw(b"\x00\x00\x00\x03"), "a chunk shorter than its header", drop="sctp_malformed")
s.write()

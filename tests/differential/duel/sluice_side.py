"""Sluice's half: build/tests/differential/sluice-side, a program around the real pipeline, as a pipe."""
import os
import struct
import subprocess

from lab.names import Trouble, binary

from .outcome import Departures

_HEAD = struct.Struct("<IB")
POLICY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../policy.yaml")


class SluiceSide:
    def __init__(self):
        self.process = subprocess.Popen(
            [binary("tests/differential/sluice-side"), POLICY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, arrivals):
        """[(port, frame)] -> (what left by each port, the drop reason of each frame or "-", complaint about bursts or
        None)."""
        parts = [struct.pack("<I", len(arrivals))]
        for port, frame in arrivals:
            parts += (_HEAD.pack(len(frame), port), frame)
        try:
            self.process.stdin.write(b"".join(parts))
            self.process.stdin.flush()
            return self._answer(arrivals)
        except BrokenPipeError:
            raise self._ended() from None

    def _ended(self):
        return Trouble(f"sluice-side ended with code {self.process.wait(10)}", "its last lines say why")

    def _line(self):
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._ended()
        return line[:-1].decode()

    def _answer(self, arrivals):
        left, reasons = (Departures(), Departures()), []
        for port, frame in arrivals:
            reason, *outputs = self._line().split(" ")
            reasons.append(reason)
            for output in outputs:
                if output == "=":
                    left[1 - port].take(frame)
                elif output != "answer":
                    other, _colon, text = output.partition(":")
                    left[int(other)].take(bytes.fromhex(text))
        bursts = self._line().removeprefix("bursts ")
        return left, reasons, None if bursts == "same" else bursts

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)

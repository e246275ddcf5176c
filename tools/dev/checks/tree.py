"""The files of the project as git knows them, read once."""
import os
import subprocess

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))


class Tree:
    def __init__(self):
        self.root = ROOT
        listed = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            stdout=subprocess.PIPE,
            check=True,
        )
        names = sorted(name for name in listed.stdout.decode().split("\0") if name)
        self.files = [name for name in names if os.path.isfile(os.path.join(ROOT, name))]
        self.known = set(self.files)
        self._texts = {}

    def matching(self, *suffixes, under=()):
        return [
            name
            for name in self.files
            if name.endswith(suffixes) and (not under or name.startswith(tuple(under)))
        ]

    def text(self, name):
        if name not in self._texts:
            with open(os.path.join(self.root, name), "rb") as file:
                self._texts[name] = file.read().decode("utf-8", "replace")
        return self._texts[name]

    def is_text(self, name):
        with open(os.path.join(self.root, name), "rb") as file:
            return b"\0" not in file.read(4096)

"""An initramfs (cpio, "newc") out of a directory."""
import os
import stat


class Archive:
    def __init__(self, path):
        self.file = open(path, "wb")
        self.inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        name = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        self.file.write(b"070701" + b"".join(b"%08x" % f for f in fields) + name)
        self.file.write(b"\0" * (-(110 + len(name)) % 4) + data + b"\0" * (-len(data) % 4))

    def add_tree(self, top):
        for directory, names, files in os.walk(top):
            for name in sorted(names + files):
                path = os.path.join(directory, name)
                mode = os.lstat(path).st_mode
                data = b""
                if stat.S_ISLNK(mode):
                    data = os.readlink(path).encode()
                elif stat.S_ISREG(mode):
                    with open(path, "rb") as f:
                        data = f.read()
                elif not stat.S_ISDIR(mode):
                    continue
                self.add(os.path.relpath(path, top), mode, data)

    def close(self):
        self.add("TRAILER!!!", 0)
        self.file.close()


def write(path, tree, init):
    archive = Archive(path + ".new")
    archive.add_tree(tree)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    with open(init, "rb") as f:
        archive.add("init", stat.S_IFREG | 0o755, f.read())
    archive.close()
    os.rename(path + ".new", path)

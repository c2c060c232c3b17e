"""The embedded platform: every part as a process of this machine, its state in one folder."""

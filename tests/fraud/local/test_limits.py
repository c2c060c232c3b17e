"""Open files: the limit is raised, or too low a one is named at once."""

import subprocess
import sys

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))\n"
RAISE = (
    "from fraud.local.limits import raise_open_files\nraise_open_files()\n"
    "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
)
UP = "import sys\nfrom fraud.cli import app\nsys.argv[1:] = ['up']\napp()"


def _run(code, folder):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_low_soft_limit_is_raised(tmp_path):
    assert _run(LIMIT.format(hard=4_096) + RAISE, tmp_path).stdout.split() == ["4096"]


def test_too_low_a_hard_limit_is_one_clear_line_at_once_and_nothing_starts(tmp_path):
    done = _run(LIMIT.format(hard=256) + UP, tmp_path)
    assert done.returncode == 1
    assert "at most 256 files may be open at once here, and the platform needs 1024" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".fraud").exists()

"""Locked files are narrowed down to the Python of the image, not to the one that installs."""

from localk8s import wheels

LOCKED = """# made by a tool
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via something
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:dd
requests==2.33.0 \\
    --hash=sha256:ee
"""


def test_rows_keep_their_hashes_and_markers() -> None:
    rows = wheels.requirements(LOCKED)
    assert rows[0] == ("numpy==2.4.6 --hash=sha256:aa --hash=sha256:bb", "python_full_version < '3.12'")
    assert rows[-1] == ("requests==2.33.0 --hash=sha256:ee", None)


def test_markers_are_those_of_the_image() -> None:
    requests = "requests==2.33.0 --hash=sha256:ee\n"
    old = "numpy==2.4.6 --hash=sha256:aa --hash=sha256:bb\n"
    assert wheels.for_python(LOCKED, "3.11.2") == old + requests
    assert wheels.for_python(LOCKED, "3.13.1") == "numpy==2.5.5 --hash=sha256:cc\n" + requests


def test_a_console_script_calls_its_function() -> None:
    text = wheels.console_script("package.module:main")
    assert text.startswith("#!/usr/bin/env python3\n")
    assert "from package.module import main\n" in text
    assert text.endswith("sys.exit(main())\n")

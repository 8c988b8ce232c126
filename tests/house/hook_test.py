#!/usr/bin/env python3
"""scripts/pre-commit in a repository of its own: what it lets through and what it rejects."""

import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
HOOK = os.path.join(ROOT, "scripts", "pre-commit")
# What a repository must have for the hook to find nothing.
FILES = (".clang-format", "tests/README.md", "tests/house/check_house.py")


@unittest.skipUnless(shutil.which("git") and shutil.which("clang-format-14"), "needs git and clang-format-14")
class Hook(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        # A hook that runs this test has set variables that name its own repository.
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        for name in FILES:
            os.makedirs(os.path.dirname(os.path.join(self.root, name)), exist_ok=True)
            shutil.copy(os.path.join(ROOT, name), os.path.join(self.root, name))
        self.git("init", "-q")
        self.git("add", "--all")
        for hook in ("pre-commit", "commit-msg"):
            os.symlink(os.path.abspath(HOOK), os.path.join(self.root, ".git", "hooks", hook))

    def git(self, *arguments):
        return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=self.root,
                              env=self.environment, capture_output=True, text=True, check=False)

    def commits(self, path, text, subject="Add a file"):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        self.git("add", path)
        return self.git("commit", "-m", subject)

    def test_lets_good_files_through(self):
        result = self.commits("tests/io/a.cpp", "int a = 0;\n")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_rejects_what_is_not_formatted(self):
        self.assertIn("clang-format-14 -i", self.commits("tests/io/a.cpp", "int   a=0;\n").stderr)

    def test_looks_at_what_is_staged(self):
        self.commits("tests/io/a.cpp", "int   a=0;\n")
        with open(os.path.join(self.root, "tests/io/a.cpp"), "w", encoding="utf-8") as file:
            file.write("int a = 0;\n")
        self.assertNotEqual(self.git("commit", "-m", "Add a file").returncode, 0)

    def test_rejects_what_breaks_a_house_rule(self):
        result = self.commits("tests/io/a.py", "\n" * 801)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("801 lines", result.stdout + result.stderr)

    def test_rejects_long_subjects(self):
        self.assertIn("the limit is 72", self.commits("a/a.txt", "a\n", "a" * 73).stderr)
        self.assertEqual(self.commits("a/a.txt", "a\n", "a" * 72).returncode, 0)


if __name__ == "__main__":
    unittest.main()

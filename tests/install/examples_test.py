#!/usr/bin/env python3
"""Installs pare, builds examples/ with find_package(pare), and runs them on the tiny model.

usage: examples_test.py CMAKE BUILD SOURCE CXX
"""

import os
import subprocess
import sys
import tempfile
import unittest

CMAKE, BUILD, SOURCE, CXX = sys.argv[1:5]
GOLDEN = os.path.join(SOURCE, "tests", "golden")
MODEL = os.path.join(GOLDEN, "tiny-model")


def run(*command):
    """Returns the standard output of a command that must succeed."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{command} ended with {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Examples(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.prefix = os.path.join(cls.folder.name, "prefix")
        cls.build = os.path.join(cls.folder.name, "build")
        run(CMAKE, "--install", BUILD, "--prefix", cls.prefix)
        run(CMAKE, "-S", os.path.join(SOURCE, "examples"), "-B", cls.build, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={cls.prefix}", f"-DCMAKE_CXX_COMPILER={CXX}", "-DCMAKE_BUILD_TYPE=Release")
        run(CMAKE, "--build", cls.build)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def example(self, name, *arguments):
        return run(os.path.join(self.build, name), *arguments)

    def test_installs_one_archive_and_the_headers_alone(self):
        files = sorted(os.path.relpath(os.path.join(folder, name), self.prefix)
                       for folder, _, names in os.walk(self.prefix) for name in names)
        archives = [path for path in files if path.endswith(".a")]
        self.assertEqual([os.path.basename(path) for path in archives], ["libpare.a"])
        headers = sorted(os.path.basename(path) for path in files if path.endswith(".h"))
        self.assertEqual(headers, sorted(os.listdir(os.path.join(SOURCE, "include", "pare"))))
        self.assertIn("bin/pare", files)

    def test_every_header_stands_alone(self):
        folder = os.path.join(self.prefix, "include")
        for name in os.listdir(os.path.join(folder, "pare")):
            run(CXX, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{folder}", "-include",
                f"pare/{name}", "-x", "c++", os.devnull)

    def test_generate(self):
        written = self.example("generate", MODEL, "Mira")
        self.assertGreater(len(written.strip()), 10)
        self.assertEqual(written, self.example("generate", MODEL, "Mira"))

    def test_compress_then_evaluate(self):
        out = os.path.join(self.folder.name, "sparse")
        calibration = os.path.join(GOLDEN, "text", "calibration.txt")
        sizes = self.example("compress", MODEL, out, "slice:0.1,sparsify:2:4", calibration)
        self.assertIn("parameters ", sizes)
        self.assertTrue(os.path.isfile(os.path.join(out, "pare.json")))
        dense, sparse = self.example("evaluate", MODEL, out, os.path.join(GOLDEN, "text", "test.txt")).splitlines()
        self.assertIn("KL 0 nats, top-1 1", dense)
        self.assertRegex(sparse, r"perplexity \d+\.\d+, KL 0\.\d+ nats, top-1 0\.\d+")

    def test_errors_are_messages(self):
        result = subprocess.run([os.path.join(self.build, "generate"), "/nonexistent", "x"], capture_output=True,
                                text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent does not exist", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

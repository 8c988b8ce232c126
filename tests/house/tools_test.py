#!/usr/bin/env python3
"""The scripts in tools/ that the demo relies on."""

import importlib.util
import os
import pathlib
import random
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import demo_table  # noqa: E402
import html_to_text  # noqa: E402
import make_random_model  # noqa: E402

NUMPY = importlib.util.find_spec("numpy") is not None
if NUMPY:
    import make_off_lattice  # noqa: E402
    import numpy  # noqa: E402


class HtmlToText(unittest.TestCase):

    def test_page(self):
        page = html_to_text.Page(
            '<html><head><title>no</title><link rel="next" href="b.html" /></head><body>'
            '<p id="title">no</p><ul class="docnav top"><li><a>no</a></li></ul>'
            '<div class="chapter"><h1>A &amp;\n  B</h1><p>one <em>two</em><br/>three<p>four</p>'
            '<pre class="screen">$ ls\n  x\n</pre><div class="toc"><p>no</p></div><p/>five</div></body></html>')
        self.assertEqual(page.paragraphs, ["A & B", "one two three", "four", "$ ls\n  x", "five"])
        self.assertEqual(page.next, "b.html")
        self.assertTrue(page.starts_chapter)

    def test_book_follows_next_and_ends_at_a_loop(self):
        pages = {"index": ("<p>cover</p>", "a"), "a": ('<div class="preface"><p>A</p></div>', "b"),
                 "b": ("<p>B</p>", "c"), "c": ('<div class="chapter x"><p>C</p></div>', "index")}
        with tempfile.TemporaryDirectory() as folder:
            for name, (body, following) in pages.items():
                with open(os.path.join(folder, name + ".html"), "w", encoding="utf-8") as file:
                    file.write(f'<head><link rel="next" href="{following}.html"></head><body>{body}</body>')
            chapters = html_to_text.read_book(folder)
        self.assertEqual([html_to_text.chapter_text(pages) for pages in chapters], ["A\n\nB\n", "C\n"])

    def test_ranges(self):
        self.assertEqual(html_to_text.parse_ranges("2,4-6", 6), [2, 4, 5, 6])
        for bad in ("0", "7", "5-7", "x", ""):
            with self.assertRaises(ValueError, msg=bad):
                html_to_text.parse_ranges(bad, 6)


class RandomModel(unittest.TestCase):

    def test_mask_keeps_two_of_every_four(self):
        piece = bytearray(b"\x01\x3c" * 4000)
        masked = make_random_model.mask_two_of_four(piece, random.Random(1))
        groups = [masked[i:i + 8] for i in range(0, len(masked), 8)]
        values = [tuple(g[2 * j:2 * j + 2] == b"\x01\x3c" for j in range(4)) for g in groups]
        self.assertEqual(len(masked), len(piece))
        self.assertEqual({sum(v) for v in values}, {2})
        self.assertEqual(len(set(values)), 6)
        self.assertTrue(all(g.count(0) == 4 for g in groups))


@unittest.skipUnless(NUMPY, "numpy is not installed")
class OffLattice(unittest.TestCase):
    MODEL = pathlib.Path(__file__).resolve().parents[1] / "golden" / "tiny-model"

    def test_rotation_is_orthogonal_and_turns_pairs(self):
        for width in (64, 65):
            turn = make_off_lattice.rotation(width, 1, 30, 3)
            numpy.testing.assert_allclose(turn @ turn.T, numpy.eye(width), atol=1e-14)
            self.assertGreaterEqual(turn.diagonal().min(), numpy.cos(numpy.radians(30)))
            self.assertEqual(numpy.count_nonzero(turn), width // 2 * 4 + width % 2)
        mixed = make_off_lattice.rotation(64, 20, 180, 3)
        self.assertLess(abs(mixed).max(), 0.7)

    def test_products_through_the_stream_stay(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            make_off_lattice.make(self.MODEL, out, dtype="f32")
            old, new = make_off_lattice.Checkpoint(self.MODEL), make_off_lattice.Checkpoint(out)
            embedding = "model.embed_tokens.weight"
            gain = old["model.norm.weight"]
            self.assertGreater(numpy.ptp(gain), 0.01)
            for writer in (lambda t: t[embedding].T, lambda t: t["model.layers.1.mlp.down_proj.weight"],
                           lambda t: t["model.layers.2.self_attn.o_proj.weight"]):
                numpy.testing.assert_allclose(new["lm_head.weight"] @ writer(new),
                                              old[embedding] * gain @ writer(old), atol=1e-6)
                for reader, norm in make_off_lattice.READERS.items():
                    layer = "model.layers.3."
                    expected = old[layer + reader] * old[layer + norm] @ writer(old)
                    numpy.testing.assert_allclose(new[layer + reader] @ writer(new), expected, atol=1e-6)
            self.assertEqual(set(new["model.norm.weight"]), {1.0})

    def test_bf16_rounds_to_nearest_even(self):
        values = numpy.array([1.0, 1.0 + 2**-8, 1.0 + 3 * 2**-8, -1.0 - 2**-7 - 2**-9])
        bits = struct.unpack("<4H", make_off_lattice.stored(values, "bf16"))
        self.assertEqual(bits, (0x3F80, 0x3F80, 0x3F82, 0xBF81))

    def test_rejects_other_families(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "config.json").write_text('{"model_type": "opt"}')
            with self.assertRaisesRegex(SystemExit, "model_type is opt, expected one of llama"):
                make_off_lattice.make(pathlib.Path(folder), pathlib.Path(folder) / "out")


def figures(path):
    return {key: 2_000_000.0 for _, _, key, _ in demo_table.ROWS} | {"path": path}


class DemoTable(unittest.TestCase):

    def test_columns_and_rows(self):
        both = {"models": [figures("a/b.gguf"), figures("out/slice-90/")]}
        lines = demo_table.table(both, both)
        self.assertEqual(lines[0].split(), ["b.gguf", "slice-90"])
        self.assertEqual(lines[1].split(), ["parameters", "2.00", "M", "2.00", "M"])
        self.assertEqual(len(lines), 1 + len(demo_table.ROWS))
        self.assertEqual(len({len(line) for line in lines}), 1)

    def test_rejects_other_models(self):
        with self.assertRaises(ValueError):
            demo_table.table({"models": [figures("a")]}, {"models": [figures("b")]})

    def test_samples(self):
        lines = demo_table.samples_text({"models": [figures("x/a")]}, [{"text": " one\ntwo "}])
        self.assertEqual(lines, ["", "a:", "  one", "  two"])
        with self.assertRaises(ValueError):
            demo_table.samples_text({"models": [figures("x/a")]}, [])


if __name__ == "__main__":
    unittest.main()

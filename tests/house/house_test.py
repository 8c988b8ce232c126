#!/usr/bin/env python3
"""Shows for every rule of check_house.py something it rejects and something close that it accepts."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_house  # noqa: E402


class Rules(unittest.TestCase):

    def rejects(self, rule, path, text):
        self.assertTrue(list(rule(path, text)), f"{rule.__name__} accepts {path}: {text!r}")

    def accepts(self, rule, path, text):
        self.assertEqual(list(rule(path, text)), [])

    def rejects_tree(self, rule, paths, *folders):
        self.assertEqual([found for found, _ in rule(paths)], list(folders))

    def accepts_tree(self, rule, paths):
        self.assertEqual(list(rule(paths)), [])

    def test_every_rule_is_tested_here(self):
        with open(__file__, encoding="utf-8") as file:
            text = file.read()
        for rule in check_house.RULES + check_house.TREE_RULES:
            self.assertRegex(text, rf"self\.rejects(_tree)?\(check_house\.{rule.__name__},")

    def test_ladder(self):
        self.rejects(check_house.check_ladder, "src/io/a.cpp", '#include "model/model.h"\n')
        self.rejects(check_house.check_ladder, "src/base/a.h", '#  include "tensor/weight.h"\n')
        self.rejects(check_house.check_ladder, "src/base/a.h", "#include <tensor/weight.h>\n")
        self.rejects(check_house.check_ladder, "src/engine/a.cpp", '#include "compress/pass.h"\n')
        self.rejects(check_house.check_ladder, "src/linalg/a.cpp", '#include "kernels/linear.h"\n')
        self.rejects(check_house.check_ladder, "src/model/a.cpp", '#include "runtime/forward.h"\n')
        self.rejects(check_house.check_ladder, "src/attic/a.cpp", "int a;\n")
        self.accepts(check_house.check_ladder, "src/runtime/a.cpp", '#include "model/b.h"\n#include "runtime/b.h"\n')
        self.accepts(check_house.check_ladder, "src/io/a.cpp", '// #include "model/model.h"\n#include <sys/stat.h>\n')
        self.accepts(check_house.check_ladder, "apps/pare/a.cpp", '#include "compress/pass.h"\n')
        self.accepts(check_house.check_ladder, "tests/io/a.cpp", '#include "model/model.h"\n')

    def test_range_for(self):
        self.rejects(check_house.check_range_for, "tests/io/a.cpp",
                     'for (const Json& x : read({"a", f(b)})["all"]) use(x);')
        self.rejects(check_house.check_range_for, "src/io/a.h", "for (auto& [a, b] :\n     pare::read(x).items()) {}")
        self.accepts(check_house.check_range_for, "src/io/a.cpp", "for (auto x : read(y)) { a[0].at(1); }")
        self.accepts(check_house.check_range_for, "src/io/a.cpp", "for (auto x : all.part()[0]) {}\n")
        self.accepts(check_house.check_range_for, "src/io/a.cpp", "for (int i = f(x)[0]; i < 2;) {}")

    def test_every_folder_has_a_rung(self):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src")
        for folder in os.scandir(root):
            if folder.is_dir():
                self.assertIn(folder.name, check_house.RUNG)

    def test_size(self):
        lines = check_house.MAX_LINES
        self.rejects(check_house.check_size, "src/io/a.cpp", "\n" * (lines + 1))
        self.rejects(check_house.check_size, "tools/a.py", "\n" * (lines + 1))
        self.accepts(check_house.check_size, "src/io/a.cpp", "\n" * lines)
        self.accepts(check_house.check_size, "docs/a.md", "\n" * (lines + 1))
        for path in check_house.GENERATED:
            self.accepts(check_house.check_size, path, "\n" * (lines + 1))

    def test_silence(self):
        for loud in ("printf(\"x\");", "std::fprintf (stderr, \"x\");", "std::cout << 1;", "std::cerr << 1;",
                     "fmt::print(\"x\");", "std::exit(1);", "_exit(1);", "std::abort();", "std::terminate();"):
            self.rejects(check_house.check_silence, "src/io/a.cpp", loud)
        self.accepts(check_house.check_silence, "apps/pare/a.cpp", 'std::printf("x");')
        self.accepts(check_house.check_silence, "src/io/a.cpp", '// printf( is for apps\nfail("exit( code");')
        self.accepts(check_house.check_silence, "src/io/a.cpp", "/* abort(\n */ snprintf(a, 2, b); on_exit_(1);")

    def test_model_names(self):
        for named in ('if (name == "LlamaForCausalLM") a();', "struct LlamaConfig {};", 'a("opt");', "phi_3();", "int phi;",
                      '"OPTForCausalLM"', "Qwen2 a;"):
            self.rejects(check_house.check_model_names, "src/model/model.cpp", named)
        self.accepts(check_house.check_model_names, "src/checkpoint/arch/llama.cpp", "struct LlamaConfig {};")
        self.accepts(check_house.check_model_names, "src/runtime/rope.cpp", "// LLaMA-3.1\nRopeScaling::kLlama3;")
        self.accepts(check_house.check_model_names, "src/model/a.cpp", "graph.morphing(options.opt);")

    def test_backends(self):
        for used in ('#include "kernels/cpu/panel.h"', "Isa isa = active_isa();", "strip_product_amx(a, b);"):
            self.rejects(check_house.check_backends, "src/compress/a.cpp", used)
            self.rejects(check_house.check_backends, "apps/pare/a.cpp", used)
            self.accepts(check_house.check_backends, "src/kernels/cpu/a.cpp", used)
            self.accepts(check_house.check_backends, "tests/kernels/a.cpp", used)
        self.accepts(check_house.check_backends, "src/eval/a.cpp", '#include "kernels/cpu/vector_ops.h"\n// active_isa')

    def test_flags(self):
        for spelled in ('fail("--queue is 0");', 'a("give --stop");', 'R"(x\n--max-tokens)"', '{{"--seed", seed}};'):
            self.rejects(check_house.check_flags, "src/serve/engine.cpp", spelled)
        for path in check_house.FLAG_PLACES:
            self.accepts(check_house.check_flags, path, 'a("pare convert --dtype q8_0");')
        self.accepts(check_house.check_flags, "apps/pare/main.cpp", 'a("--help");')
        self.accepts(check_house.check_flags, "src/serve/engine.cpp",
                     '// --queue\nfail("`queue` is 0 -- a--b"); --i; a("-----BEGIN");')

    def test_intrinsics(self):
        for used in ("__m256 a;", "a = _mm512_loadu_ps(b);", "_tile_zero(0);", "#include <immintrin.h>"):
            self.rejects(check_house.check_intrinsics, "src/kernels/a.cpp", used)
            self.accepts(check_house.check_intrinsics, "src/kernels/cpu/avx512/a.cpp", used)
        self.accepts(check_house.check_intrinsics, "src/kernels/a.cpp", "// _mm512_loadu_ps\nint amm_a;")

    def test_public_headers(self):
        for included in ('#include <fmt/format.h>', '#include "base/error.h"', '#  include <unistd.h>',
                         '#include "error.h"'):
            self.rejects(check_house.check_public_headers, "include/pare/a.h", included)
        self.accepts(check_house.check_public_headers, "include/pare/a.h",
                     '#include <string>\n#include "pare/error.h"\n// #include <fmt/format.h>\n')
        self.accepts(check_house.check_public_headers, "src/api/a.cpp", '#include <fmt/format.h>')
        many = {f"include/pare/{i}.h" for i in range(check_house.MAX_PUBLIC_HEADERS + 1)}
        self.rejects_tree(check_house.check_public_face, many, "include/pare")
        self.accepts_tree(check_house.check_public_face, many - {"include/pare/0.h"})

    def test_foreign(self):
        self.rejects(check_house.check_foreign, "README.md", "see /wor" + "k/notes\n")
        self.rejects(check_house.check_foreign, "scripts/setup", "https://pypi" + ".org/simple\n")
        self.accepts(check_house.check_foreign, "README.md", "a framework/tool\n")

    def test_comments(self):
        for leaning in ("// Of this rank.", "int a;  // of this rank", "// The same for rows.", "//   As for columns.",
                        "// And its end.", "// But not here.", "// Neither is kept.", "// Nor is this.",
                        "// Likewise for columns.", "// Also of rows.", "// These are sorted.", "int a;  // they are",
                        "// Those that fit.", "// Whether a row fits.", "/* How far it is. */", "/*\n * Of rows.\n */",
                        "// Rows.\nint a;\n// Of rows.", "int a;  // rows\nint b;  // of rows", "  // Rows.\n// Of rows.",
                        "int a;  // rows\n// Of rows."):
            for path in ("src/io/a.h", "apps/pare/a.cpp", "include/pare/a.h"):
                self.rejects(check_house.check_comments, path, leaning)
        for whole in ("// Returns whether a row fits.", "// Offset of a row.", "// Howard's method.", "// What a row holds.",
                      "// Rows of a matrix\n// of f32.", "int a;  // rows\n        // of f32", 'a("// Of this rank.");',
                      'R"(\n// Of this rank.\n)"', "/* Rows.\n * Of f32. */", "Butter of_rows; // Andes"):
            self.accepts(check_house.check_comments, "src/io/a.cpp", whole)
        for path in ("tests/io/a.cpp", "src/io/README.md", "apps/pare/a.py", *check_house.GENERATED):
            self.accepts(check_house.check_comments, path, "// Of this rank.")

    def test_first_comments_names_the_lines(self):
        text = "// a\n// b\nint c;  // d\n        // e\nint f;  /* g\n */\n\n  // h\n"
        self.assertEqual(list(check_house.first_comments(text)), [(1, "a"), (3, "d"), (5, "g\n */"), (8, "h")])

    def test_columns(self):
        limit = check_house.MAX_COLUMNS
        for path in ("README.md", "docs/a.md", "docs/decisions/a.md", "src/io/README.md"):
            self.rejects(check_house.check_columns, path, "a\n" + "a" * (limit + 1) + "\n")
            self.accepts(check_house.check_columns, path, "ö" * limit + "\n")
        self.rejects(check_house.check_columns, "docs/a.md", "| " + "a" * limit + " |\n")
        self.accepts(check_house.check_columns, "tests/golden/opt/README.md", "a" * (limit + 1))
        self.accepts(check_house.check_columns, "src/io/a.cpp", "// " + "a" * limit)

    def test_type_names(self):
        twice = {"src/io/a.h": "struct Part {\n};\n", "src/text/b.h": "class Part final : Whole {\n};\n"}
        self.rejects_tree(check_house.check_type_names, twice, "src/text/b.h")
        once = {"src/io/a.h": "struct Part {\n  struct Inner {};\n};\nstruct Other;\n",
                "src/text/b.h": "struct Part;\n// struct Part {\nclass Part::Inner {\n};\n",
                "src/text/c.cpp": "struct Part {\n};\n", "include/pare/d.h": "struct Part {\n};\n"}
        self.accepts_tree(check_house.check_type_names, once)

    def test_readmes(self):
        large = {f"src/io/in/{i}.cpp" for i in range(check_house.LARGE_FOLDER)}
        above = {"src/README.md", "src/io/README.md"}
        self.rejects_tree(check_house.check_readmes, {"src/io/a.cpp"}, "src", "src/io")
        self.rejects_tree(check_house.check_readmes, {"src/README.md", "src/io/in/a.cpp"}, "src/io")
        self.rejects_tree(check_house.check_readmes, large | above, "src/io/in")
        for folder in check_house.README_FOLDERS:
            self.rejects_tree(check_house.check_readmes, {f"{folder}/a.txt"}, folder)
        self.accepts_tree(check_house.check_readmes, large | above | {"src/io/in/README.md"})
        self.accepts_tree(check_house.check_readmes, {"src/io/in/a.cpp", "scripts/a.cpp"} | above)

    def test_code_only_keeps_lines_and_code(self):
        text = 'a("x//y", 1\'000); // b\n/* c\nd */ e(\'"\'); R"(\n")" f;\n'
        self.assertEqual(check_house.code_only(text), 'a("", 1\'000);  \n \n e(""); ""\n f;\n')

    def test_violations_names_the_file(self):
        with tempfile.TemporaryDirectory() as root:
            for folder in ("src/io", "build-x/src/io"):
                os.makedirs(os.path.join(root, folder))
                with open(os.path.join(root, folder, "a.cpp"), "w", encoding="utf-8") as file:
                    file.write("int a = 0;\nstd::abort();\n")
            self.assertEqual(list(check_house.violations(root)),
                             ["src/io/a.cpp: line 2: abort( below apps/", "src: no README.md",
                              "src/io: no README.md"])


if __name__ == "__main__":
    unittest.main()

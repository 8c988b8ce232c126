// pare convert: folders and GGUF files in every type, and what must not happen.
#include "checkpoint/copy_files.h"
#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "cli/pare_command.h"
#include "model/visit.h"

namespace pare::test {
namespace {

namespace fs = std::filesystem;

std::string converted(const TempDir& folder, const std::string& model, const std::string& name,
                      const std::vector<std::string>& options = {}) {
  const std::string out = (folder / name).string();
  std::vector<std::string> arguments = {"convert", model, "-o", out};
  arguments.insert(arguments.end(), options.begin(), options.end());
  const CommandResult result = pare(arguments);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, testing::HasSubstr("read back: logits"));
  return out;
}

size_t files_in(const TempDir& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()));
}

TEST(Convert, TypesCostWhatTheirBitsSay) {
  const TempDir folder;
  const double original = perplexity(kTinyModel);
  // How far the perplexity may move: rounding is unbiased, so its effect is of second order.
  const std::pair<const char*, double> types[] = {
      {"f32", 0.0}, {"bf16", 0.0}, {"f16", 1e-3}, {"q8_0", 5e-3}, {"q4_0", 0.2}};
  for (const auto& [type, allowed] : types) {
    const std::string gguf = converted(folder, kTinyModel, std::string(type) + ".gguf", {"--dtype", type});
    EXPECT_NEAR(perplexity(gguf), original, allowed * original) << type;
    const Json facts = pare_json({"inspect", gguf});
    EXPECT_GT(facts["encodings"][type]["matrices"].get<int64_t>(), 28) << type;
  }
  EXPECT_EQ(pare_json({"inspect", (folder / "q8_0.gguf").string()})["encodings"]["q8_0"]["bits_per_value"],
            8.5);
  EXPECT_EQ(pare_json({"inspect", (folder / "q4_0.gguf").string()})["encodings"]["q4_0"]["bits_per_value"],
            4.5);
}

TEST(Convert, ThereAndBackIsTheSame) {
  const TempDir folder;
  const std::string gguf = converted(folder, kTinyModel, "model.gguf");
  const std::string back = converted(folder, gguf, "back");
  EXPECT_TRUE(file_contents(back + "/model.safetensors") == file_contents(kTinyModel + "/model.safetensors"));
  const std::string again = converted(folder, back, "again.gguf");
  EXPECT_TRUE(file_contents(gguf) == file_contents(again));
  // Blocks are copied as they are.
  const std::string blocks = converted(folder, kTinyModel, "q4.gguf", {"--dtype", "q4_0"});
  EXPECT_TRUE(file_contents(blocks) == file_contents(converted(folder, blocks, "copy.gguf")));
}

TEST(Convert, LicenceAndNameGoWithTheModel) {
  const TempDir folder;
  const fs::path model = folder / "tiny";
  fs::copy(kTinyModel, model);
  folder.file("tiny/README.md", "---\nlicense: mit\nbase_model: acme/base\nlanguage: [en]\n---\n# Tiny\n");
  folder.file("tiny/LICENSE", "Do as you like.");
  const std::string copy = converted(folder, model.string(), "copy");
  EXPECT_EQ(file_contents(copy + "/LICENSE"), "Do as you like.");
  EXPECT_EQ(file_contents(copy + "/README.original.md"), file_contents(model / "README.md"));
  const std::string gguf = converted(folder, model.string(), "x.gguf");
  const std::string again = converted(folder, gguf, "again.gguf", {"--dtype", "q8_0"});
  for (const std::string& file : {gguf, again}) {
    const GgufMetadata metadata = read_gguf(file).metadata;
    EXPECT_EQ(metadata.get_string("general.name"), "tiny");
    EXPECT_EQ(metadata.get_string("general.license"), "mit");
    EXPECT_EQ(metadata.get_string("general.base_model.0.repo_url"), "https://huggingface.co/acme/base");
    EXPECT_EQ(metadata.get_strings("general.languages"), std::vector<std::string>{"en"});
  }
  const std::string card = file_contents(converted(folder, again, "back") + "/README.md");
  EXPECT_THAT(card, testing::HasSubstr("license: mit\n"));
  EXPECT_THAT(card, testing::HasSubstr("base_model:\n- acme/base\n"));
  EXPECT_THAT(card, testing::HasSubstr("# tiny\n"));
}

TEST(Convert, Shards) {
  const TempDir folder;
  const std::string out = converted(folder, kTinyModel, "out", {"--shard-size", "100KB"});
  EXPECT_FALSE(fs::exists(out + "/model.safetensors"));
  const Json index = parse_json(file_contents(out + "/model.safetensors.index.json"), "index");
  for (const auto& [tensor, shard] : index["weight_map"].items())
    EXPECT_LT(fs::file_size(out + "/" + shard.get<std::string>()), 110'000u) << tensor;
}

// A folder whose linears hold zeros like the pattern.
std::string sparse_model(const TempDir& folder, Pattern pattern) {
  Model model = load_model(kTinyModel);
  for (Block& block : model.blocks)
    for (Stage& stage : block.stages)
      for_each_linear(stage, [&](Role, Linear& linear) {
        Matrix<float> values = decode(linear.weight);
        for (int64_t i = 0; i < values.size(); ++i)
          if (i % pattern.group >= pattern.kept) values.data()[i] = 0.0f;
        linear.weight = Weight::from_matrix(values.view(), linear.weight.format.encoding);
      });
  const fs::path path = folder / "sparse";
  fs::create_directory(path);
  copy_tokenizer_files(kTinyModel, path);
  save_hf(model, path);
  return path.string();
}

TEST(Convert, SparseFormatsLoseNothing) {
  const TempDir folder;
  const std::string dense = sparse_model(folder, k2of4);
  const std::string weights = file_contents(dense + "/model.safetensors");
  const double original = perplexity(dense);
  for (const char* format : {"packed", "sparse-24-bitmask"}) {
    SCOPED_TRACE(format);
    const std::string sparse = converted(folder, dense, format, {"--to", format});
    EXPECT_LT(fs::file_size(sparse + "/model.safetensors"),
              fs::file_size(dense + "/model.safetensors") * 8 / 10);
    const std::string back = converted(folder, sparse, std::string(format) + "-back");
    EXPECT_TRUE(file_contents(back + "/model.safetensors") == weights);
    EXPECT_EQ(perplexity(sparse), original);
    const std::string gguf = converted(folder, sparse, std::string(format) + ".gguf");
    EXPECT_TRUE(file_contents(gguf) ==
                file_contents(converted(folder, dense, std::string(format) + "-dense.gguf")));
    const Json facts = pare_json({"inspect", sparse});
    for (const Json& matrix : facts["matrices"]) {
      const bool linear = !matrix["layer"].is_null();
      EXPECT_EQ(matrix["pattern"], linear ? "2:4" : "dense");
      EXPECT_EQ(matrix["bits_per_weight"], linear ? 9.0 : 16.0);
      EXPECT_EQ(matrix["zeros"].get<double>() >= 0.5, linear);
    }
    const Json dense_facts = pare_json({"inspect", dense});
    EXPECT_EQ(dense_facts["matrices"][1]["pattern"], "dense");
    EXPECT_EQ(dense_facts["matrices"][1]["possible_pattern"], "2:4");
    EXPECT_EQ(dense_facts["parameters"].get<int64_t>() - facts["parameters"].get<int64_t>(),
              facts["block_parameters"].get<int64_t>());
  }
}

TEST(Convert, SparseFoldersRunInEveryCommand) {
  const TempDir folder;
  const std::string packed =
      converted(folder, sparse_model(folder, {1, 4}), "packed", {"--to", "packed", "--dtype", "int8"});
  EXPECT_THAT(pare({"inspect", packed}).out, testing::HasSubstr("1:4"));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"generate", packed, "-p", "a", "-n", "4"},
        {"logits", packed, "--tokens", "1,2,3"},
        {"bench", packed, "--prefill", "8", "--decode", "2", "--repeats", "1"},
        {"slice", packed, "-o", (folder / "sliced").string(), "--target-params", "0.95", "--nsamples", "4",
         "--seqlen", "32"}}) {
    const CommandResult result = pare(command);
    EXPECT_EQ(result.status, 0) << command.front() << ": " << result.err;
  }
}

TEST(Convert, PackedPatternsAndTypes) {
  const TempDir folder;
  const std::string dense = sparse_model(folder, {1, 4});
  const auto pattern_of = [&](const std::string& path) {
    return pare_json({"inspect", path})["matrices"][1]["pattern"].get<std::string>();
  };
  EXPECT_EQ(pattern_of(converted(folder, dense, "a", {"--to", "packed"})), "1:4");
  EXPECT_EQ(pattern_of(converted(folder, dense, "b", {"--to", "packed", "--pattern", "4:8"})), "4:8");
  const std::string int8 = converted(folder, dense, "c", {"--to", "packed", "--dtype", "int8"});
  const Json facts = pare_json({"inspect", int8});
  EXPECT_EQ(facts["encodings"]["int8"]["matrices"], 28);
  EXPECT_EQ(facts["encodings"]["bf16"]["matrices"], 1);
  // int8 and its mask, and a scale a row of 64 values.
  EXPECT_EQ(facts["matrices"][1]["bits_per_weight"], 2.0 + 1.0 + 0.5);
  EXPECT_NEAR(perplexity(int8), perplexity(dense), 0.02 * perplexity(dense));
  EXPECT_EQ(pattern_of(converted(folder, kTinyModel, "d", {"--to", "packed", "--dtype", "int8"})), "dense");
}

TEST(Convert, FourBitsWithAScaleForEveryGroup) {
  const TempDir folder;
  const std::string dense = sparse_model(folder, k2of4);
  const std::string int4 = converted(folder, dense, "a", {"--to", "packed", "--dtype", "int4-g32-z"});
  const Json facts = pare_json({"inspect", int4});
  EXPECT_EQ(facts["encodings"]["int4-g32-z"]["matrices"], 28);
  EXPECT_EQ(facts["matrices"][1]["pattern"], "2:4");
  // Half of the codes and the mask; a scale and a zero point for 32 columns.
  EXPECT_EQ(facts["matrices"][1]["bits_per_weight"], 2.0 + 1.0 + 40.0 / 32);
  EXPECT_NEAR(perplexity(int4), perplexity(dense), 0.1 * perplexity(dense));
  const std::string back = converted(folder, int4, "back");
  const std::string gguf = converted(folder, int4, "back.gguf");
  EXPECT_EQ(pare_json({"inspect", back})["encodings"]["bf16"]["matrices"], 29);
  EXPECT_TRUE(file_contents(gguf) == file_contents(converted(folder, back, "dense.gguf")));
  EXPECT_EQ(pare({"generate", int4, "-p", "a", "-n", "4"}).status, 0);
}

TEST(Convert, PackQuantizedIsReadBack) {
  const TempDir folder;
  const std::string int4 =
      converted(folder, kTinyModel, "a", {"--to", "pack-quantized", "--dtype", "int4-g32"});
  EXPECT_EQ(pare_json({"inspect", int4})["encodings"]["int4-g32-bf16"]["matrices"], 28);
  EXPECT_THAT(file_contents(int4 + "/README.md"), testing::HasSubstr("`pack-quantized`"));
  const std::string again = converted(folder, int4, "b", {"--to", "pack-quantized"});
  EXPECT_TRUE(file_contents(again + "/model.safetensors") == file_contents(int4 + "/model.safetensors"));
  EXPECT_EQ(pare({"generate", int4, "-p", "a", "-n", "4"}).status, 0);
}

TEST(Convert, RefusesSparseRequestsThatMakeNoSense) {
  const TempDir folder;
  const std::string out = (folder / "out").string();
  const auto refused = [&](std::vector<std::string> options, int status, const std::string& message) {
    options.insert(options.begin(), {"convert", kTinyModel, "-o", out});
    expect_failure(options, status, message);
  };
  refused({"--to", "packed"}, 1, "nothing to pack: none of the 28 linears");
  refused({"--to", "packed", "--pattern", "2:4"}, 1, "none of the 28 linears is 2:4");
  refused({"--to", "sparse-24-bitmask"}, 1, "none of the 28 linears is 2:4");
  refused({"--to", "packed", "--pattern", "4:2"}, 2, "'4:2' is not N:M");
  refused({"--pattern", "2:4"}, 2, "--pattern needs --to packed");
  refused({"--dtype", "int8"}, 2, "--dtype int8 needs --to packed");
  refused({"--dtype", "int4-g32"}, 2, "--dtype int4-g32 needs --to packed");
  refused({"--to", "sparse-24-bitmask", "--dtype", "int8"}, 2, "--dtype int8 needs --to packed");
  refused({"--to", "blocks"}, 2, "--to");
  refused({"--to", "pack-quantized"}, 2,
          "the format pack-quantized needs a type: int4-g32, int4-g64 or int4-g128");
  for (const char* type : {"int4-g32-z", "int8", "bf16"})
    refused({"--to", "pack-quantized", "--dtype", type}, 2, "--to pack-quantized takes --dtype int4-g32");
  expect_failure({"convert", kTinyModel, "-o", out + ".gguf", "--to", "packed"}, 2,
                 "needs a Hugging Face folder");
  EXPECT_EQ(files_in(folder), 0u);
}

TEST(Convert, ADamagedPackedFolderIsAClearError) {
  const TempDir folder;
  const std::string packed = converted(folder, sparse_model(folder, k2of4), "packed", {"--to", "packed"});
  const std::string path = packed + "/model.safetensors";
  const std::string good = file_contents(path);
  const auto expect_broken = [&](const std::string& bytes, const std::string& message) {
    std::ofstream(path, std::ios::binary) << bytes;
    expect_failure({"inspect", packed}, 1, message);
  };
  expect_broken(good.substr(0, good.size() - 10), "truncated");
  std::string mask = good;
  mask.back() = static_cast<char>(0xff);  // masks come last
  expect_broken(mask, "keeps 4 of columns 56 to 59, 2:4 keeps 2");
  std::string missing = good;
  missing.replace(missing.find("up_proj.weight.mask"), 7, "no_proj");
  expect_broken(missing, "up_proj.weight.mask\" is missing");
}

TEST(Convert, TheManifestGoesAlong) {
  const TinyModelCopy model;
  model.write("pare.json", "{\"recipe\": {\"seed\": 1}}\n");
  const TempDir folder;
  const std::string gguf = converted(folder, model.path(), "model.gguf");
  const std::string back = converted(folder, gguf, "back");
  EXPECT_EQ(file_contents(back + "/pare.json"), model.read("pare.json"));
  EXPECT_EQ(file_contents(converted(folder, model.path(), "copy") + "/pare.json"), model.read("pare.json"));
}

TEST(Convert, RefusesWithoutATrace) {
  const TempDir folder;
  const std::string out = (folder / "out").string();
  expect_failure({"convert", kTinyModel, "-o", out, "--dtype", "q8_0"}, 2,
                 "--dtype q8_0 needs --to packed or a .gguf output");
  expect_failure({"convert", kTinyModel, "-o", out + ".gguf", "--dtype", "q4n"}, 2, "GGUF has no such type");
  expect_failure({"convert", kTinyModel, "-o", out, "--dtype", "q4_k_m"}, 2, "--dtype");
  expect_failure({"convert", kTinyModel, "-o", out, "--shard-size", "0"}, 2, "--shard-size");
  expect_failure({"convert", kTinyModel, "-o", out, "--shard-size", "-1"}, 2, "--shard-size");
  const TinyModelCopy model;
  expect_failure({"convert", model.path(), "-o", model.path()}, 1, "is the input");
  expect_failure({"convert", kTinyModel, "-o", (folder / "absent/x.gguf").string()}, 1, "absent");
  expect_failure({"convert", (folder / "absent.gguf").string(), "-o", out}, 1, "does not exist");
  EXPECT_EQ(files_in(folder), 0u);
  const std::string there = folder.file("there.gguf", "precious").string();
  expect_failure({"convert", kTinyModel, "-o", there}, 1, "exists");
  EXPECT_EQ(file_contents(there), "precious");
  EXPECT_EQ(files_in(folder), 1u);
}

// Killed at any moment, the final name is absent or complete.
TEST(Convert, KilledRunsLeaveNothingUnderTheFinalName) {
  for (const char* name : {"out", "out.gguf"}) {
    const TempDir folder;
    const std::string out = (folder / name).string();
    const std::string whole = converted(folder, kTinyModel, std::string("whole") + name);
    const std::string file = fs::is_directory(whole) ? "/model.safetensors" : "";
    for (const char* delay : {"0.003", "0.01", "0.02", "0.04", "0.08"}) {
      run_command({"/bin/sh", "-c",
                   "timeout -s KILL " + std::string(delay) + " " PARE_BINARY " convert " + kTinyModel +
                       " -o " + out});
      if (!fs::exists(out)) continue;
      EXPECT_TRUE(file_contents(out + file) == file_contents(whole + file));
      fs::remove_all(out);
    }
    converted(folder, kTinyModel, name);  // what they left is not in the way
    EXPECT_FALSE(fs::exists(out + ".partial"));
    EXPECT_FALSE(fs::exists(out + ".pare-partial"));
  }
}

}  // namespace
}  // namespace pare::test

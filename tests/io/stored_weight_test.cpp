// Matrices stored in parts: packed and sparse-24-bitmask.
#include "io/stored_weight.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/rng.h"
#include "io/model_dir.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tensor/sparse_weight.h"

namespace pare::test {
namespace {

constexpr const char* kName = "model.x.weight";
constexpr int64_t kRows = 5;
constexpr int64_t kCols = 20;

Weight make(const WeightFormat& format, int64_t cols = kCols) {
  Rng rng(1);
  const Pattern pattern = format.pattern;
  Matrix<float> values = Matrix<float>::zeros(kRows, cols);
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      if (pattern.dense() || (c + r) % pattern.group < pattern.kept)
        values(r, c) = static_cast<float>(rng.normal());
  // A group has `kept` of them wherever the row starts.
  return to_pattern(Weight::from_matrix(values.view(), format.in(kDense)), pattern, kName);
}

// The tensors of a weight as a file gives them.
struct Tensors {
  TensorMap map;
  std::vector<SkippedTensor> skipped;
  std::set<std::string> used;

  Tensors(StorageFormat storage, const Weight& w) {
    for (const PartPlan& part : plan_parts(storage, kName, w.rows, w.cols, w.format)) {
      const Weight bytes = part_of(w, part.kind);
      set(part.tensor, {bytes.data, static_cast<size_t>(bytes.bytes())});
    }
  }
  void set(const TensorPlan& plan, std::span<const std::byte> bytes) {
    const auto copy = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    copy->resize(tensor_bytes(plan));
    map[plan.name] = {plan.name, plan.encoding, plan.shape, *copy, copy};
  }
  void set(const TensorPlan& plan) { set(plan, {}); }
  template <typename T>
  void edit(const std::string& name, size_t index, T value) {
    TensorInfo& tensor = map.at(name);
    std::vector<std::byte> bytes(tensor.bytes.begin(), tensor.bytes.end());
    std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
    set({name, tensor.encoding, tensor.shape}, bytes);
  }
  Weight packed(const WeightFormat& stated, int64_t cols = kCols) {
    return packed_matrix({"file", map, skipped}, kName, kRows, cols, stated, used);
  }
  Weight bitmask(int64_t cols = kCols) {
    return bitmask_matrix({"file", map, skipped}, kName, kRows, cols, used);
  }
  Weight pack_quantized(const WeightFormat& stated, int64_t cols) {
    return pack_quantized_matrix({"file", map, skipped}, kName, kRows, cols, stated, used);
  }
};

void expect_same(const Weight& a, const Weight& b) {
  const Matrix<float> x = decode(a);
  const Matrix<float> y = decode(b);
  ASSERT_EQ(x.size(), y.size());
  EXPECT_EQ(std::memcmp(x.data(), y.data(), static_cast<size_t>(x.size()) * sizeof(float)), 0);
}

TEST(StoredWeight, PackedPartsMakeTheMatrix) {
  for (const char* name : {"2:4", "1:4", "3:5", "7:10", "dense"})
    for (const Encoding e : {Encoding::kF32, Encoding::kF16, Encoding::kBF16, Encoding::kInt8}) {
      const Pattern pattern = std::string_view(name) == "dense" ? kDense : parse_pattern(name);
      if (pattern.dense() && e != Encoding::kInt8) continue;
      SCOPED_TRACE(fmt::format("{} {}", name, encoding_info(e).name));
      const Weight weight = make({pattern, e});
      Tensors tensors(StorageFormat::kPacked, weight);
      const Weight got = tensors.packed({pattern, Encoding::kF32});
      EXPECT_EQ(got.format, WeightFormat(pattern, e));
      EXPECT_EQ(got.bytes(), weight.bytes());
      EXPECT_EQ(tensors.used.size(), tensors.map.size());
      expect_same(got, weight);
    }
}

TEST(StoredWeight, BitmaskPartsMakeTheMatrix) {
  for (const Encoding e : {Encoding::kF32, Encoding::kF16, Encoding::kBF16}) {
    const Weight weight = make({k2of4, e});
    Tensors tensors(StorageFormat::kSparse24Bitmask, weight);
    EXPECT_EQ(tensors.map.at("model.x.compressed").shape, (std::vector<int64_t>{kRows, kCols / 2}));
    EXPECT_EQ(tensors.map.at("model.x.bitmask").shape, (std::vector<int64_t>{kRows, 3}));
    EXPECT_EQ(tensors.map.at("model.x.shape").shape, (std::vector<int64_t>{2, 1}));
    expect_same(tensors.bitmask(), weight);
    EXPECT_EQ(tensors.used.size(), 3u);
  }
}

TEST(StoredWeight, PackQuantizedPartsMakeTheMatrix) {
  for (const Encoding type : {Encoding::kF32, Encoding::kF16, Encoding::kBF16})
    for (const int32_t group : {0, 32, 64}) {
      SCOPED_TRACE(fmt::format("{} {}", group, encoding_info(type).name));
      WeightFormat format = {kDense, Encoding::kInt4, group};
      const WeightFormat stated = format;
      format.scale_type = type;
      const Weight weight = make(format, 128);
      Tensors tensors(StorageFormat::kPackQuantized, weight);
      EXPECT_EQ(tensors.map.size(), 3u);
      const TensorInfo& words = tensors.map.at("model.x.weight_packed");
      EXPECT_EQ(words.encoding, Encoding::kI32);
      EXPECT_EQ(words.shape, (std::vector<int64_t>{kRows, 16}));
      const TensorInfo& scales = tensors.map.at("model.x.weight_scale");
      EXPECT_EQ(scales.encoding, type);
      EXPECT_EQ(scales.shape, (std::vector<int64_t>{kRows, group == 0 ? 1 : 128 / group}));
      EXPECT_EQ(tensors.map.at("model.x.weight_shape").shape, std::vector<int64_t>{2});
      // Column c is four bits of word c / 8, the first column lowest; 8 means zero.
      const Matrix<float> values = decode(weight);
      for (int64_t c = 0; c < 128; ++c) {
        uint32_t word = 0;
        std::memcpy(&word, words.bytes.data() + c / 8 * 4, 4);
        const int code = static_cast<int>(word >> (4 * (c % 8)) & 15) - 8;
        EXPECT_EQ(values(0, c), static_cast<float>(code) * weight.scale(group == 0 ? 0 : c / group));
      }
      const Weight got = tensors.pack_quantized(stated, 128);
      EXPECT_EQ(got.format, format);
      EXPECT_EQ(got.bytes(), weight.bytes());
      EXPECT_EQ(tensors.used.size(), 3u);
      expect_same(got, weight);
      Tensors packed(StorageFormat::kPacked, weight);
      expect_same(packed.packed(format, 128), weight);
    }
}

TEST(StoredWeight, PlainMatricesAreOneTensor) {
  for (const StorageFormat format : {StorageFormat::kPlain, StorageFormat::kPacked,
                                     StorageFormat::kSparse24Bitmask, StorageFormat::kPackQuantized}) {
    const auto parts = plan_parts(format, kName, 3, 4, Encoding::kF16);
    ASSERT_EQ(parts.size(), 1u);
    EXPECT_EQ(parts[0].tensor, (TensorPlan{kName, Encoding::kF16, {3, 4}}));
  }
}

TEST(StoredWeight, PartsOfSeveralFilesStayMapped) {
  const Weight weight = make({k2of4, Encoding::kInt8});
  const TempDir folder;
  std::vector<TensorPlan> plan;
  std::map<std::string, PartKind> kinds;
  for (const PartPlan& part :
       plan_parts(StorageFormat::kPacked, kName, kRows, kCols, {k2of4, Encoding::kInt8})) {
    plan.push_back(part.tensor);
    kinds[part.tensor.name] = part.kind;
  }
  write_model_tensors(
      folder.path(), plan, [&](const TensorPlan& p) { return part_of(weight, kinds.at(p.name)); }, 1);
  EXPECT_TRUE(std::filesystem::exists(folder / "model-00003-of-00003.safetensors"));
  Weight got;
  {
    const ModelTensors model = read_model_tensors(folder.path());
    std::set<std::string> used;
    got = packed_matrix({"file", model.tensors, model.skipped}, kName, kRows, kCols, {k2of4, Encoding::kF32},
                        used);
  }
  release_pages(got);
  expect_same(got, weight);
}

TEST(StoredWeight, RefusesBrokenPackedParts) {
  const std::string values = std::string(kName) + ".values";
  const std::string mask = std::string(kName) + ".mask";
  const std::string scale = std::string(kName) + ".scale";
  const Weight weight = make({k2of4, Encoding::kInt8});
  const auto damaged = [&](auto&& edit, Pattern pattern = k2of4, int64_t cols = kCols) {
    Tensors tensors(StorageFormat::kPacked, weight);
    edit(tensors);
    tensors.packed({pattern, Encoding::kF32}, cols);
  };
  const auto nothing = [](Tensors&) {};
  damaged(nothing);
  for (const std::string& name : {values, mask, scale})
    EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.map.erase(name); }), ErrorCode::kNotFound,
                      fmt::format("file: tensor \"{}\" is missing", name));
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.map.erase(values), t.skipped = {{values, "F8_E4M3"}};
                    }),
                    ErrorCode::kUnsupported, "of type F8_E4M3");
  EXPECT_PARE_ERROR(damaged(nothing, {1, 4}), ErrorCode::kFormat,
                    "tensor \"model.x.weight.values\": expected shape (5, 5), got (5, 10)");
  EXPECT_PARE_ERROR(damaged(nothing, {2, 3}), ErrorCode::kFormat,
                    "\"model.x.weight\" cannot be 2:3: its rows of 20 values do not divide into groups of 3");
  EXPECT_PARE_ERROR(damaged(nothing, k2of4, 24), ErrorCode::kFormat, "expected shape (5, 12)");
  EXPECT_PARE_ERROR(damaged(nothing, kDense), ErrorCode::kFormat, "expected shape (5, 20)");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({mask, Encoding::kU8, {5, 2}});
                    }),
                    ErrorCode::kFormat, "tensor \"model.x.weight.mask\": expected shape (5, 3), got (5, 2)");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({mask, Encoding::kInt8, {5, 3}});
                    }),
                    ErrorCode::kFormat, "tensor \"model.x.weight.mask\": expected type u8, got int8");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({values, Encoding::kU8, {5, 10}});
                    }),
                    ErrorCode::kFormat, "expected type f32, f16, bf16 or int8, got u8");
  EXPECT_PARE_ERROR(damaged(
                        [&](Tensors& t) {
                          t.set({values, Encoding::kBF16, {5, 20}});
                        },
                        kDense),
                    ErrorCode::kFormat, "expected type int8, since the matrix is dense, got bf16");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({scale, Encoding::kF16, {5}});
                    }),
                    ErrorCode::kFormat, "tensor \"model.x.weight.scale\": expected type f32, got f16");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({scale, Encoding::kF32, {5, 1}});
                    }),
                    ErrorCode::kFormat, "expected shape (5), got (5, 1)");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.edit(mask, 4, uint8_t{0xff}); }), ErrorCode::kFormat,
                    "file: model.x.weight: the mask of row 1 keeps 4 of columns 8 to 11, 2:4 keeps 2");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.edit(mask, 2, uint8_t{0x13}); }), ErrorCode::kFormat,
                    "row 0 keeps columns beyond the last of 20");
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.edit(scale, 3, bad); }), ErrorCode::kFormat,
                      "file: model.x.weight: the scale of row 3 is");
}

// Codes with a grid of scales: their format has to be stated.
constexpr int64_t kWide = 128;
const WeightFormat kGridFormats[] = {{kDense, Encoding::kInt4},           {kDense, Encoding::kInt4, 32},
                                     {kDense, Encoding::kInt4, 64, true}, {k2of4, Encoding::kInt4, 32},
                                     {k2of4, Encoding::kInt4, 128, true}, {{1, 4}, Encoding::kInt4, 0, true},
                                     {kDense, Encoding::kInt8, 32},       {k2of4, Encoding::kInt8, 64}};

TEST(StoredWeight, GridsOfScalesMakeTheMatrix) {
  for (const WeightFormat& format : kGridFormats) {
    SCOPED_TRACE(format_name(format));
    const Weight weight = make(format, kWide);
    Tensors tensors(StorageFormat::kPacked, weight);
    const Weight got = tensors.packed(format, kWide);
    EXPECT_EQ(got.format, format);
    EXPECT_EQ(got.bytes(), weight.bytes());
    EXPECT_EQ(tensors.used.size(), tensors.map.size());
    expect_same(got, weight);
  }
  const Tensors tensors(StorageFormat::kPacked, make({k2of4, Encoding::kInt4, 32, true}, kWide));
  const auto shape = [&](const char* part) { return tensors.map.at(std::string(kName) + part).shape; };
  EXPECT_EQ(shape(".values"), (std::vector<int64_t>{kRows, kWide / 4}));
  EXPECT_EQ(shape(".mask"), (std::vector<int64_t>{kRows, kWide / 8}));
  EXPECT_EQ(shape(".scale"), (std::vector<int64_t>{kRows, 4}));
  EXPECT_EQ(shape(".zero_point"), (std::vector<int64_t>{kRows, 4}));
}

TEST(StoredWeight, RefusesBrokenGrids) {
  const std::string values = std::string(kName) + ".values";
  const std::string scale = std::string(kName) + ".scale";
  const std::string zero_point = std::string(kName) + ".zero_point";
  const WeightFormat format{k2of4, Encoding::kInt4, 32, true};
  const Weight weight = make(format, kWide);
  const auto damaged = [&](auto&& edit, const WeightFormat& stated, int64_t cols = kWide) {
    Tensors tensors(StorageFormat::kPacked, weight);
    edit(tensors);
    tensors.packed(stated, cols);
  };
  const auto nothing = [](Tensors&) {};
  damaged(nothing, format);
  for (const std::string& name : {values, scale, zero_point})
    EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.map.erase(name); }, format), ErrorCode::kNotFound,
                      fmt::format("file: tensor \"{}\" is missing", name));
  EXPECT_PARE_ERROR(damaged(nothing, format, 100), ErrorCode::kFormat,
                    "file: \"model.x.weight\" cannot be 2:4-int4-g32-z: its rows of 100 values do not divide "
                    "into groups of 32");
  EXPECT_PARE_ERROR(damaged(nothing, {{3, 5}, Encoding::kInt4, 32}, 160), ErrorCode::kFormat,
                    "cannot be 3:5-int4-g32: groups of 32 columns do not divide into groups of 5");
  EXPECT_PARE_ERROR(damaged(nothing, {{1, 32}, Encoding::kInt4, 32}, 96), ErrorCode::kFormat,
                    "cannot be 1:32-int4-g32: the 3 stored values of a row do not divide into blocks of 2");
  EXPECT_PARE_ERROR(damaged(nothing, {k2of4, Encoding::kInt4, 64, true}), ErrorCode::kFormat,
                    "tensor \"model.x.weight.scale\": expected shape (5, 2), got (5, 4)");
  EXPECT_PARE_ERROR(damaged(nothing, {k2of4, Encoding::kInt4, 0, true}), ErrorCode::kFormat,
                    "tensor \"model.x.weight.scale\": expected shape (5), got (5, 4)");
  EXPECT_PARE_ERROR(damaged(nothing, {kDense, Encoding::kInt4, 32, true}), ErrorCode::kFormat,
                    "tensor \"model.x.weight.values\": expected shape (5, 64), got (5, 32)");
  EXPECT_PARE_ERROR(damaged(nothing, {{1, 4}, Encoding::kInt8, 32}), ErrorCode::kFormat,
                    "tensor \"model.x.weight.values\": expected type int8, got u8");
  EXPECT_PARE_ERROR(damaged(nothing, {{1, 4}, Encoding::kF32}), ErrorCode::kFormat,
                    "expected type f32, f16, bf16 or int8, got u8");
  EXPECT_PARE_ERROR(damaged(
                        [&](Tensors& t) {
                          t.set({scale, Encoding::kF16, {5, 4}});
                        },
                        format),
                    ErrorCode::kFormat, "tensor \"model.x.weight.scale\": expected type f32, got f16");
  EXPECT_PARE_ERROR(damaged(
                        [&](Tensors& t) {
                          t.set({zero_point, Encoding::kInt8, {5, 4}});
                        },
                        format),
                    ErrorCode::kFormat, "tensor \"model.x.weight.zero_point\": expected type u8, got int8");
  EXPECT_PARE_ERROR(damaged(
                        [&](Tensors& t) {
                          t.set({zero_point, Encoding::kU8, {5}});
                        },
                        format),
                    ErrorCode::kFormat,
                    "tensor \"model.x.weight.zero_point\": expected shape (5, 4), got (5)");
  EXPECT_PARE_ERROR(
      damaged([&](Tensors& t) { t.edit(zero_point, 6, uint8_t{16}); }, format), ErrorCode::kFormat,
      "file: model.x.weight: the zero point of row 1, columns 64 to 95 is 16, expected 0 to 15");
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.edit(scale, 19, bad); }, format), ErrorCode::kFormat,
                      "file: model.x.weight: the scale of row 4, columns 96 to 127 is");
}

TEST(StoredWeight, RefusesBrokenBitmaskParts) {
  const Weight weight = make({k2of4, Encoding::kBF16});
  const auto damaged = [&](auto&& edit, int64_t cols = kCols) {
    Tensors tensors(StorageFormat::kSparse24Bitmask, weight);
    edit(tensors);
    tensors.bitmask(cols);
  };
  const auto nothing = [](Tensors&) {};
  damaged(nothing);
  for (const char* name : {"model.x.compressed", "model.x.bitmask", "model.x.shape"})
    EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.map.erase(name); }), ErrorCode::kNotFound, name);
  EXPECT_PARE_ERROR(damaged(nothing, 24), ErrorCode::kFormat,
                    "tensor \"model.x.shape\": expected (5, 24), got (5, 20)");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.edit("model.x.shape", 1, int64_t{22}); }, 22),
                    ErrorCode::kFormat, "do not divide into groups of 4");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({"model.x.shape", Encoding::kI64, {2}});
                    }),
                    ErrorCode::kFormat, "tensor \"model.x.shape\": expected shape (2, 1), got (2)");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({"model.x.compressed", Encoding::kInt8, {5, 10}});
                    }),
                    ErrorCode::kFormat, "expected type f32, f16 or bf16, got int8");
  EXPECT_PARE_ERROR(damaged([&](Tensors& t) {
                      t.set({"model.x.bitmask", Encoding::kU8, {5, 3}});
                    }),
                    ErrorCode::kFormat, "file: model.x.weight: the mask of row 0 keeps 0 of columns 0 to 3");
}

TEST(StoredWeight, RefusesBrokenPackQuantizedParts) {
  WeightFormat format = {kDense, Encoding::kInt4, 32};
  format.scale_type = Encoding::kBF16;
  const Weight weight = make(format, 64);
  const auto damaged = [&](auto&& edit, const WeightFormat& stated = {kDense, Encoding::kInt4, 32},
                           int64_t cols = 64) {
    Tensors tensors(StorageFormat::kPackQuantized, weight);
    edit(tensors);
    tensors.pack_quantized(stated, cols);
  };
  const auto nothing = [](Tensors&) {};
  damaged(nothing);
  for (const char* name : {"model.x.weight_packed", "model.x.weight_scale", "model.x.weight_shape"})
    EXPECT_PARE_ERROR(damaged([&](Tensors& t) { t.map.erase(name); }), ErrorCode::kNotFound, name);
  EXPECT_PARE_ERROR(damaged(nothing, {kDense, Encoding::kInt4, 64}), ErrorCode::kFormat,
                    "tensor \"model.x.weight_scale\": expected shape (5, 1), got (5, 2)");
  EXPECT_PARE_ERROR(damaged(nothing, {kDense, Encoding::kInt4, 32}, 96), ErrorCode::kFormat,
                    "tensor \"model.x.weight_shape\": expected (5, 96), got (5, 64)");
  EXPECT_PARE_ERROR(damaged(nothing, {kDense, Encoding::kInt4, 32}, 80), ErrorCode::kFormat,
                    "cannot be int4-g32: its rows of 80 values do not divide into groups of 32");
  EXPECT_PARE_ERROR(damaged(nothing, Encoding::kInt4, 62), ErrorCode::kUnsupported,
                    "has rows of 62 values, pare reads multiples of 8");
  EXPECT_PARE_ERROR(damaged([](Tensors& t) {
                      t.set({"model.x.weight_packed", Encoding::kI32, {5, 16}});
                    }),
                    ErrorCode::kFormat, "expected shape (5, 8), got (5, 16)");
  EXPECT_PARE_ERROR(damaged([](Tensors& t) {
                      t.set({"model.x.weight_scale", Encoding::kU8, {5, 2}});
                    }),
                    ErrorCode::kFormat, "expected type f32, f16 or bf16, got u8");
  EXPECT_PARE_ERROR(damaged([](Tensors& t) {
                      t.set({"model.x.weight_g_idx", Encoding::kI32, {64}});
                    }),
                    ErrorCode::kUnsupported,
                    "tensor \"model.x.weight_g_idx\" groups the columns in an order");
  EXPECT_PARE_ERROR(damaged([](Tensors& t) { t.edit("model.x.weight_scale", 3, uint16_t{0x7f80}); }),
                    ErrorCode::kFormat, "the scale of row 1, columns 32 to 63 is inf");
}

}  // namespace
}  // namespace pare::test

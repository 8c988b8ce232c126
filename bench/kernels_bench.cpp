// Linears, attention products and Gram matrices on one thread. Rates are per CPU second.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/rng.h"
#include "kernels/cpu/attention_products.h"
#include "kernels/cpu/linear_impls.h"
#include "kernels/cpu/vector_ops.h"
#include "linalg/linalg.h"
#include "peaks.h"
#include "runtime/speed.h"

namespace pare {
namespace {

constexpr int64_t kBeyondCache = int64_t{1} << 29;  // bytes of distinct weights that decoding walks over

Matrix<float> random_matrix(int64_t rows, int64_t cols) {
  Matrix<float> m(rows, cols);
  Rng rng(1);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(rng.uniform() - 0.5);
  return m;
}

void set_rate(benchmark::State& state, const char* name, double per_iteration) {
  state.counters[name] = benchmark::Counter(per_iteration * static_cast<double>(state.iterations()) * 1e-9,
                                            benchmark::Counter::kIsRate);
}

void memory_read(benchmark::State& state) {
  for (auto _ : state)
    state.SetIterationTime(static_cast<double>(kBeyondCache) / read_bandwidth(kBeyondCache));
  set_rate(state, "GB/s", static_cast<double>(kBeyondCache));
}

template <float (*kMultiplyAdd)(int64_t)>
void multiply_add_peak(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(kMultiplyAdd(1000000));
  set_rate(state, "GF/s", 1e6 * bench::kMultiplyAddFlops);
}

void tile_product_peak(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(bench::tile_products(1000000));
  set_rate(state, "GF/s", 1e6 * bench::kTileFlops);
}

// Weights that the kernel runs: whatever, or with two zeros in four where it takes nothing else.
Matrix<float> weights_for(const LinearImpl& impl, int64_t out, int64_t in) {
  Matrix<float> m = random_matrix(out, in);
  if (impl.pattern.dense()) return m;
  Rng rng(2);
  for (int64_t i = 0; i + 4 <= m.size(); i += 4) {
    const auto first = static_cast<int64_t>(rng.below(4));
    m.data()[i + first] = 0.0f;
    m.data()[i + (first + 1 + static_cast<int64_t>(rng.below(3))) % 4] = 0.0f;
  }
  return m;
}

// Copies of one packed linear of weights that are stored as `encoding`: enough that no cache holds them.
const std::vector<std::unique_ptr<PackedLinear>>& packed(const LinearImpl& impl, Encoding encoding,
                                                         int64_t out, int64_t in) {
  static std::string held;
  static std::vector<std::unique_ptr<PackedLinear>> copies;
  const std::string key = fmt::format("{} {} {} {}", impl.name, encoding_info(encoding).name, out, in);
  if (held == key) return copies;
  copies.clear();
  const Matrix<float> values = weights_for(impl, out, in);
  const Weight weight = Weight::from_matrix(values.view(), encoding);
  int64_t bytes = 0;
  while (bytes < kBeyondCache) {
    copies.push_back(impl.pack(std::span(&weight, 1)));
    bytes += copies.back()->bytes();
  }
  held = key;
  return copies;
}

void linear(benchmark::State& state, const LinearImpl& impl, Encoding encoding) {
  const int64_t tokens = state.range(0);
  const int64_t out = state.range(1);
  const int64_t in = state.range(2);
  const auto& copies = packed(impl, encoding, out, in);
  const Matrix<float> x = random_matrix(tokens, in);
  Matrix<float> y(tokens, out);
  size_t next = 0;
  for (auto _ : state) {
    copies[next]->apply(x.view(), y.view());
    next = (next + 1) % copies.size();
    benchmark::DoNotOptimize(y.data());
  }
  set_rate(state, "GB/s", static_cast<double>(copies[0]->bytes()));
  set_rate(state, "GF/s", 2.0 * static_cast<double>(tokens * out * in));
}

template <bool kScores, typename T>
void attention(benchmark::State& state) {
  const int64_t m = state.range(0);
  const int64_t n = state.range(1);
  const int64_t k = state.range(2);
  const Matrix<float> a = random_matrix(m, k);
  const Matrix<float> values = random_matrix(n, k);
  Matrix<T> b(n, k);  // read as (k, n) for values
  for (int64_t i = 0; i < b.size(); ++i) {
    if constexpr (std::is_same_v<T, bf16>)
      b.data()[i] = to_bf16(values.data()[i]);
    else
      b.data()[i] = values.data()[i];
  }
  const AttentionProducts products(active_isa());
  Matrix<float> c = Matrix<float>::zeros(m, n);
  for (auto _ : state) {
    if (kScores)
      products.nt(m, n, k, 0.125f, a.data(), k, b.data(), k, c.data(), n);
    else
      products.nn(m, n, k, a.data(), k, b.data(), n, c.data(), n);
    benchmark::DoNotOptimize(c.data());
  }
  set_rate(state, "GF/s", 2.0 * static_cast<double>(m * n * k));
}

void softmax_exp(benchmark::State& state) {
  const Matrix<float> x = random_matrix(1, 4096);
  Matrix<float> y(1, 4096);
  for (auto _ : state) {
    std::copy_n(x.data(), x.size(), y.data());
    benchmark::DoNotOptimize(vector_ops().exp_sum(y.data(), 1.0f, y.size()));
  }
  set_rate(state, "Gexp/s", 4096.0);
}

void gram(benchmark::State& state) {
  const int64_t n = state.range(0);
  constexpr int64_t kTokens = 1024;
  const Matrix<float> x = random_matrix(kTokens, n);
  Matrix<double> h = Matrix<double>::zeros(n, n);
  for (auto _ : state) gram_accumulate_f32(x.view(), nullptr, h.view());
  set_rate(state, "GF/s", static_cast<double>(kTokens) * static_cast<double>(n) * static_cast<double>(n + 1));
}

void dgemm(benchmark::State& state) {
  const int64_t n = state.range(0);
  Matrix<double> a(n, n);
  std::fill_n(a.data(), a.size(), 0.5);
  for (auto _ : state) benchmark::DoNotOptimize(matmul_tn(a.view(), a.view()).data());
  set_rate(state, "GF/s", 2.0 * static_cast<double>(n * n * n));
}

void register_linear(const std::string& name, const LinearImpl& impl, Encoding encoding) {
  auto* registered = benchmark::RegisterBenchmark(
      name.c_str(), [&impl, encoding](benchmark::State& state) { linear(state, impl, encoding); });
  registered->ArgNames({"tokens", "out", "in"});
  const int64_t narrow = encoding_info(encoding).block_values == 256 ? 512 : 576;
  for (const int64_t tokens : {1, 2, 4, 8, 16, 32, 64, 128, 512}) registered->Args({tokens, 4096, 4096});
  for (const int64_t tokens : {1, 512}) registered->Args({tokens, 1536, narrow});
}

void register_all() {
  benchmark::RegisterBenchmark("peak/memory_read", memory_read)->UseManualTime();
  if (detected_isa() >= Isa::kAvx2)
    benchmark::RegisterBenchmark("peak/multiply_add_avx2", multiply_add_peak<bench::multiply_add_avx2>);
  if (detected_isa() >= Isa::kAvx512)
    benchmark::RegisterBenchmark("peak/multiply_add_avx512", multiply_add_peak<bench::multiply_add_avx512>);
  if (detected_isa() >= Isa::kAmx) benchmark::RegisterBenchmark("peak/tile_product_bf16", tile_product_peak);
  for (const LinearImpl& impl : linear_impls()) {
    if (impl.needs > detected_isa() || impl.needs == Isa::kReference) continue;
    if (impl.compute != ComputeType::kStored) {
      register_linear(fmt::format("linear/{}", impl.name), impl, Encoding::kF32);
      continue;
    }
    for (const Encoding encoding :
         {Encoding::kQ8_0, Encoding::kQ4_0, Encoding::kQ4_K, Encoding::kQ6_K, Encoding::kQ4N, Encoding::kQ3N})
      register_linear(fmt::format("linear/{}/{}", impl.name, encoding_info(encoding).name), impl, encoding);
  }
  for (const int64_t m : {1, 3, 4, 9, 64}) {
    benchmark::RegisterBenchmark("attention/scores/f32", attention<true, float>)->Args({m, 256, 64});
    benchmark::RegisterBenchmark("attention/scores/bf16", attention<true, bf16>)->Args({m, 256, 64});
    benchmark::RegisterBenchmark("attention/values/f32", attention<false, float>)->Args({m, 64, 256});
    benchmark::RegisterBenchmark("attention/values/bf16", attention<false, bf16>)->Args({m, 64, 256});
  }
  benchmark::RegisterBenchmark("softmax_exp", softmax_exp);
  for (const int64_t n : {576, 2048}) {
    benchmark::RegisterBenchmark("algebra/gram", gram)->Arg(n);
    benchmark::RegisterBenchmark("algebra/dgemm", dgemm)->Arg(n);
  }
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  pare::set_thread_count(1);
  pare::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

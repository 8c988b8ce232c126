#include "runtime/forward.h"

#include <cmath>
#include <cstring>

#include "base/parallel.h"
#include "kernels/cpu/vector_ops.h"
#include "runtime/attention.h"
#include "runtime/pipeline.h"

namespace pare {
namespace {

constexpr int64_t kRowsPerTask = 16;

// Calls body(row) for every row, in pieces of a fixed size.
template <typename Body>
void for_each_row(int64_t rows, Body&& body) {
  parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t chunk) {
    for (int64_t r = chunk * kRowsPerTask; r < std::min(rows, (chunk + 1) * kRowsPerTask); ++r) body(r);
  });
}

void notify(const Observer& observer, Signal signal, MatrixView<const float> x) {
  if (observer) observer(signal, x);
}

// A row of n values; y may be x.
void norm_row(const Norm& norm, const float* x, float* y, int64_t n) {
  const float* weight = norm.weight.empty() ? nullptr : norm.weight.data();
  const float* bias = norm.bias.empty() ? nullptr : norm.bias.data();
  const auto divisor = static_cast<float>(norm.divisor);
  const auto eps = static_cast<float>(norm.eps);
  switch (norm.kind) {
    case NormKind::kRms:
      return vector_ops().rms_norm(x, weight, divisor, eps, y, n);
    case NormKind::kLayer:
      return vector_ops().layer_norm(x, weight, bias, divisor, eps, y, n);
    case NormKind::kNone:
      if (y != x) std::memcpy(y, x, static_cast<size_t>(n) * sizeof(float));
  }
}

// Normalises queries or keys x (tokens, heads·head_dim) in place: each head, or all of a token together.
void norm_heads(const PackedAttention& a, const Norm& norm, MatrixView<float> x) {
  if (a.norms == QueryKeyNorm::kNone) return;
  const int64_t width = a.norms == QueryKeyNorm::kHead ? a.head_dim : x.cols;
  for_each_row(x.rows, [&](int64_t t) {
    for (int64_t c = 0; c < x.cols; c += width) norm_row(norm, x.row(t) + c, x.row(t) + c, width);
  });
}

// Rotates the first values of every head of every row of x (tokens, heads·head_dim), as many as the table
// has.
void rotate_heads(MatrixView<float> x, int64_t head_dim, const RopeTable& rope) {
  const int64_t pairs = rope.cos.cols();
  if (pairs == 0) return;
  for_each_row(x.rows, [&](int64_t t) {
    for (int64_t c = 0; c < x.cols; c += head_dim)
      vector_ops().rope(x.row(t) + c, rope.cos.row(t), rope.sin.row(t), pairs);
  });
}

// Appends the heads of x (tokens, kv_heads·dim) to a cache at position `first`.
void append(MatrixView<const float> x, int64_t first, std::vector<KvRows>& cache) {
  for (size_t h = 0; h < cache.size(); ++h)
    for (int64_t t = 0; t < x.rows; ++t)
      cache[h].set(first + t, x.row(t) + static_cast<int64_t>(h) * cache[h].dim());
}

Matrix<float> run_attention(const PackedAttention& a, MatrixView<const float> x,
                            std::span<const Segment> segments, const RopeTable& rope,
                            const Observer& observer) {
  Matrix<float> qkv(x.rows, a.qkv.linear->out_features());
  a.qkv.apply(x, qkv.view());
  const int64_t queries = a.heads * a.head_dim;
  const int64_t keys = a.kv_heads * a.head_dim;
  const MatrixView<float> q = qkv.view().block(0, 0, x.rows, queries);
  const MatrixView<float> k = qkv.view().block(0, queries, x.rows, keys);
  const MatrixView<float> v = qkv.view().block(0, queries + keys, x.rows, a.kv_heads * a.value_head_dim);
  norm_heads(a, a.q_norm, q);
  norm_heads(a, a.k_norm, k);
  rotate_heads(q, a.head_dim, rope);
  rotate_heads(k, a.head_dim, rope);
  Matrix<float> context(x.rows, a.heads * a.value_head_dim);
  for (const Segment& segment : segments) {
    PARE_CHECK(segment.kv != nullptr);
    append(k.rows_of(segment.begin, segment.rows), segment.first, segment.kv->keys);
    append(v.rows_of(segment.begin, segment.rows), segment.first, segment.kv->values);
  }
  attend(a, segments, q, context.view());
  notify(observer, Signal::kValueStream, context.view());
  Matrix<float> out(x.rows, a.o.linear->out_features());
  a.o.apply(context.view(), out.view());
  return out;
}

// Makes a row of gates and ups, or of ups only, the hidden stream in its place.
void activate(const PackedMlp& m, float* row, int64_t hidden) {
  const VectorOps& ops = vector_ops();
  switch (m.activation) {
    case Activation::kSilu:
      return ops.silu_mul(row, row + hidden, hidden);
    case Activation::kRelu:
      return ops.relu(row, hidden);
    case Activation::kGelu:
      return ops.gelu(row, hidden);
    case Activation::kGeluTanh:
      return ops.gelu_tanh(row, hidden);
  }
}

Matrix<float> run_mlp(const PackedMlp& m, MatrixView<const float> x, const Observer& observer) {
  const int64_t hidden = m.down.linear->in_features();
  Matrix<float> gate_up(x.rows, m.gate_up.linear->out_features());
  m.gate_up.apply(x, gate_up.view());
  const MatrixView<float> gate = gate_up.view().block(0, 0, x.rows, hidden);
  for_each_row(x.rows, [&](int64_t t) { activate(m, gate.row(t), hidden); });
  notify(observer, Signal::kHiddenStream, gate);
  Matrix<float> out(x.rows, m.down.linear->out_features());
  m.down.apply(gate, out.view());
  return out;
}

// The positions of the tokens that are appended.
std::vector<int64_t> positions_of(std::span<const CacheStep> steps) {
  std::vector<int64_t> positions;
  for (const CacheStep& step : steps)
    for (int64_t t = 0; t < step.tokens; ++t) positions.push_back(step.cache->length() + t);
  return positions;
}

}  // namespace

void apply_norm(const Norm& norm, MatrixView<const float> x, MatrixView<float> y) {
  for_each_row(x.rows, [&](int64_t t) { norm_row(norm, x.row(t), y.row(t), x.cols); });
}

Matrix<float> forward_stage(const PackedStage& stage, MatrixView<const float> x,
                            std::span<const Segment> segments, const RopeTable& rope,
                            const Observer& observer) {
  PARE_CHECK(x.cols == stage.width_in);
  notify(observer, Signal::kStageInput, x);
  Matrix<float> result;
  if (stage.skip) {
    result = Matrix<float>(x.rows, stage.width_out);
    stage.skip->apply(x, result.view());
  } else if (stage.branches.empty()) {
    result = Matrix<float>(x.rows, x.cols);
    for (int64_t t = 0; t < x.rows; ++t)
      std::memcpy(result.row(t), x.row(t), static_cast<size_t>(x.cols) * sizeof(float));
  }
  if (stage.branches.empty()) return result;
  Matrix<float> normed;
  MatrixView<const float> in = x;  // what the branches read
  if (stage.norm_place == NormPlace::kInput) {
    normed = Matrix<float>(x.rows, x.cols);
    apply_norm(stage.norm, x, normed.view());
    in = std::as_const(normed).view();
  }
  notify(observer, Signal::kNormed, in);
  for (const auto& branch : stage.branches) {
    const auto* attention = std::get_if<PackedAttention>(&branch);
    Matrix<float> out = attention != nullptr ? run_attention(*attention, in, segments, rope, observer)
                                             : run_mlp(std::get<PackedMlp>(branch), in, observer);
    notify(observer, Signal::kBranchOutput, out.view());
    if (stage.norm_place == NormPlace::kBranch) apply_norm(stage.norm, out.view(), out.view());
    if (result.empty()) {
      for_each_row(x.rows, [&](int64_t t) { vector_ops().add(x.row(t), out.row(t), x.cols); });
      result = std::move(out);
    } else {
      for_each_row(x.rows, [&](int64_t t) { vector_ops().add(out.row(t), result.row(t), result.cols()); });
    }
  }
  if (stage.norm_place == NormPlace::kSum) apply_norm(stage.norm, result.view(), result.view());
  return result;
}

Matrix<float> run_sequences(const PackedStage& stage, MatrixView<const float> x, int64_t length,
                            const RopeTable& rope) {
  const int64_t count = x.rows / length;
  PARE_CHECK(count * length == x.rows);
  std::vector<KvLayer> kv = kv_of(stage, count, length);
  std::vector<Segment> segments;
  for (int64_t s = 0; s < count; ++s)
    segments.push_back({s * length, length, 0, kv.empty() ? nullptr : &kv[static_cast<size_t>(s)]});
  return forward_stage(stage, x, segments, rope);
}

Matrix<float> embed(const Weight& embedding, std::span<const int32_t> tokens) {
  Matrix<float> x(static_cast<int64_t>(tokens.size()), embedding.cols);
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0 || tokens[t] >= embedding.rows)
      fail(ErrorCode::kInvalid, "token id {} is outside the vocabulary of {}", tokens[t], embedding.rows);
    decode_row(embedding, tokens[t], x.row(static_cast<int64_t>(t)));
  }
  return x;
}

void add_positions(const Weight& table, int64_t offset, std::span<const int64_t> positions,
                   MatrixView<float> x) {
  if (table.empty()) return;
  std::vector<float> row(static_cast<size_t>(table.cols));
  for (size_t t = 0; t < positions.size(); ++t) {
    const int64_t index = offset + positions[t];
    if (index >= table.rows)
      fail(ErrorCode::kInvalid, "position {} is beyond the {} that the model has learned", positions[t],
           table.rows - offset);
    decode_row(table, index, row.data());
    vector_ops().add(row.data(), x.row(static_cast<int64_t>(t)), x.cols);
  }
}

Matrix<float> first_stream(const PackedEmbedding& embedding, std::span<const int32_t> tokens,
                           std::span<const int64_t> positions) {
  Matrix<float> x = embed(embedding.table, tokens);
  if (embedding.transform) {
    Matrix<float> transformed(x.rows(), embedding.transform->out_features());
    embedding.transform->apply(x.view(), transformed.view());
    x = std::move(transformed);
  }
  add_positions(embedding.positions, embedding.position_offset, positions, x.view());
  return x;
}

Matrix<float> run_stages(const PackedModel& model, std::span<const CacheStep> steps, Matrix<float> x) {
  std::vector<Segment> segments;
  std::vector<RopeRange> ranges;
  int64_t rows = 0;
  for (const CacheStep& step : steps) {
    segments.push_back({rows, step.tokens, step.cache->length(), nullptr});
    ranges.push_back({step.cache->length(), step.tokens, step.cache->capacity()});
    rows += step.tokens;
  }
  const RopeTable rope = make_rope_table(model.config.rope, model.config.rotary_dim, ranges);
  for (size_t s = 0; s < model.stages.size(); ++s) {
    for (size_t i = 0; i < steps.size(); ++i) segments[i].kv = steps[i].cache->layer(s);
    x = forward_stage(model.stages[s], x.view(), segments, rope);
  }
  for (const CacheStep& step : steps) step.cache->advance(step.tokens);
  return x;
}

Matrix<float> head_input(const PackedHead& head, Matrix<float> x) {
  apply_norm(head.norm, x.view(), x.view());
  if (!head.transform) return x;
  Matrix<float> transformed(x.rows(), head.transform->out_features());
  head.transform->apply(x.view(), transformed.view());
  return transformed;
}

Matrix<float> finish_hidden(const PackedModel& model, Matrix<float> x) {
  x = head_input(model.head, std::move(x));
  for (int64_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(x.data()[i]))
      fail(ErrorCode::kNumeric, "the model's output holds a NaN or an infinity");
  return x;
}

Matrix<float> forward_batch(const PackedModel& model, std::span<const SequenceStep> steps) {
  std::vector<CacheStep> appended;
  std::vector<RemoteStep> remote;
  std::vector<int32_t> tokens;
  for (const SequenceStep& step : steps) {
    const auto count = static_cast<int64_t>(step.tokens.size());
    const int64_t first = step.cache->length();
    if (first + count > step.cache->capacity())
      fail(ErrorCode::kInvalid, "{} tokens do not fit a context of {}", first + count,
           step.cache->capacity());
    appended.push_back({count, step.cache});
    if (model.rest) remote.push_back({step.cache->remote()->id(), step.cache->capacity(), first, count});
    tokens.insert(tokens.end(), step.tokens.begin(), step.tokens.end());
  }
  Matrix<float> x = first_stream(model.embedding, tokens, positions_of(appended));
  x = run_stages(model, appended, std::move(x));
  return model.rest ? model.rest->forward(remote, x) : finish_hidden(model, std::move(x));
}

Matrix<float> forward(const PackedModel& model, std::span<const int32_t> tokens, KvCache& cache) {
  Matrix<float> hidden(static_cast<int64_t>(tokens.size()), model.hidden_width);
  for (size_t begin = 0; begin < tokens.size(); begin += kPrefillChunk) {
    const SequenceStep step{tokens.subspan(begin, std::min<size_t>(kPrefillChunk, tokens.size() - begin)),
                            &cache};
    const Matrix<float> part = forward_batch(model, std::span(&step, 1));
    std::memcpy(hidden.row(static_cast<int64_t>(begin)), part.data(),
                static_cast<size_t>(part.size()) * sizeof(float));
  }
  return hidden;
}

Matrix<float> logits_of(const PackedModel& model, MatrixView<const float> hidden) {
  if (model.rest) return model.rest->logits(hidden);
  Matrix<float> logits(hidden.rows, model.head.logits.linear->out_features());
  model.head.logits.apply(hidden, logits.view());
  return logits;
}

}  // namespace pare

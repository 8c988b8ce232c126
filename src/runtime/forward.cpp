#include "runtime/forward.h"

#include <algorithm>
#include <optional>

#include "runtime/pipeline.h"

namespace pare {
namespace {

void notify(const Observer& observer, Signal signal, const Activation& x) {
  if (observer) observer(signal, x);
}

Activation run_attention(const Backend& on, const PackedAttention& a, const Activation& x,
                         std::span<const Segment> segments, const RotaryTable& rope,
                         const Observer& observer) {
  const AttentionShape& shape = a.shape;
  const Activation qkv = applied(*a.qkv, x);
  notify(observer, Signal::kQueryKeyValue, qkv);
  const auto [q, k, v] = parts_of(shape, qkv);
  prepare_for_attention(a, q, k, rope);
  on.append(shape, segments, k, v);
  const Activation context = on.allocate(x.rows(), shape.context_width());
  on.attend(shape, segments, q, context);
  notify(observer, Signal::kValueStream, context);
  return applied(*a.o, context);
}

Activation run_mlp(const Backend& on, const PackedMlp& m, const Activation& x, const Observer& observer) {
  const Activation gate_up = applied(*m.gate_up, x);
  notify(observer, Signal::kGateUp, gate_up);
  const Activation hidden = gate_up.columns_of(0, m.down->in_features());
  on.activate(m.activation, gate_up, hidden.cols());
  notify(observer, Signal::kHiddenStream, hidden);
  return applied(*m.down, hidden);
}

// Returns the positions of the tokens that are appended.
std::vector<int64_t> positions_of(std::span<const CacheStep> steps) {
  std::vector<int64_t> positions;
  for (const CacheStep& step : steps)
    for (int64_t t = 0; t < step.tokens; ++t) positions.push_back(step.cache->length() + t);
  return positions;
}

// Returns x in the memory of a backend.
Activation moved_to(const Backend& backend, Activation x) {
  if (&x.backend() == &backend) return x;
  return backend.upload(download(std::move(x)).matrix());
}

// The indices of tokens in a vocabulary.
std::vector<int64_t> vocabulary_rows(std::span<const int32_t> tokens, int64_t vocabulary) {
  for (const int32_t token : tokens)
    if (token < 0 || token >= vocabulary)
      fail(ErrorCode::kInvalid, "token id {} is outside the vocabulary of {}", token, vocabulary);
  return {tokens.begin(), tokens.end()};
}

}  // namespace

void prepare_for_attention(const PackedAttention& a, const Activation& q, const Activation& k,
                           const RotaryTable& rope) {
  const Backend& on = q.backend();
  if (a.norms != QueryKeyNorm::kNone) {
    on.norm(*a.q_norm, q, q, a.norm_width(q));
    on.norm(*a.k_norm, k, k, a.norm_width(k));
  }
  on.rotate(rope, q, a.shape.head_dim);
  on.rotate(rope, k, a.shape.head_dim);
}

Activation forward_stage(const PackedStage& stage, const Activation& x, std::span<const Segment> segments,
                         const RotaryTable& rope, const Observer& observer) {
  PARE_CHECK(x.cols() == stage.width_in);
  const Backend& on = *stage.backend;
  notify(observer, Signal::kStageInput, x);
  std::optional<Activation> sum;
  if (stage.skip) sum = applied(*stage.skip, x);
  if (stage.branches.empty()) return sum ? *sum : x;
  Activation in = x;  // input of the branches
  if (stage.norm_place == NormPlace::kInput) {
    in = on.allocate(x.rows(), x.cols());
    on.norm(*stage.norm, x, in, x.cols());
  }
  notify(observer, Signal::kNormed, in);
  for (const auto& branch : stage.branches) {
    const auto* attention = std::get_if<PackedAttention>(&branch);
    Activation out = attention != nullptr ? run_attention(on, *attention, in, segments, rope, observer)
                                          : run_mlp(on, std::get<PackedMlp>(branch), in, observer);
    notify(observer, Signal::kBranchOutput, out);
    if (stage.norm_place == NormPlace::kBranch) on.norm(*stage.norm, out, out, out.cols());
    on.add(sum ? *sum : x, out);
    sum = std::move(out);
  }
  notify(observer, Signal::kSum, *sum);
  if (stage.norm_place == NormPlace::kSum) on.norm(*stage.norm, *sum, *sum, sum->cols());
  return *sum;
}

Matrix<float> run_sequences(const PackedStage& stage, MatrixView<const float> x, int64_t length,
                            const RotaryTable& rope) {
  const int64_t count = x.rows / length;
  PARE_CHECK(count * length == x.rows);
  const KvStores kv = kv_of(stage, count, length);
  std::vector<Segment> segments;
  for (int64_t s = 0; s < count; ++s)
    segments.push_back({s * length, length, 0, kv.empty() ? nullptr : kv[static_cast<size_t>(s)].get()});
  return download(forward_stage(stage, stage.backend->borrow(x), segments, rope)).matrix();
}

Matrix<float> embed(const Weight& embedding, std::span<const int32_t> tokens) {
  const Backend& on = default_backend();
  Activation x = on.allocate(static_cast<int64_t>(tokens.size()), embedding.cols);
  on.gather(*on.pack_rows(embedding), vocabulary_rows(tokens, embedding.rows), x);
  return download(std::move(x)).matrix();
}

void add_positions(const RowTable& table, int64_t offset, std::span<const int64_t> positions,
                   const Activation& x) {
  std::vector<int64_t> rows;
  for (const int64_t position : positions) {
    rows.push_back(offset + position);
    if (rows.back() >= table.rows())
      fail(ErrorCode::kInvalid, "position {} is beyond the {} that the model has learned", position,
           table.rows() - offset);
  }
  const Activation vectors = x.backend().allocate(x.rows(), table.cols());
  x.backend().gather(table, rows, vectors);
  x.backend().add(vectors, x);
}

Matrix<float> with_positions(const Weight& table, int64_t offset, std::span<const int64_t> positions,
                             Matrix<float> x) {
  if (table.empty()) return x;
  Activation stream = default_backend().upload(std::move(x));
  add_positions(*default_backend().pack_rows(table), offset, positions, stream);
  return download(std::move(stream)).matrix();
}

Activation first_stream(const PackedEmbedding& embedding, std::span<const int32_t> tokens,
                        std::span<const int64_t> positions) {
  const Backend& on = *embedding.backend;
  Activation x = on.allocate(static_cast<int64_t>(tokens.size()), embedding.table->cols());
  on.gather(*embedding.table, vocabulary_rows(tokens, embedding.table->rows()), x);
  if (embedding.transform) x = applied(*embedding.transform, x);
  if (embedding.positions) add_positions(*embedding.positions, embedding.position_offset, positions, x);
  return x;
}

void apply_norm(const Norm& norm, MatrixView<const float> x, MatrixView<float> y) {
  const Backend& on = default_backend();
  const Activation out = on.allocate(x.rows, x.cols);
  on.norm(*on.pack_norm(norm), on.borrow(x), out, x.cols);
  copy_rows(download(out).view(), y);
}

Activation run_stages(const PackedModel& model, std::span<const CacheStep> steps, Activation x) {
  std::vector<Segment> segments;
  std::vector<RopeRange> ranges;
  int64_t rows = 0;
  for (const CacheStep& step : steps) {
    segments.push_back({rows, step.tokens, step.cache->length(), nullptr});
    ranges.push_back({step.cache->length(), step.tokens, step.cache->capacity()});
    rows += step.tokens;
  }
  RotaryTable rope;
  const Backend* on = nullptr;  // backend of the table
  for (size_t s = 0; s < model.stages.size(); ++s) {
    const PackedStage& stage = model.stages[s];
    if (on != stage.backend) {
      on = stage.backend;
      rope = make_rope_table(model.config.rope, model.config.rotary_dim, ranges, *on);
      x = moved_to(*on, std::move(x));
    }
    for (size_t i = 0; i < steps.size(); ++i) segments[i].kv = steps[i].cache->layer(s);
    x = forward_stage(stage, x, segments, rope);
  }
  for (const CacheStep& step : steps) step.cache->advance(step.tokens);
  return x;
}

Activation head_input(const PackedHead& head, const Activation& x) {
  const Activation normed = x.backend().allocate(x.rows(), x.cols());
  x.backend().norm(*head.norm, x, normed, x.cols());
  return head.transform ? applied(*head.transform, normed) : normed;
}

Activation finish_hidden(const PackedModel& model, const Activation& x) {
  Activation hidden = head_input(model.head, moved_to(*model.head.backend, x));
  if (!hidden.backend().all_finite(hidden))
    fail(ErrorCode::kNumeric, "the model's output holds a NaN or an infinity");
  return hidden;
}

Activation forward_batch(const PackedModel& model, std::span<const SequenceStep> steps) {
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
    if (model.behind) remote.push_back({step.cache->remote()->id(), step.cache->capacity(), first, count});
    tokens.insert(tokens.end(), step.tokens.begin(), step.tokens.end());
  }
  Activation x = first_stream(model.embedding, tokens, positions_of(appended));
  x = run_stages(model, appended, std::move(x));
  if (!model.behind) return finish_hidden(model, x);
  const Backend& on = x.backend();
  return on.upload(model.behind->forward(remote, download(std::move(x)).matrix()));
}

Activation forward(const PackedModel& model, std::span<const int32_t> tokens, KvCache& cache) {
  Activation hidden;
  for (size_t begin = 0; begin < tokens.size(); begin += kPrefillChunk) {
    const SequenceStep step{tokens.subspan(begin, std::min<size_t>(kPrefillChunk, tokens.size() - begin)),
                            &cache};
    Activation part = forward_batch(model, std::span(&step, 1));
    if (step.tokens.size() == tokens.size()) return part;
    const Backend& on = part.backend();
    if (begin == 0) hidden = on.allocate(static_cast<int64_t>(tokens.size()), model.hidden_width);
    on.copy(part, hidden.rows_of(static_cast<int64_t>(begin), part.rows()));
  }
  return hidden;
}

Activation pick_rows(const Activation& x, std::span<const int64_t> rows) {
  Activation picked = x.backend().allocate(static_cast<int64_t>(rows.size()), x.cols());
  for (size_t r = 0; r < rows.size(); ++r)
    x.backend().copy(x.rows_of(rows[r], 1), picked.rows_of(static_cast<int64_t>(r), 1));
  return picked;
}

Matrix<float> logits_of(const PackedModel& model, const Activation& hidden) {
  if (model.behind) return model.behind->logits(download(hidden).view());
  return download(applied(*model.head.logits, hidden)).matrix();
}

}  // namespace pare

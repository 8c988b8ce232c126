// The forward pass, one for all models: stages of x ← skip·x + Σ branch(norm(x)), the norm in any of its
// places.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "runtime/kv_cache.h"
#include "runtime/packed_model.h"
#include "runtime/rope.h"

namespace pare {

// Signals that can be observed while a stage runs; all (tokens, width).
enum class Signal {
  kStageInput,     // residual stream entering the stage
  kNormed,         // input of q, k, v, gate and up: normalised where the norm stands before them
  kQueryKeyValue,  // queries, keys and values as q, k and v give them, side by side
  kValueStream,    // input of o
  kGateUp,         // what gate and up give, side by side: input of the activation function
  kHiddenStream,   // input of down
  kBranchOutput,   // output of the branch to the residual stream, before a norm that may stand there
  kSum,            // output of the stage, before a norm that may stand there
};
// Receives the signals of a stage that runs. The activation may change after the call.
using Observer = std::function<void(Signal, const Activation&)>;

// Normalises, where the attention does, and rotates queries and keys, in place.
void prepare_for_attention(const PackedAttention& attention, const Activation& q, const Activation& k,
                           const RotaryTable& rope);

// Runs one stage on a batch of rows made of segments, which cover it. x (rows, width_in); `rope` holds the
// angles of every row, on the stage's backend; returns (rows, width_out), which is x itself for a stage that
// does nothing. Every branch shows its stream, then its output.
Activation forward_stage(const PackedStage& stage, const Activation& x, std::span<const Segment> segments,
                         const RotaryTable& rope, const Observer& observer = {});

// Runs one stage on whole sequences of `length` tokens each, one behind the other, that nothing came before.
// x (sequences · length, width_in) on the host; returns (sequences · length, width_out).
Matrix<float> run_sequences(const PackedStage& stage, MatrixView<const float> x, int64_t length,
                            const RotaryTable& rope);

// Rows of the embedding, (tokens, embedding_width), on the host. Throws kInvalid naming an id outside the
// vocabulary.
Matrix<float> embed(const Weight& embedding, std::span<const int32_t> tokens);

// Adds row offset + position of a table of learned positions to every row of x (tokens, width). Throws
// kInvalid naming a position outside the table.
void add_positions(const RowTable& table, int64_t offset, std::span<const int64_t> positions,
                   const Activation& x);

// Adds positions as add_positions does, on the host; returns x itself where the table is empty.
Matrix<float> with_positions(const Weight& table, int64_t offset, std::span<const int64_t> positions,
                             Matrix<float> x);

// The residual stream of tokens at their positions, (tokens, width). Throws as embed and add_positions do.
Activation first_stream(const PackedEmbedding& embedding, std::span<const int32_t> tokens,
                        std::span<const int64_t> positions);

// y = norm(x), row by row, on the host; x (tokens, width). y may be x.
void apply_norm(const Norm& norm, MatrixView<const float> x, MatrixView<float> y);

// Tokens to append to one sequence.
struct SequenceStep {
  std::span<const int32_t> tokens;
  KvCache* cache = nullptr;
};

// Tokens to append to one cache. run_stages() is the middle of forward_batch, for a model's share of the
// blocks: it runs its stages on rows x, `tokens` for every step, and appends to the caches.
struct CacheStep {
  int64_t tokens = 0;
  KvCache* cache = nullptr;
};
Activation run_stages(const PackedModel& model, std::span<const CacheStep> steps, Activation x);
// Returns the input of the head, (tokens, hidden width): the final norm and the head transform applied to
// the last stage's output x (tokens, width).
Activation head_input(const PackedHead& head, const Activation& x);
// Returns head_input() of the end of a batch. Throws kNumeric when it holds a NaN or an infinity.
Activation finish_hidden(const PackedModel& model, const Activation& x);

// Runs several sequences as one batch and appends to their caches; returns the final normalised hidden states
// in the order of the steps, (Σ tokens, width read by the head). Throws kInvalid when a cache is full or an
// id is out of range, and kNumeric when the result holds a NaN or an infinity.
Activation forward_batch(const PackedModel& model, std::span<const SequenceStep> steps);

// Longest piece of a prompt that is worked on at once: bounds the memory of activations.
inline constexpr int64_t kPrefillChunk = 512;

// Runs forward_batch for one sequence of any length, in chunks; returns (tokens, width read by the head).
Activation forward(const PackedModel& model, std::span<const int32_t> tokens, KvCache& cache);

// Returns the rows of x with these indices, in this order, (rows, cols of x).
Activation pick_rows(const Activation& x, std::span<const int64_t> rows);

// Logits of hidden states on the host, (tokens, vocab).
Matrix<float> logits_of(const PackedModel& model, const Activation& hidden);

}  // namespace pare

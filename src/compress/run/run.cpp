#include "compress/run/run.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "base/atomic_file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quantities.h"
#include "base/version.h"
#include "checkpoint/copy_files.h"
#include "checkpoint/load.h"
#include "checkpoint/recipe_text.h"
#include "compress/kept_patterns.h"
#include "compress/resume/fingerprint.h"
#include "compress/resume/output.h"
#include "compress/run/sources.h"
#include "compress/run/storage_check.h"
#include "compress/run_passes.h"
#include "kernels/backend.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxManifestBytes = uint64_t{1} << 32;

// A request that makes sense, with its model.
struct Job {
  const CompressionOptions& options;
  const Passes& passes;
  Comm& comm;
  Model model;
  CalibrationPlan plan;
  // Type of matrices of floats that are worked with and kept on the way.
  Encoding dtype;
  // Storage of the result. int8 is made at the very end; codes of a pass are written as they are.
  SaveOptions written;
  std::vector<Json> earlier;  // runs that made the model
};

std::vector<Json> earlier_runs(const std::string& model) {
  const std::string manifest = read_manifest(model);
  if (manifest.empty()) return {};
  return manifest_runs(parse_json(manifest, kManifestFile));
}

// Returns what the written weights of a model take. Keeps references.
WrittenBytes written_bytes_of(const CompressionOptions& options, const SaveOptions& written,
                              const std::vector<Json>& earlier) {
  return [&options, written, &earlier](const Model& model) {
    return planned_bytes(model, options.model, options.out, written, earlier);
  };
}

// Returns the least of the limits that passes keep.
std::optional<int64_t> most_bytes(const Job& job) {
  std::optional<int64_t> most;
  for (const auto& pass : job.passes)
    if (const std::optional<int64_t> own = pass->most_bytes(job.model))
      most = std::min(*own, most.value_or(*own));
  return most;
}

// Refuses, before anything is written, what cannot be done with this model.
Job checked_job(const CompressionOptions& options, const Passes& passes, Comm& comm) {
  require_sources(options);
  require_split(comm);
  Model model = load_model(options.model);
  require_storable(options, passes, model);
  passes.front()->require_start(model);
  for (const auto& pass : passes) {
    pass->require_applicable(model);
    if (pass->width_step() != 0) break;  // passes behind it get a model of other widths
  }
  require_order(model, passes);
  if (comm.is_first()) {
    warn_of_lost_patterns(model, passes);
    if (!makes_codes(passes, model)) warn_of_lost_storage(options, model);
  }
  const Encoding own = model.embedding.format.encoding;
  const bool int8 = options.dtype == Encoding::kInt8;
  const Encoding dtype = options.dtype && !int8 ? *options.dtype : is_float(own) ? own : Encoding::kBF16;
  CalibrationPlan plan = plan_of(options, passes, model.config, comm.size());
  require_writers(passes, model.config, plan);
  for (const auto& pass : passes)
    if (const std::string part = pass->no_ranks(); comm.size() > 1 && !part.empty())
      fail(ErrorCode::kUsage, "{} runs in one process, and there are {} ranks", part, comm.size());
  SaveOptions written = {.dtype = int8 ? Encoding::kInt8 : dtype, .format = options.format};
  if (makes_codes(passes, model)) written = {.dtype = {}, .format = StorageFormat::kPacked};
  return {options, passes, comm, std::move(model), plan, dtype, written, earlier_runs(options.model)};
}

// Throws where the limits of the passes cannot be met.
void require_fits(const Job& job) {
  job.passes.front()->require_fits(job.model, written_bytes_of(job.options, job.written, job.earlier));
}

// Returns the path of the result, without a separator at its end.
fs::path result_path(const CompressionOptions& options) {
  const fs::path path = fs::absolute(options.out).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

uint64_t folder_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->is_regular_file(error)) bytes += it->file_size(error);
  return bytes;
}

// Throws kInvalid naming what is needed and what is there. `there`: bytes that an interrupted run has taken.
CompressionCost checked_cost(const Job& job, uint64_t there) {
  CompressionCost cost;
  cost.needs = needs_of(job.model, job.passes, job.plan, job.dtype);
  const int64_t ram = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  cost.memory_limit = job.options.memory.value_or(ram / 2);
  const fs::path folder = result_path(job.options).parent_path();
  cost.disk_free = static_cast<int64_t>(free_space(folder) + there);
  if (cost.needs.memory > cost.memory_limit)
    fail(ErrorCode::kInvalid, "this needs {} of memory, and {} may be used of {} (`memory`){}",
         format_bytes(cost.needs.memory), format_bytes(cost.memory_limit), format_bytes(ram),
         job.plan.self_samples > 0 ? "; with `calib FILE` the model need not be in memory" : "");
  if (cost.needs.disk > cost.disk_free)
    fail(ErrorCode::kInvalid, "this needs {} of disk space in {}, and {} are free",
         format_bytes(cost.needs.disk), folder.string(), format_bytes(cost.disk_free));
  return cost;
}

// Returns everything that the result depends on; `sets`: those of the texts.
Json run_parts(const Job& job, const std::vector<CalibrationSet>& sets) {
  const CompressionOptions& options = job.options;
  Json own = {{"nsamples", options.nsamples},
              {"seqlen", job.plan.seqlen},
              {"seed", options.seed},
              {"dtype", job.written.dtype ? format_name(*job.written.dtype) : encoding_info(job.dtype).name},
              {"format", storage_format_name(job.written.format)}};
  own.update(options_of(job.passes));
  Json parts = {{"pare", version()},
                {"instruction set", default_backend().detail()},
                {"model", model_fingerprint(job.model)},
                {"calibration", source_kinds(options)},
                {"options", own}};
  std::string tokens;
  for (const CalibrationSet& set : sets) tokens += set.sha256;
  if (!tokens.empty()) parts["calibration tokens"] = sha256_hex(tokens);
  return parts;
}

// Returns the folder where a rank other than the first keeps its files during the run: beside the result.
fs::path rank_folder(const CompressionOptions& options, int rank) {
  fs::path path = result_path(options);
  path += fmt::format(".rank-{}", rank);
  return path;
}

// State of the folder that the first rank writes to, as known on every rank.
enum class Found { kNothing, kWork, kComplete };

Found found_by_first(const OutputFolder* output, Comm& comm) {
  auto found = static_cast<int>(Found::kNothing);
  if (output != nullptr && output->continued()) found = static_cast<int>(Found::kWork);
  if (output != nullptr && output->is_complete()) found = static_cast<int>(Found::kComplete);
  comm.broadcast(0, bytes_of(&found, 1));
  return static_cast<Found>(found);
}

// Opens the folder of this rank, which is not the first.
std::unique_ptr<OutputFolder> open_rank_folder(const Job& job, Found found) {
  return std::make_unique<OutputFolder>(rank_folder(job.options, job.comm.rank()), "",
                                        found == Found::kWork ? Leftover::kContinue : Leftover::kDiscard);
}

// Finishes an interrupted run that had written everything but the folder's name.
CompressionResult finish_complete(OutputFolder& output) {
  const std::string manifest = read_file(output.path() / kManifestFile, kMaxManifestBytes);
  output.commit();
  log_info("the interrupted run had finished all but the name of the folder");
  return {.manifest = parse_json(manifest, kManifestFile), .report = {}, .was_finished = true};
}

// Returns the tokenizer that texts need, which is also that of every model that writes them.
std::optional<Tokenizer> checked_tokenizer(const Job& job) {
  std::optional<Tokenizer> tokenizer = tokenizer_for(job.options);
  if (tokenizer)
    for (const auto& pass : job.passes) pass->require_same_tokens(*tokenizer);
  return tokenizer;
}

// Runs everything from the first activation to the folder's name.
CompressionResult run_job(const Job& job, const std::optional<Tokenizer>& tokenizer,
                          std::vector<CalibrationSet> sets, OutputFolder& output, bool spill,
                          const RunWatch& watch) {
  const CompressionOptions& options = job.options;
  WorkArea area(output.work(), job.dtype, spill, job.comm);
  require_same_run(area, run_parts(job, sets));
  area.before_record([&] { output.keep_unfinished(); });
  if (watch.resumable) watch.resumable();
  for (CalibrationSet& set : sets)
    if (set.sequences.empty())
      set =
          calibration_from_model(writer_of(job.model, job.passes), tokenizer ? &*tokenizer : nullptr,
                                 job.plan.self_samples, job.plan.seqlen, options.seed, area, watch.progress);
  CalibrationSet all = sets.size() == 1 ? std::move(sets.front()) : mixed_calibration(sets);
  all.seed = options.seed;
  const CalibrationSet set = job.plan.training > 0 ? first_sequences(all, job.plan.nsamples) : all;
  CompressionResult result;
  result.report.earlier = job.earlier;
  const Model compressed = run_passes(job.model, set, job.passes, area, result.report, watch.progress, &all,
                                      written_bytes_of(options, job.written, job.earlier));
  result.report.recipe["seed"] = options.seed;
  if (job.comm.is_first())
    write_compressed(compressed, options.model, output, job.written, set, result.report, most_bytes(job));
  result.manifest = result.report.to_json();
  return result;
}

}  // namespace

CompressionCost cost_of_compression(const CompressionOptions& options, const Passes& passes, Comm& comm) {
  Job job = checked_job(options, passes, comm);
  if (options.leftover != Leftover::kContinue) require_fits(job);
  if (!comm.is_first()) return {};
  const std::optional<Tokenizer> tokenizer = checked_tokenizer(job);
  if (job.plan.training > 0)
    fit_to_texts(job.plan, text_sets(options, tokenizer, job.model.config, job.plan));
  CompressionCost cost = checked_cost(job, 0);
  cost.seconds = seconds_of(job.model, tokenizer ? &*tokenizer : nullptr, passes, job.plan);
  return cost;
}

CompressionResult run_compression(const CompressionOptions& options, const Passes& passes, Comm& comm,
                                  const RunWatch& watch) {
  Job job = checked_job(options, passes, comm);
  std::unique_ptr<OutputFolder> output;
  if (comm.is_first())
    output =
        std::make_unique<OutputFolder>(options.out, options.model, options.leftover,
                                       is_gguf_path(options.out) ? OutputKind::kFile : OutputKind::kFolder);
  const Found found = found_by_first(output.get(), comm);
  if (found == Found::kComplete) {
    if (comm.is_first()) return finish_complete(*output);
    open_rank_folder(job, found);  // discards the folder
    return {.manifest = {}, .report = {}, .was_finished = true};
  }
  // A run that goes on was checked when it began, and speeds are never measured the same twice.
  if (found == Found::kNothing) require_fits(job);
  const fs::path own_folder =
      output ? output->path() : OutputFolder::partial_of(rank_folder(options, comm.rank()));
  check_finite(job.model);
  const std::optional<Tokenizer> tokenizer = checked_tokenizer(job);
  std::vector<CalibrationSet> sets = text_sets(options, tokenizer, job.model.config, job.plan);
  fit_to_texts(job.plan, sets);
  const CompressionCost cost = checked_cost(job, folder_bytes(own_folder));
  // Errors of all ranks were found before this point, so that they leave no folders behind.
  comm.barrier();
  if (!output) output = open_rank_folder(job, found);
  if (options.leftover == Leftover::kContinue && !output->continued())
    log_info("there is nothing to resume: starting");
  CompressionResult result = run_job(job, tokenizer, std::move(sets), *output, cost.spills(), watch);
  // Other ranks keep until here what a resumed run would need.
  comm.barrier();
  if (!comm.is_first()) output->discard();
  return result;
}

}  // namespace pare

#include "page/model_section.h"

#include "base/quantities.h"
#include "page/pass_section.h"
#include "page/recipe_section.h"
#include "page/storage_section.h"

namespace pare {

void add_model_section(Markup& page, const ModelFacts& facts, const std::string& id) {
  page.open("section", {{"id", id}});
  page.element("h2", facts.name);
  page.element("p",
               fmt::format("{}: {} layers, vocabulary of {}. {} parameters in {}, {:.2f} bits each.",
                           facts.config.architecture, facts.config.blocks.size(), facts.config.vocab_size,
                           format_count(facts.size.parameters), format_bytes(facts.size.bytes),
                           bits_per_value(facts.size.bytes, facts.size.parameters)));
  add_recipe(page, facts);
  add_formats(page, facts);
  add_slices(page, facts);
  add_errors(page, facts);
  add_bytes(page, facts);
  page.close();
}

}  // namespace pare

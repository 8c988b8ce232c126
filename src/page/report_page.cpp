#include "page/report_page.h"

#include "base/version.h"
#include "page/comparison_section.h"
#include "page/markup.h"
#include "page/model_section.h"
#include "page/page_style.h"

namespace pare {
namespace {

// Returns the id of the section of a model.
std::string section_id(size_t model) { return fmt::format("model-{}", model + 1); }

void add_contents(Markup& page, const std::vector<ModelFacts>& models) {
  page.open("ol");
  for (size_t i = 0; i < models.size(); ++i) {
    page.open("li");
    page.element("a", models[i].name, {{"href", fmt::format("#{}", section_id(i))}});
    page.close();
  }
  page.close();
}

}  // namespace

std::string report_page(const std::vector<ModelFacts>& models, const Measurements& measurements) {
  Markup page;
  page.raw("<!DOCTYPE html>\n");
  page.open("html", {{"xmlns", "http://www.w3.org/1999/xhtml"}, {"lang", "en"}});
  page.open("head");
  page.empty("meta", {{"charset", "utf-8"}});
  page.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  page.empty("meta", {{"http-equiv", "Content-Security-Policy"},
                      {"content", "default-src 'none'; style-src 'unsafe-inline'"}});
  page.element("title", "pare report");
  page.open("style");
  page.raw(page_style());
  page.close();
  page.close();
  page.open("body");
  page.element("h1", "pare report");
  page.element("p", fmt::format("Written by pare {} about:", version()));
  add_contents(page, models);
  add_comparison(page, models, measurements);
  for (size_t i = 0; i < models.size(); ++i) add_model_section(page, models[i], section_id(i));
  page.close();
  page.close();
  return std::move(page).finish();
}

}  // namespace pare

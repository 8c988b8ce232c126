#include "page/figure.h"

#include <fmt/format.h>

namespace pare {

std::string at(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

void open_figure(Markup& page, double width, double height, const std::string& title,
                 const std::string& description) {
  page.open("figure");
  const std::string title_id = page.next_id();
  const std::string description_id = page.next_id();
  page.open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
                    {"viewBox", fmt::format("0 0 {} {}", at(width), at(height))},
                    {"style", fmt::format("max-width: {}px", at(width))},
                    {"role", "img"},
                    {"aria-labelledby", fmt::format("{} {}", title_id, description_id)}});
  page.element("title", title, {{"id", title_id}});
  page.element("desc", description, {{"id", description_id}});
}

void close_figure(Markup& page, const std::string& title) {
  page.close();
  page.element("figcaption", title);
  page.close();
}

void add_label(Markup& page, double x, double y, std::string_view text, const char* anchor,
               const char* style) {
  page.element("text", text, {{"x", at(x)}, {"y", at(y)}, {"text-anchor", anchor}, {"class", style}});
}

void add_line(Markup& page, double x1, double y1, double x2, double y2, const char* style) {
  page.empty("line", {{"x1", at(x1)}, {"y1", at(y1)}, {"x2", at(x2)}, {"y2", at(y2)}, {"class", style}});
}

void add_box(Markup& page, double x, double y, double width, double height, const std::string& colour,
             const std::string& tip) {
  page.open("rect",
            {{"x", at(x)}, {"y", at(y)}, {"width", at(width)}, {"height", at(height)}, {"fill", colour}});
  page.element("title", tip);
  page.close();
}

void add_keys(Markup& page, const std::vector<Key>& keys) {
  page.open("ul", {{"class", "keys"}});
  for (const Key& key : keys) {
    page.open("li");
    page.open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
                      {"viewBox", "0 0 14 14"},
                      {"class", "key"},
                      {"aria-hidden", "true"}});
    page.empty("rect", {{"width", "14"}, {"height", "14"}, {"fill", key.colour}});
    page.close();
    page.text(" " + key.name);
    page.close();
  }
  page.close();
}

int layer_label_step(double width) {
  constexpr double kLabelWidth = 26.0;
  for (const int step : {1, 2, 5, 10, 20, 50})
    if (step * width >= kLabelWidth) return step;
  return 100;
}

}  // namespace pare

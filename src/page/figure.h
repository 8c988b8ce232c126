// Drawings inside a page: their frame, text alternatives and small parts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "page/markup.h"

namespace pare {

// Writes a coordinate: two digits behind the point at most.
std::string at(double value);

// Opens a drawing of a size in pixels, which shrinks where the page is narrower. `title` stands under it too;
// `description` says what is seen to those who do not see it.
void open_figure(Markup& page, double width, double height, const std::string& title,
                 const std::string& description);
void close_figure(Markup& page, const std::string& title);

// Adds text at a point; `anchor`: start, middle or end.
void add_label(Markup& page, double x, double y, std::string_view text, const char* anchor = "start",
               const char* style = "label");
void add_line(Markup& page, double x1, double y1, double x2, double y2, const char* style);
// Adds a rectangle that shows `tip` when a pointer rests on it.
void add_box(Markup& page, double x, double y, double width, double height, const std::string& colour,
             const std::string& tip);

// A colour and what it stands for.
struct Key {
  std::string colour;
  std::string name;
};
void add_keys(Markup& page, const std::vector<Key>& keys);

// Returns the distance of labelled layers, so that labels of columns `width` apart do not touch.
int layer_label_step(double width);

}  // namespace pare

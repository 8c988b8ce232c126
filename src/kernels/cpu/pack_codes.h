// Packing of the low-bit formats, one way for every instruction set.
#pragma once

#include <span>

#include "kernels/cpu/panel.h"
#include "tensor/code_rows.h"

namespace pare {

// Packs up to 16 rows of equal shape to a panel of `columns` columns, whole blocks of the format. Rows and
// columns that are not there have scales of zero.
void pack_codes(PanelFormat format, std::span<const RowCodes> rows, int64_t columns, unsigned char* panel);

}  // namespace pare

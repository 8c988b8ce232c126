/// The library libpare: language models made smaller and faster, and run on ordinary CPUs.
#pragma once

#include "pare/compress.h"
#include "pare/error.h"
#include "pare/evaluate.h"
#include "pare/generate.h"
#include "pare/library.h"
#include "pare/model.h"

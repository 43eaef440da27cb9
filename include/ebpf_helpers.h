// SPDX-License-Identifier: MIT OR Apache-2.0

// The old name of bpf_helpers.h.
#pragma once

#include "bpf_helpers.h"

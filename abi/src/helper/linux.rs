//! Helpers of the Linux kernel, as documented in bpf-helpers(7).

use super::Helper;

/// Helpers of the Linux kernel, ascending by id.
pub static LINUX: &[Helper] = &[];

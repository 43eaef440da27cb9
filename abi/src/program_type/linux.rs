//! Program types of the Linux kernel and the section names of libbpf.

use super::{AttachType, ProgramType};

/// All program types of Linux.
pub static TYPES: &[&ProgramType] = &[];

/// All attach types of Linux.
pub static ATTACH: &[AttachType] = &[];

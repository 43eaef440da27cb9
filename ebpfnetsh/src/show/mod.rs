//! `show` for files: what they hold, and whether it is safe. No driver is asked.

mod disassembly;
mod hash;
mod sections;
mod verification;

pub(crate) use disassembly::disassembly;
pub(crate) use hash::hash;
pub(crate) use sections::{map_type_name, sections, type_name};
pub(crate) use verification::{problems, verification};

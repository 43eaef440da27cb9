//! One file per command. Each takes its arguments and returns a `Response`; printing is `main`'s.

pub(crate) mod certificate;
pub(crate) mod cfg;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod conformance;
pub(crate) mod disassemble;
pub(crate) mod emit;
pub(crate) mod explain;
pub(crate) mod html;
pub(crate) mod input;
pub(crate) mod inspect;
pub(crate) mod joined;
pub(crate) mod proved;
pub(crate) mod run;
pub(crate) mod table;
pub(crate) mod verify;

//! `show disassembly`: the instructions of programs.

use crate::answer::{Answer, Failure, Outcome};
use crate::table::tag;
use crate::{Arguments, Session, file};
use ebpfapi::inspect::listing;
use std::fmt::Write as _;

/// Shows the instructions of programs in an object file.
pub(crate) fn disassembly(_: &mut Session, arguments: &Arguments) -> Outcome {
    let object = file::object(arguments)?;
    let programs = file::programs(&object, arguments)?;
    let mut out = String::new();
    for (_, program) in &programs {
        if programs.len() > 1 {
            let _ = writeln!(out, "\n{} (section {}):", program.name, program.section);
        }
        out += &listing(&object, program);
    }
    match out.is_empty() {
        true => Err(Failure::error(format_args!(
            "{} has no instructions",
            arguments.required(&tag::FILENAME)
        ))),
        false => Ok(Answer::done(out + "\n")),
    }
}

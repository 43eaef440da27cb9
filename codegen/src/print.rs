//! Listings of the stages inside code generation, for `--emit`.

use crate::compile::{map_stride, object_of, plans, version_needed};
use crate::error::Error;
use crate::lower::{self, Unit};
use crate::machine::Machine;
use crate::options::Options;
use core::fmt::Write;
use cranelift_codegen::ir::Function;
use cranelift_frontend::FunctionBuilderContext;
use verifier::Verified;

/// Cranelift IR of every live function, as it is before optimisation.
///
/// # Errors
/// As [`crate::compile`].
pub fn clif(programs: &[Verified<'_>], options: &Options) -> Result<String, Error> {
    each_function(programs, options, |_, title, function| {
        Ok(format!("; {title}\n{function}\n"))
    })
}

/// Machine code of every live function.
///
/// # Errors
/// As [`crate::compile`].
pub fn asm(programs: &[Verified<'_>], options: &Options) -> Result<String, Error> {
    each_function(programs, options, |machine, title, function| {
        machine.want_assembly();
        let Some(compiled) = machine.compile(function)? else {
            return Ok(format!("; {title}: too large\n"));
        };
        Ok(format!("; {title}\n{}\n", compiled.assembly()))
    })
}

/// Unwind codes of every live function.
///
/// # Errors
/// As [`crate::compile`].
pub fn unwind(programs: &[Verified<'_>], options: &Options) -> Result<String, Error> {
    each_function(programs, options, |machine, title, function| {
        let Some(compiled) = machine.compile(function)? else {
            return Ok(format!("; {title}: too large\n"));
        };
        let info = compiled.unwind()?;
        Ok(format!(
            "; {title}\n{}\n",
            crate::unwind::listing(info.as_deref())
        ))
    })
}

/// Lowers each live function and joins what `show` makes of them.
fn each_function(
    programs: &[Verified<'_>],
    options: &Options,
    mut show: impl FnMut(&mut Machine, &str, Function) -> Result<String, Error>,
) -> Result<String, Error> {
    object_of(programs)?;
    let plans = plans(programs, options)?;
    let map_stride = map_stride(version_needed(&plans, options));
    let mut machine = Machine::new()?;
    let mut memory = FunctionBuilderContext::new();
    let mut out = String::new();
    for planned in &plans {
        let program = planned.verified.program();
        let unit = Unit {
            verified: planned.verified,
            plan: &planned.plan,
            map_stride,
        };
        for (index, function) in program.functions.iter().enumerate() {
            if planned.plan.function(index).is_none() {
                continue;
            }
            let title = format!("program {}, function {}", program.name, function.name);
            let clif = lower::function(unit, index, &machine, &mut memory)?;
            let text = show(&mut machine, &title, clif)?;
            writeln!(out, "{text}").map_err(|_| Error::Internal("out of memory".to_owned()))?;
        }
    }
    Ok(out)
}

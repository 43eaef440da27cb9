//! What several commands share: reading an object and choosing programs in it.

use crate::args::{ObjectArgs, PlatformArg};
use crate::report::{Diagnostic, Outcome};
use crate::{files, pipeline};
use abi::{Platform, ProgramType, diagnostic as id};
use program::{LoadOptions, Object, ProgramId};
use std::path::Path;

/// Which programs of an object are meant; nothing given means all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter<'a> {
    /// ELF section.
    pub(crate) section: Option<&'a str>,
    /// C function name.
    pub(crate) program: Option<&'a str>,
}

/// The stages' settings for one input.
pub(crate) fn job(path: &Path, args: &ObjectArgs) -> Outcome<pipeline::Job> {
    let platform = platform(args.platform);
    let program_type = args
        .program_type
        .as_deref()
        .map(|name| program_type(platform, name));
    Ok(pipeline::Job {
        load: LoadOptions {
            name: stem(path),
            platform,
            program_type: program_type.transpose()?,
            ..LoadOptions::default()
        },
        verify: verifier::Options::default(),
        codegen: codegen::Options::default(),
    })
}

/// The program type of a name; an error lists the names there are.
fn program_type(platform: Platform, name: &str) -> Outcome<&'static ProgramType> {
    abi::program_type::by_name(platform, name).ok_or_else(|| {
        let known: Vec<&str> = abi::program_type::types(platform)
            .iter()
            .map(|row| row.name)
            .collect();
        let text = format!("no program type is called `{name}`");
        vec![Diagnostic::error(id::USAGE, text).note("known", known.join(", "))]
    })
}

/// Reads and loads an object.
pub(crate) fn object(path: &Path, args: &ObjectArgs) -> Outcome<Object> {
    let bytes = files::read(path, abi::limits::ELF_BYTES)?;
    pipeline::load(&bytes, &job(path, args)?).map_err(|list| in_file(list, path))
}

/// The chosen programs; an error names what there is when nothing matches.
pub(crate) fn select(object: &Object, path: &Path, filter: Filter<'_>) -> Outcome<Vec<ProgramId>> {
    let wanted = |id: &ProgramId| {
        let program = &object.programs[usize::from(id.0)];
        filter.section.is_none_or(|name| program.section == name)
            && filter.program.is_none_or(|name| program.name == name)
    };
    let ids: Vec<ProgramId> = pipeline::program_ids(object).filter(wanted).collect();
    if !ids.is_empty() {
        return Ok(ids);
    }
    let name = filter.program.or(filter.section).unwrap_or("any");
    Err(vec![no_such_program(
        path,
        name,
        object.programs.iter().map(|p| p.name.as_str()),
    )])
}

/// The error for a program that is not there.
pub(crate) fn no_such_program<'a>(
    path: &Path,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    let known: Vec<&str> = known.collect();
    Diagnostic::error(id::NO_SUCH_PROGRAM, format!("no program matches `{name}`"))
        .in_file(path)
        .note(
            "found",
            if known.is_empty() {
                "no program".to_owned()
            } else {
                known.join(", ")
            },
        )
}

/// The file name without folder and extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(
        || "module".to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

/// Adds the file to every diagnostic that names none.
pub(crate) fn in_file(list: Vec<Diagnostic>, path: &Path) -> Vec<Diagnostic> {
    let add = |diagnostic: Diagnostic| match diagnostic.place.file {
        None => diagnostic.in_file(path),
        Some(_) => diagnostic,
    };
    list.into_iter().map(add).collect()
}

fn platform(arg: PlatformArg) -> Platform {
    match arg {
        PlatformArg::Windows => Platform::Windows,
        PlatformArg::Linux => Platform::Linux,
    }
}

//! What several commands share: reading an object and choosing programs in it.

use crate::args::{ObjectArgs, PlatformArg, TextArg, UnlinkableArg};
use crate::report::{Diagnostic, Outcome};
use crate::{files, pipeline};
use abi::{Platform, ProgramType, diagnostic as id};
use program::{LoadOptions, Object, ProgramId, TargetBtf, TextFunctions, Unlinkable};
use std::cell::OnceCell;
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
    job_of_many(path, args, &OnceCell::new())
}

/// The stages' settings for one of several inputs, which share the types of the kernel.
pub(crate) fn job_of_many(
    path: &Path,
    args: &ObjectArgs,
    kernel: &OnceCell<TargetBtf>,
) -> Outcome<pipeline::Job> {
    let mut load = LoadOptions {
        name: stem(path),
        platform: platform(args.platform),
        text: match args.text {
            TextArg::Subprograms => TextFunctions::Subprograms,
            TextArg::Programs => TextFunctions::Programs,
        },
        unlinkable: match args.unlinkable {
            None | Some(UnlinkableArg::Refuse) => Unlinkable::Refuse,
            Some(UnlinkableArg::LeaveOut) => Unlinkable::LeaveOut,
        },
        ..LoadOptions::default()
    };
    add_types(&mut load, &args.program_types)?;
    add_targets(&mut load, &args.attach_to)?;
    add_configuration(&mut load, args)?;
    if let (Some(path), None) = (&args.btf, kernel.get()) {
        let _ = kernel.set(files::target_btf(path)?);
    }
    load.btf = kernel.get().cloned();
    Ok(pipeline::Job {
        load,
        verify: verifier::Options::default(),
        codegen: codegen::Options::default(),
    })
}

/// Applies `--type TYPE` and `--type SECTION=TYPE`.
fn add_types(load: &mut LoadOptions, texts: &[String]) -> Outcome<()> {
    for text in texts {
        match text.rsplit_once('=') {
            Some((section, name)) => {
                let given = program_type(load.platform, name)?;
                load.section_types.push((section.to_owned(), given));
            }
            None if load.program_type.is_some() => {
                let text = "--type is given twice for sections that say nothing";
                return Err(vec![Diagnostic::error(id::USAGE, text)]);
            }
            None => load.program_type = Some(program_type(load.platform, text)?),
        }
    }
    Ok(())
}

/// Applies `--attach-to NAME` and `--attach-to PROGRAM=NAME`.
fn add_targets(load: &mut LoadOptions, texts: &[String]) -> Outcome<()> {
    for text in texts {
        match text.split_once('=') {
            Some((program, target)) => load
                .program_targets
                .push((program.to_owned(), target.to_owned())),
            None if load.attach_target.is_some() => {
                let text = "--attach-to is given twice for sections that say nothing";
                return Err(vec![Diagnostic::error(id::USAGE, text)]);
            }
            None => load.attach_target = Some(text.clone()),
        }
    }
    Ok(())
}

/// Applies `--kconfig FILE`, `--kconfig NAME=VALUE` and `--kernel-version VERSION`.
fn add_configuration(load: &mut LoadOptions, args: &ObjectArgs) -> Outcome<()> {
    let refuse = |option: &str, error: String| {
        let text = format!("{option}: {error}");
        vec![Diagnostic::error(id::USAGE, text)]
    };
    for text in &args.kconfig {
        let known = &mut load.configuration;
        if text.contains('=') {
            let added = known.add(text);
            added.map_err(|error| refuse("--kconfig", error))?;
            continue;
        }
        let path = Path::new(text);
        let bytes = files::read(path, abi::limits::ELF_BYTES)?;
        let added = match str::from_utf8(&bytes) {
            Ok(lines) => known.add_file(lines),
            Err(_) => Err("it is no text; unpack it first (`zcat`)".to_owned()),
        };
        added.map_err(|error| in_file(refuse("--kconfig", error), path))?;
    }
    if let Some(version) = &args.kernel_version {
        let set = load.configuration.set_version(version);
        set.map_err(|error| refuse("--kernel-version", error))?;
    }
    Ok(())
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
    load(path, &job(path, args)?)
}

/// The same with settings that are made already.
pub(crate) fn load(path: &Path, job: &pipeline::Job) -> Outcome<Object> {
    let bytes = files::read(path, abi::limits::ELF_BYTES)?;
    pipeline::load(&bytes, job).map_err(|list| in_file(list, path))
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
    not_chosen(format!("no program matches `{name}`"), path, known)
}

/// The error where one program is wanted and none was named.
pub(crate) fn several_programs<'a>(
    path: &Path,
    known: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    let what = "there is not just one program, and `--program` names none";
    not_chosen(what.to_owned(), path, known)
}

fn not_chosen<'a>(what: String, path: &Path, known: impl Iterator<Item = &'a str>) -> Diagnostic {
    let known: Vec<&str> = known.collect();
    let known = match known.is_empty() {
        true => "no program".to_owned(),
        false => known.join(", "),
    };
    Diagnostic::error(id::NO_SUCH_PROGRAM, what)
        .in_file(path)
        .note("found", known)
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

/// The loader's remarks as warnings.
pub(crate) fn warnings(notes: &[String], path: &Path) -> Vec<Diagnostic> {
    let warning = |note: &String| Diagnostic {
        help: None,
        ..Diagnostic::warning(id::LOADER_NOTE, note.as_str()).in_file(path)
    };
    notes.iter().map(warning).collect()
}

fn platform(arg: PlatformArg) -> Platform {
    match arg {
        PlatformArg::Windows => Platform::Windows,
        PlatformArg::Linux => Platform::Linux,
    }
}

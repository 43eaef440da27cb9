//! `add program`: open, load, attach, pin. What was done is undone when a later step fails.

use crate::answer::{Answer, Failure, Outcome};
use crate::file::{self, File};
use crate::runtime::{compile, parameter};
use crate::show::problems;
use crate::table::tag;
use crate::{Arguments, Session};
use abi::{AttachType, MapKind, Platform, program_type};
use ebpfapi::{Client, Error, Link, Loaded, Object, OpenOptions, Program};
use std::path::{Path, PathBuf};

/// Loads the programs of a file and attaches the first one.
pub(crate) fn add_program(session: &mut Session, arguments: &Arguments) -> Outcome {
    let plan = Plan::of(session, arguments)?;
    let client = session.client()?;
    let loaded = plan.object.load(&client);
    let loaded = loaded.map_err(|error| Failure::refused("load program", &error))?;
    let program = loaded.program(&plan.entry);
    let program = program.map_err(|error| Failure::refused("load program", &error))?;
    let mut undo = Undo::new(&client);
    attach(&mut undo, program, &plan)?;
    pin(&mut undo, arguments, (program, &loaded))?;
    let info = program.info();
    let id = info
        .map_err(|error| Failure::refused("query program", &error))?
        .id;
    undo.keep();
    session.loaded.push(loaded);
    Ok(Answer::done(format!("{}Loaded with ID {id}\n", plan.note)))
}

/// What is to be done, decided before anything is.
struct Plan {
    object: Object,
    /// The program that is attached.
    entry: String,
    /// The hook, where it is not the one of the section.
    hook: Option<&'static AttachType>,
    parameter: Vec<u8>,
    /// What is told before the id.
    note: String,
}

impl Plan {
    fn of(session: &Session, arguments: &Arguments) -> Result<Plan, Failure> {
        let name = arguments.required(&tag::FILENAME);
        if arguments.is(&tag::EXECUTION, "jit") {
            return Err(Failure::error(JIT));
        }
        let file = file::open(arguments)?;
        let entry =
            entry(&file).ok_or_else(|| Failure::error(format_args!("{name} has no program")))?;
        let (path, note) = code(session, arguments, file)?;
        let given = arguments.text(&tag::TYPE).map(file::type_of).transpose()?;
        let options = OpenOptions {
            program_type: given,
            ..OpenOptions::default()
        };
        let object = Object::open_with(&path, &options);
        let mut object = object.map_err(|error| Failure::refused("open file", &error))?;
        if let Some(given) = given.filter(|_| !object.is_native()) {
            let set = object.set_program_type(&entry, given);
            set.map_err(|error| Failure::refused("load program", &error))?;
        }
        if let Some(source) = object.bytecode() {
            refuse_unsafe(source)?;
        }
        let found = object
            .programs()
            .iter()
            .find(|program| program.name == entry);
        let named = arguments.text(&tag::TYPE).and_then(hook_of);
        let hook = named.or_else(|| found?.attach_type);
        Ok(Plan {
            parameter: parameter(&*session.host, arguments, hook)?,
            object,
            entry,
            hook,
            note,
        })
    }
}

const JIT: &str = "execution=jit is not offered: memory integrity forbids code made at run time\n\
    use execution=native, which compiles to a signed driver, or execution=interpret";

/// The hook that a text names exactly.
pub(crate) fn hook_of(name: &str) -> Option<&'static AttachType> {
    let all = program_type::attach_types(Platform::Windows);
    all.iter()
        .find(|hook| hook.prefix.eq_ignore_ascii_case(name))
}

/// The file whose code is loaded: for native execution of an object file, a driver made of it.
fn code(
    session: &Session,
    arguments: &Arguments,
    file: File,
) -> Result<(PathBuf, String), Failure> {
    let name = arguments.required(&tag::FILENAME);
    let native = arguments.is(&tag::EXECUTION, "native");
    match file {
        File::Object(object) if native => {
            let made = compile::driver(&*session.host, name, &object)?;
            Ok((made.file, made.note))
        }
        File::Object(_) => Ok((name.into(), String::new())),
        File::Driver(_) if arguments.has(&tag::EXECUTION) && !native => {
            let what =
                "is a driver, which runs natively; give the object file (.o) to interpret it";
            Err(Failure::error(format_args!("{name} {what}")))
        }
        File::Driver(_) => Ok((Path::new(name).into(), String::new())),
    }
}

/// Tells with source lines why a program cannot be loaded; the runtime checks it again.
fn refuse_unsafe(object: &program::Object) -> Result<(), Failure> {
    for (id, _) in (0..).map(program::ProgramId).zip(&object.programs) {
        if let Err(rejected) = verifier::verify(object, id, &verifier::Options::default()) {
            let report = problems(object, &rejected);
            return Err(Failure(format!(
                "error 13: could not load program\n{report}"
            )));
        }
    }
    Ok(())
}

/// The first program that is not there for tail calls; the first one where all are.
fn entry(file: &File) -> Option<String> {
    let (programs, called): (Vec<&String>, Vec<&String>) = match file {
        File::Object(object) => {
            let arrays = object
                .maps
                .iter()
                .filter(|map| map.kind == MapKind::ProgArray);
            let called = arrays.flat_map(|map| map.initial.iter().map(|initial| &initial.name));
            let programs = object.programs.iter().map(|program| &program.name);
            (programs.collect(), called.collect())
        }
        File::Driver(module) => {
            let values = module.initial_values.iter();
            let called = values.flat_map(|values| values.values.iter().flatten());
            let programs = module.programs.iter().map(|program| &program.name);
            (programs.collect(), called.collect())
        }
    };
    let own = programs.iter().find(|name| !called.contains(name));
    own.or(programs.first()).map(|name| (*name).clone())
}

fn attach(undo: &mut Undo<'_>, program: &Program, plan: &Plan) -> Result<(), Failure> {
    let link = match plan.hook {
        Some(hook) => program.attach_with(hook.guid, &plan.parameter),
        None => program.attach(),
    };
    let kept = link.and_then(|link| {
        let kept = link.keep();
        undo.link = Some(link);
        kept
    });
    kept.map_err(|error| Failure::refused("attach program", &error))
}

fn pin(
    undo: &mut Undo<'_>,
    arguments: &Arguments,
    (first, loaded): (&Program, &Loaded),
) -> Result<(), Failure> {
    let path = arguments
        .text(&tag::PINPATH)
        .filter(|text| !text.is_empty());
    match arguments.text(&tag::PINNED) {
        Some("first") => undo.pin(first, path.unwrap_or(first.name()).to_owned()),
        Some("all") => loaded.programs().iter().try_for_each(|program| {
            let name = program.section().replace('/', "_");
            let below = path.map_or_else(|| name.clone(), |path| format!("{path}\\{name}"));
            undo.pin(program, below)
        }),
        _ => Ok(()),
    }
}

/// What is undone unless everything goes well.
struct Undo<'a> {
    client: &'a Client,
    link: Option<Link>,
    pins: Vec<String>,
}

impl<'a> Undo<'a> {
    fn new(client: &'a Client) -> Undo<'a> {
        Undo {
            client,
            link: None,
            pins: Vec::new(),
        }
    }

    fn pin(&mut self, program: &Program, path: String) -> Result<(), Failure> {
        let pinned = program.pin(&path);
        pinned.map_err(|error| Failure::refused(format_args!("pin to {path}"), &error))?;
        self.pins.push(path);
        Ok(())
    }

    fn keep(mut self) {
        self.pins.clear();
        self.link = None;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // The failure that led here is what is told.
        for path in &self.pins {
            let _: Result<(), Error> = self.client.unpin(path);
        }
        if let Some(link) = &self.link {
            let _: Result<(), Error> = link.detach();
        }
    }
}

//! Programs of an object.

use crate::error::{Fault, done, some};
use crate::exports;
use crate::fd;
use crate::link::BpfLink;
use crate::object::{BpfObject, Shared, State, after, before, pin_all};
use crate::raw::Text;
use abi::program_type;
use client::{ObjectProgram, Program};
use std::ffi::{CString, c_char, c_int};
use std::sync::Arc;

/// `struct bpf_program`.
pub(crate) struct BpfProgram {
    shared: Arc<Shared>,
    index: usize,
    name: CString,
    section: CString,
}

impl BpfProgram {
    pub(crate) fn new(shared: &Arc<Shared>, index: usize, program: &ObjectProgram) -> BpfProgram {
        let text = |name: &str| CString::new(name).unwrap_or_default();
        BpfProgram {
            shared: Arc::clone(shared),
            index,
            name: text(&program.name),
            section: text(&program.section),
        }
    }

    pub(crate) fn name(&self) -> &CString {
        &self.name
    }

    /// The loaded program.
    pub(crate) fn loaded(&self) -> Result<Program, Fault> {
        let fd = self.fd().ok_or(Fault::INVALID)?;
        fd::program(fd)
    }

    fn fd(&self) -> Option<c_int> {
        let state = self.shared.lock();
        state.program_fds.get(self.index).copied().flatten()
    }

    /// Changes it before it is loaded.
    fn change(&self, change: impl FnOnce(&mut State) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut state = self.shared.lock();
        match state.loaded.is_some() {
            true => Err(Fault::BUSY),
            false => change(&mut state),
        }
    }

    fn set_type(&self, number: c_int) -> Result<(), Fault> {
        let mut types = program_type::WINDOWS.iter();
        let row = types.find(|row| i64::from(row.number) == i64::from(number));
        let row = row.ok_or(Fault::INVALID)?;
        self.change(|state| {
            let name = self.name.to_string_lossy();
            Ok(state.object.set_program_type(&name, row)?)
        })
    }

    fn set_hook(&self, number: c_int) -> Result<(), Fault> {
        let mut hooks = program_type::ATTACH_WINDOWS.iter();
        let row = hooks.find(|row| i64::from(row.number) == i64::from(number));
        let row = row.ok_or(Fault::INVALID)?;
        self.change(|state| {
            state.object.programs_mut()[self.index].attach_type = Some(row);
            Ok(())
        })
    }

    fn set_flags(&self, flags: u32) -> Result<(), Fault> {
        self.change(|state| {
            state.object.programs_mut()[self.index].flags = flags.into();
            Ok(())
        })
    }

    fn set_autoload(&self, autoload: bool) -> Result<(), Fault> {
        let set = self.change(|state| {
            state.object.programs_mut()[self.index].autoload = autoload;
            Ok(())
        });
        // libbpf has another error here than elsewhere.
        set.map_err(|_| Fault::INVALID)
    }

    /// The verifier's report, when it was refused; valid until its object is loaded again or closed.
    fn report(&self, size: Option<&mut usize>) -> *const c_char {
        let state = self.shared.lock();
        let name = &state.object.programs()[self.index].name;
        let report = state.report(name);
        if let Some(size) = size {
            *size = report.map_or(0, |report| report.to_bytes_with_nul().len());
        }
        report.map_or(std::ptr::null(), std::ffi::CStr::as_ptr)
    }

    /// Attaches it to the hook that was chosen, or to its default one.
    fn attach(&self, parameter: &[u8]) -> Result<Box<BpfLink>, Fault> {
        let program = self.loaded()?;
        let chosen = self.about(|program| program.attach_type);
        let hook = chosen.or(program.attach_type()).ok_or(Fault::INVALID)?;
        BpfLink::of(program.attach_with(hook.guid, parameter)?)
    }

    fn about<T>(&self, read: impl FnOnce(&ObjectProgram) -> T) -> T {
        read(&self.shared.lock().object.programs()[self.index])
    }

    /// Its name below a folder of pins: its section.
    fn path(&self, folder: &str) -> String {
        let section = self.section.to_string_lossy().replace('/', "_");
        format!("{folder}/{section}")
    }
}

/// Pins all programs below a folder, by their sections.
pub(crate) fn pin_programs(object: &BpfObject, folder: Text) -> Result<(), Fault> {
    let folder = folder.get()?;
    let path = |program: &BpfProgram| program.path(folder);
    pin_all(object.programs(), path, |program, path| {
        Ok(program.loaded()?.pin(path)?)
    })
}

exports! {
    /// The program after another, the first one after NULL.
    fn bpf_program__next<'a>(previous: Option<&BpfProgram>, object: Option<&'a BpfObject>) -> Option<&'a BpfProgram> {
        after(object?.programs(), previous)
    }

    /// The program before another, the last one before NULL.
    fn bpf_program__prev<'a>(next: Option<&BpfProgram>, object: Option<&'a BpfObject>) -> Option<&'a BpfProgram> {
        before(object?.programs(), next)
    }

    /// The descriptor of a program, -1 before it is loaded. It belongs to the object.
    fn bpf_program__fd(program: Option<&BpfProgram>) -> c_int {
        program.and_then(BpfProgram::fd).unwrap_or(-1)
    }

    /// The name of a program.
    fn bpf_program__name(program: Option<&BpfProgram>) -> *const c_char {
        program.map_or(std::ptr::null(), |program| program.name.as_ptr())
    }

    /// The ELF section of a program.
    fn bpf_program__section_name(program: Option<&BpfProgram>) -> *const c_char {
        program.map_or(std::ptr::null(), |program| program.section.as_ptr())
    }

    /// Instruction slots of a program.
    fn bpf_program__insn_cnt(program: Option<&BpfProgram>) -> usize {
        program.map_or(0, |program| program.about(|program| program.instructions))
    }

    /// The number of a program's type.
    fn bpf_program__type(program: Option<&BpfProgram>) -> c_int {
        let number = |program: &ObjectProgram| program.program_type.map_or(0, |row| row.number);
        program.map_or(0, |program| program.about(number) as c_int)
    }

    /// The same under its older name.
    fn bpf_program__get_type(program: Option<&BpfProgram>) -> c_int {
        bpf_program__type(program)
    }

    /// Gives a program another type before it is loaded.
    fn bpf_program__set_type(program: Option<&BpfProgram>, number: c_int) -> c_int {
        done(program.ok_or(Fault::INVALID).and_then(|program| program.set_type(number)))
    }

    /// The number of the hook that a program is attached to by default.
    fn bpf_program__get_expected_attach_type(program: Option<&BpfProgram>) -> c_int {
        let number = |program: &ObjectProgram| program.attach_type.map_or(0, |row| row.number);
        program.map_or(0, |program| program.about(number) as c_int)
    }

    /// Chooses the hook that a program is attached to by default, before it is loaded.
    fn bpf_program__set_expected_attach_type(program: Option<&BpfProgram>, number: c_int) -> c_int {
        done(program.ok_or(Fault::INVALID).and_then(|program| program.set_hook(number)))
    }

    /// Is a program loaded with its object?
    fn bpf_program__autoload(program: Option<&BpfProgram>) -> bool {
        program.is_some_and(|program| program.about(|program| program.autoload))
    }

    /// Decides whether a program is loaded with its object.
    fn bpf_program__set_autoload(program: Option<&BpfProgram>, autoload: bool) -> c_int {
        done(program.ok_or(Fault::INVALID).and_then(|program| program.set_autoload(autoload)))
    }

    /// Flags for the hooks that a program is attached to.
    fn bpf_program__flags(program: Option<&BpfProgram>) -> u32 {
        program.map_or(0, |program| program.about(|program| program.flags as u32))
    }

    /// Chooses these flags before it is loaded.
    fn bpf_program__set_flags(program: Option<&BpfProgram>, flags: u32) -> c_int {
        done(program.ok_or(Fault::INVALID).and_then(|program| program.set_flags(flags)))
    }

    /// The verifier's report about a program that was refused, NULL for others. It stays until its
    /// object is loaded again or closed.
    fn bpf_program__log_buf(program: Option<&BpfProgram>, size: Option<&mut usize>) -> *const c_char {
        match program {
            Some(program) => program.report(size),
            None => std::ptr::null(),
        }
    }

    /// Gives one program up; the others of its object stay loaded.
    fn bpf_program__unload(program: Option<&BpfProgram>) {
        if let Some(program) = program {
            program.shared.lock().unload_program(program.index);
        }
    }

    /// Attaches a program to its hook, everywhere.
    fn bpf_program__attach(program: Option<&BpfProgram>) -> Option<Box<BpfLink>> {
        some(program.ok_or(Fault::INVALID).and_then(|program| program.attach(&[])))
    }

    /// Attaches an XDP program to an interface, 0 for all.
    fn bpf_program__attach_xdp(program: Option<&BpfProgram>, interface: c_int) -> Option<Box<BpfLink>> {
        some(program.ok_or(Fault::INVALID).and_then(|program| program.attach(&interface.to_le_bytes())))
    }

    /// Pins a program.
    fn bpf_program__pin(program: Option<&BpfProgram>, path: Text) -> c_int {
        done(program.ok_or(Fault::INVALID).and_then(|program| Ok(program.loaded()?.pin(path.get()?)?)))
    }

    /// Takes a pin of a program away.
    fn bpf_program__unpin(program: Option<&BpfProgram>, path: Text) -> c_int {
        done(program.ok_or(Fault::INVALID).and_then(|_| Ok(fd::client()?.unpin(path.get()?)?)))
    }

    /// Pins all programs of an object below a folder, by their sections.
    fn bpf_object__pin_programs(object: Option<&BpfObject>, path: Text) -> c_int {
        done(object.ok_or(Fault::INVALID).and_then(|object| pin_programs(object, path)))
    }

    /// Takes these pins away.
    fn bpf_object__unpin_programs(object: Option<&BpfObject>, path: Text) -> c_int {
        done(object.ok_or(Fault::INVALID).and_then(|object| {
            let (folder, client) = (path.get()?, fd::client()?);
            let mut programs = object.programs().iter();
            programs.try_for_each(|program| Ok(client.unpin(&program.path(folder))?))
        }))
    }
}

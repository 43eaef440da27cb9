//! Linking: each program gets its own copy of every function it reaches.
//!
//! The entry comes first, then functions in the order of their first reference. Copies keep their
//! inner jumps; calls and function addresses become relative to their new place. No recursion: the
//! worklist is the list of placed functions itself.

use super::{
    Unlinkable,
    code::{Body, Callee, Reference},
    contracts::Contracts,
    entries::Entry,
    externs::Externs,
    file::ElfFile,
    functions::{FunctionId, Functions},
    lines::Lines,
    notes::Notes,
};
use crate::{
    error::LoadError,
    model::{BtfFunction, Function, Missing, Program, Unlinked},
};
use abi::{diagnostic, limits};
use isa::{CallTarget, Imm64, Insn, InsnIdx, Slot};
use std::collections::BTreeMap;

/// Links programs; the platform functions they use are collected.
pub(super) struct Linker<'a, 'd> {
    file: &'a ElfFile<'d>,
    contracts: Contracts<'a, 'd>,
    functions: &'a Functions<'d>,
    bodies: &'a [Result<Body, LoadError>],
    externs: &'a Externs<'d>,
    /// Platform functions by first use, and their position by extern.
    btf_functions: Vec<BtfFunction>,
    btf_index: BTreeMap<usize, i32>,
    weak: bool,
    slots: usize,
}

/// What linking makes.
pub(super) struct Linked {
    pub(super) programs: Vec<Program>,
    pub(super) unlinked: Vec<Unlinked>,
    pub(super) btf_functions: Vec<BtfFunction>,
}

/// Functions of one program in placement order.
struct Placement {
    order: Vec<(Callee, InsnIdx)>,
    starts: BTreeMap<Callee, InsnIdx>,
    end: u32,
}

impl<'a, 'd> Linker<'a, 'd> {
    /// A linker for a file; `bodies` is parallel to `functions`.
    pub(super) fn new(
        (file, contracts): (&'a ElfFile<'d>, Contracts<'a, 'd>),
        functions: &'a Functions<'d>,
        bodies: &'a [Result<Body, LoadError>],
        externs: &'a Externs<'d>,
    ) -> Self {
        Linker {
            file,
            contracts,
            functions,
            bodies,
            externs,
            btf_functions: Vec::new(),
            btf_index: BTreeMap::new(),
            weak: false,
            slots: 0,
        }
    }

    /// Links every entry.
    pub(super) fn link(
        mut self,
        entries: &[Entry],
        unlinkable: Unlinkable,
        lines: &mut Lines<'_, '_>,
        notes: &mut Notes,
    ) -> Result<Linked, LoadError> {
        let mut programs = Vec::with_capacity(entries.len());
        let mut unlinked = Vec::new();
        for entry in entries {
            match (self.program(entry, lines), unlinkable) {
                (Ok(program), _) => programs.push(program),
                (Err(error), Unlinkable::LeaveOut) if is_of_program(&error) => {
                    let left_out = self.left_out(entry, error);
                    let (name, error) = (&left_out.name, &left_out.error);
                    let code = error.code();
                    notes.push(format!("program `{name}` left out: {code} {error}"));
                    unlinked.push(left_out);
                }
                (Err(error), _) => return Err(error),
            }
        }
        if self.weak {
            notes.push("weak externs that nobody defines are taken as address 0".into());
        }
        Ok(Linked {
            programs,
            unlinked,
            btf_functions: self.btf_functions,
        })
    }

    fn left_out(&self, entry: &Entry, error: LoadError) -> Unlinked {
        let function = self.functions.get(entry.function);
        Unlinked {
            name: function.name.into(),
            section: self.file.sections[function.section].name.into(),
            unmarked: function.unmarked,
            error,
        }
    }

    fn program(&mut self, entry: &Entry, lines: &mut Lines<'_, '_>) -> Result<Program, LoadError> {
        let placement = self.place(entry.function)?;
        let function = self.functions.get(entry.function);
        let mut program = Program {
            name: function.name.into(),
            section: self.file.sections[function.section].name.into(),
            place: function.start,
            unmarked: function.unmarked,
            program_type: entry.program_type,
            attach_type: entry.attach_type,
            insns: Vec::with_capacity(placement.end as usize),
            functions: Vec::with_capacity(placement.order.len()),
            lines: Vec::new(),
            arguments: None,
            missing: Vec::new(),
        };
        for &(callee, start) in &placement.order {
            match callee {
                Callee::Own(id) => {
                    let body = self.body(id)?;
                    program.insns.extend_from_slice(&body.insns);
                    self.resolve_all(&body.references, start, &placement, &mut program.insns)?;
                    program
                        .missing
                        .extend(body.poisoned.iter().map(|poisoned| Missing {
                            at: InsnIdx(start.0 + poisoned.slot),
                            what: poisoned.what.clone(),
                        }));
                    lines.append(self.functions.get(id), start, &mut program.lines)?;
                }
                Callee::Builtin(builtin) => program.insns.extend_from_slice(builtin.insns()),
            }
            program.functions.push(self.describe(callee, start, entry));
        }
        Ok(program)
    }

    fn describe(&self, callee: Callee, start: InsnIdx, entry: &Entry) -> Function {
        let own = match callee {
            Callee::Own(id) => Some(self.functions.get(id)),
            Callee::Builtin(_) => None,
        };
        let section = own.map_or("", |own| self.file.sections[own.section].name);
        Function {
            name: self.name_of(callee).into(),
            section: section.into(),
            start,
            end: InsnIdx(start.0 + self.slots_of(callee)),
            global: own.is_some_and(|own| own.global),
            contract: own.and_then(|own| self.contracts.of(section, own, entry.program_type)),
        }
    }

    fn name_of(&self, callee: Callee) -> &'d str {
        match callee {
            Callee::Own(id) => self.functions.get(id).name,
            Callee::Builtin(builtin) => builtin.name(),
        }
    }

    fn slots_of(&self, callee: Callee) -> u32 {
        match callee {
            Callee::Own(id) => {
                let function = self.functions.get(id);
                function.end - function.start
            }
            Callee::Builtin(builtin) => builtin.insns().len() as u32,
        }
    }

    fn body(&self, id: FunctionId) -> Result<&'a Body, LoadError> {
        self.bodies[id.0].as_ref().map_err(Clone::clone)
    }

    /// Gives every reachable function its place.
    fn place(&mut self, entry: FunctionId) -> Result<Placement, LoadError> {
        let mut placement = Placement {
            order: Vec::new(),
            starts: BTreeMap::new(),
            end: 0,
        };
        self.place_one(&mut placement, Callee::Own(entry))?;
        let mut next = 0;
        while let Some(&(callee, _)) = placement.order.get(next) {
            next += 1;
            let Callee::Own(id) = callee else { continue };
            for (_, reference) in &self.body(id)?.references {
                if let Reference::Function(callee) = reference
                    && !placement.starts.contains_key(callee)
                {
                    self.place_one(&mut placement, *callee)?;
                }
            }
        }
        Ok(placement)
    }

    fn place_one(&mut self, placement: &mut Placement, callee: Callee) -> Result<(), LoadError> {
        let slots = self.slots_of(callee);
        let start = InsnIdx(placement.end);
        placement.end = placement.end.saturating_add(slots);
        // Names are copied, too: count them as if they were code.
        let name = self.name_of(callee).len() / Slot::BYTES;
        self.slots = self
            .slots
            .saturating_add(slots as usize)
            .saturating_add(name);
        if placement.end > limits::PROGRAM_SLOTS || self.slots > limits::OBJECT_SLOTS {
            let text = format!(
                "over {} instructions in a program or {} in all programs, subprograms included",
                limits::PROGRAM_SLOTS,
                limits::OBJECT_SLOTS
            );
            return Err(
                LoadError::new(diagnostic::BYTECODE_LIMIT, text).symbol(self.name_of(callee))
            );
        }
        placement.order.push((callee, start));
        placement.starts.insert(callee, start);
        Ok(())
    }

    /// Resolves the references of one function that was placed at `start`.
    fn resolve_all(
        &mut self,
        references: &[(u32, Reference)],
        start: InsnIdx,
        placement: &Placement,
        insns: &mut [Insn],
    ) -> Result<(), LoadError> {
        for (slot, reference) in references {
            let at = InsnIdx(start.0 + slot);
            let insn = &mut insns[at.index()];
            *insn = self.resolve(*insn, at, reference, placement)?;
        }
        Ok(())
    }

    fn resolve(
        &mut self,
        insn: Insn,
        at: InsnIdx,
        reference: &Reference,
        placement: &Placement,
    ) -> Result<Insn, LoadError> {
        let relative = |id: &Callee| {
            let target = placement
                .starts
                .get(id)
                .map_or(0, |start| i64::from(start.0));
            // Both lie below the limit of slots, so the difference fits.
            (target - i64::from(at.0) - 1) as i32
        };
        Ok(match (insn, reference) {
            (Insn::LoadImm64 { dst, .. }, reference) => {
                let imm = match reference {
                    Reference::Map(map) => Imm64::MapFd(i32::from(map.0)),
                    Reference::Value(map, offset) => Imm64::MapValue {
                        fd: i32::from(map.0),
                        offset: *offset,
                    },
                    Reference::Function(id) => Imm64::Code(relative(id)),
                    // Only the kernel knows where it is.
                    Reference::Variable => Imm64::Var(0),
                    Reference::Null => {
                        self.weak = true;
                        Imm64::Const(0)
                    }
                    Reference::Platform(_) | Reference::Helper(_) => return Err(mismatch(at)),
                };
                Insn::LoadImm64 { dst, imm }
            }
            (_, Reference::Function(id)) => Insn::Call(CallTarget::Local(relative(id))),
            (_, Reference::Helper(id)) => Insn::Call(CallTarget::Helper(*id)),
            (_, Reference::Platform(index)) => {
                Insn::Call(CallTarget::Btf(self.platform_function(*index, at)?))
            }
            (
                _,
                Reference::Map(_) | Reference::Value(..) | Reference::Variable | Reference::Null,
            ) => {
                return Err(mismatch(at));
            }
        })
    }

    fn platform_function(&mut self, index: usize, at: InsnIdx) -> Result<i32, LoadError> {
        if let Some(&known) = self.btf_index.get(&index) {
            return Ok(known);
        }
        let function = self.externs.function(index).ok_or_else(|| mismatch(at))?;
        let position = i32::try_from(self.btf_functions.len()).map_err(|_| mismatch(at))?;
        self.btf_functions.push(function.clone());
        self.btf_index.insert(index, position);
        Ok(position)
    }
}

/// Whether a problem concerns one program only, not the object's limits or a bug.
fn is_of_program(error: &LoadError) -> bool {
    !matches!(
        error.code(),
        diagnostic::BYTECODE_LIMIT | diagnostic::BTF_LIMIT | diagnostic::INTERNAL
    )
}

/// References are made to fit their instruction; this is a bug of ours.
fn mismatch(at: InsnIdx) -> LoadError {
    LoadError::new(
        diagnostic::INTERNAL,
        format!("{at}: reference and instruction do not fit"),
    )
}

//! Objects and programs for tests, without an ELF file.

use isa::{Insn, InsnIdx};
use program::{Function, Object, Program};
use verifier::Verified;

/// A deterministic stream of random numbers (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Slots of instructions; `lddw` gets its second slot.
pub(crate) fn slots(insns: &[Insn]) -> Vec<Insn> {
    let mut out = Vec::new();
    for insn in insns {
        out.push(*insn);
        if insn.slots() == 2 {
            out.push(Insn::Imm64High);
        }
    }
    out
}

/// A program of the `bind` type from slots; `starts` are the slots where functions begin.
pub(crate) fn program(name: &str, insns: Vec<Insn>, starts: &[u32]) -> Program {
    let length = u32::try_from(insns.len()).unwrap();
    let ends = starts.iter().copied().skip(1).chain([length]);
    let functions = starts.iter().zip(ends).enumerate();
    let functions = functions.map(|(number, (&start, end))| Function {
        section: String::new(),
        name: if number == 0 {
            name.to_owned()
        } else {
            format!("sub{number}")
        },
        start: InsnIdx(start),
        end: InsnIdx(end),
        global: false,
        contract: None,
    });
    Program {
        name: name.to_owned(),
        section: "bind".to_owned(),
        place: 0,
        unmarked: false,
        program_type: &abi::program_type::windows::BIND,
        attach_type: None,
        functions: functions.collect(),
        insns,
        lines: Vec::new(),
        arguments: None,
        missing: Vec::new(),
    }
}

/// An object of programs.
pub(crate) fn object(programs: Vec<Program>) -> Object {
    Object {
        platform: abi::Platform::Windows,
        name: "test".to_owned(),
        maps: Vec::new(),
        globals: Vec::new(),
        btf_functions: Vec::new(),
        programs,
        license: None,
        version: None,
        sha256: [0; 32],
        unlinked: Vec::new(),
        notes: Vec::new(),
        kernel: None,
    }
}

/// All programs of an object, taken without a proof.
pub(crate) fn assume(object: &Object) -> Vec<Verified<'_>> {
    let ids = (0..object.programs.len()).map(|id| program::ProgramId(id as u16));
    ids.map(|id| Verified::assume(object, id).unwrap())
        .collect()
}

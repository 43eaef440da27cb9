//! The program model: what a file (or an IOCTL) says, checked for form but not for safety.

use crate::error::LoadError;
use crate::kernel::{Argument, KernelTypes};
use abi::{AttachType, MapKind, Platform, ProgramType};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::ops::Range;
use isa::{Insn, InsnIdx};

/// Index of a map in [`Object::maps`]. Prints as `m0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MapId(pub u16);

impl core::fmt::Display for MapId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "m{}", self.0)
    }
}

/// Number of the helper that a poisoned instruction calls: no platform has it. The verifier refuses
/// a program that can reach such an instruction; see [`Program::missing`].
pub const POISON: i32 = 0x0bad_2310;

/// Index of a program in [`Object::programs`]. Prints as `p0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProgramId(pub u16);

impl core::fmt::Display for ProgramId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// Everything one file says.
#[derive(Clone, Debug)]
pub struct Object {
    /// Whose numbering the bytecode uses.
    pub platform: Platform,
    /// File stem or a given name; becomes the module name.
    pub name: String,
    /// Maps: `.maps` by offset, their anonymous inner maps, legacy maps in file order, then one for
    /// each global section.
    pub maps: Vec<MapDef>,
    /// Global data sections; each is backed by one map of `maps`.
    pub globals: Vec<GlobalSection>,
    /// Platform functions resolved by BTF name and module (`.ksyms`), in first-use order.
    pub btf_functions: Vec<BtfFunction>,
    /// Entry programs in file order (section by section, by offset within).
    pub programs: Vec<Program>,
    /// Text of the `license` section, if any.
    pub license: Option<String>,
    /// Value of the `version` section, if any.
    pub version: Option<u32>,
    /// SHA-256 of the whole file; zero when there is none.
    pub sha256: [u8; 32],
    /// Programs that were left out because they cannot be linked, in file order.
    pub unlinked: Vec<Unlinked>,
    /// Remarks for the user about things that were read but ignored, one line each.
    pub notes: Vec<String>,
    /// The types of the kernel it is made for, where they are given.
    pub kernel: Option<Arc<dyn KernelTypes>>,
}

/// A program of the file that cannot be linked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlinked {
    /// C function name.
    pub name: String,
    /// ELF section name.
    pub section: String,
    /// The name is that of an untyped symbol; see [`Program::unmarked`].
    pub unmarked: bool,
    /// What is wrong.
    pub error: LoadError,
}

/// One map definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapDef {
    /// Name (symbol, or `__anonymous_N` for an inline inner map).
    pub name: String,
    /// Number of the type on the object's platform.
    pub type_number: u32,
    /// What the type does.
    pub kind: MapKind,
    /// Key bytes.
    pub key_size: u32,
    /// Value bytes.
    pub value_size: u32,
    /// Entries (ring buffers: bytes).
    pub max_entries: u32,
    /// `map_flags`.
    pub flags: u32,
    /// Pinned by name.
    pub pin_by_name: bool,
    /// Id from the definition: BTF type id, or the legacy `id` field; 0 when absent.
    pub id: u32,
    /// Template of the inner maps (map-in-map types).
    pub inner: Option<MapId>,
    /// Initial slots (`values`): map-in-map and program arrays.
    pub initial: Vec<InitialValue>,
    /// The map's content cannot change after load (`.rodata`).
    pub frozen: bool,
    /// Byte offset of a `struct bpf_spin_lock` in the value, from BTF.
    pub spin_lock: Option<u32>,
    /// Byte offset of a `struct bpf_timer` in the value, from BTF.
    pub timer: Option<u32>,
    /// Other bytes of the value that are the kernel's alone, from BTF: pointers to its objects, heads
    /// and nodes of its lists and trees.
    pub reserved: Vec<Range<u32>>,
}

impl MapDef {
    /// A map with sizes and nothing else: not pinned, empty, without locks. `sizes` are the bytes of
    /// key and value, and the entries.
    #[must_use]
    pub const fn sized(name: String, kind: MapKind, type_number: u32, sizes: [u32; 3]) -> MapDef {
        let [key_size, value_size, max_entries] = sizes;
        MapDef {
            name,
            type_number,
            kind,
            key_size,
            value_size,
            max_entries,
            flags: 0,
            pin_by_name: false,
            id: 0,
            inner: None,
            initial: Vec::new(),
            frozen: false,
            spin_lock: None,
            timer: None,
            reserved: Vec::new(),
        }
    }
}

/// One slot of a map's `values` initialiser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialValue {
    /// Array index (key).
    pub index: u32,
    /// Name of the map or program stored there.
    pub name: String,
}

/// One global data section and its map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalSection {
    /// ELF section name, for example `.rodata.str1.1`.
    pub section: String,
    /// The array map of one entry that holds it.
    pub map: MapId,
    /// Initial bytes, as long as the map's value.
    pub data: Vec<u8>,
    /// Bytes that only stand in for what the system has that the program is loaded into (`.kconfig`):
    /// nothing may be concluded from them.
    pub assumed: Vec<Range<usize>>,
}

impl GlobalSection {
    /// Some of the bytes, where none of them only stands in for others.
    #[must_use]
    pub fn known(&self, bytes: Range<usize>) -> Option<&[u8]> {
        let hides = |gap: &Range<usize>| gap.start < bytes.end && bytes.start < gap.end;
        match self.assumed.iter().any(hides) {
            true => None,
            false => self.data.get(bytes),
        }
    }
}

/// A platform function called through BTF (`call` with src 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfFunction {
    /// Name of the extern.
    pub name: String,
    /// Module GUID from its `module_id:` declaration tag; zero when absent.
    pub module: abi::Guid,
}

/// One entry program, linked with every subprogram it reaches.
#[derive(Clone, Debug)]
pub struct Program {
    /// C function name.
    pub name: String,
    /// ELF section name.
    pub section: String,
    /// Slot of that section that it begins with.
    pub place: u32,
    /// The only function of a section in which no symbol is marked as a function (old compilers):
    /// such programs go by the name of their section.
    pub unmarked: bool,
    /// Its type, from the section prefix or `--type`.
    pub program_type: &'static ProgramType,
    /// Its attach type, when the section prefix names one.
    pub attach_type: Option<&'static AttachType>,
    /// Instruction slots. `lddw` is followed by [`Insn::Imm64High`]. Map references are
    /// `Imm64::MapFd(map index)` and `Imm64::MapValue { fd: map index, .. }`; BTF calls carry the
    /// index into [`Object::btf_functions`]; function addresses stay `Imm64::Code`.
    pub insns: Vec<Insn>,
    /// Functions in ascending order; the first is the entry at slot 0.
    pub functions: Vec<Function>,
    /// Source lines in ascending order of instruction.
    pub lines: Vec<Line>,
    /// Its arguments where it is called like a function of the kernel and the kernel's types are
    /// given; the context is then an array of them, 8 bytes each.
    pub arguments: Option<Vec<Argument>>,
    /// Instructions that ask for what the target system does not have, ascending; each calls
    /// [`POISON`].
    pub missing: Vec<Missing>,
}

/// Something that an instruction needs and the system it is made for does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The instruction.
    pub at: InsnIdx,
    /// What is missing, for example `offset of `struct task_struct::pid`: ...`.
    pub what: Arc<str>,
}

/// One function of a linked program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// C name.
    pub name: String,
    /// ELF section it comes from; empty where there is none (built-in functions, bytecode).
    pub section: String,
    /// First slot.
    pub start: InsnIdx,
    /// One past the last slot.
    pub end: InsnIdx,
    /// Global (not `static`) linkage.
    pub global: bool,
    /// What every caller of a global function promises, where type information says it.
    pub contract: Option<Contract>,
}

/// What a global function gets from any caller, and gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Its arguments, at most five.
    pub parameters: Vec<Parameter>,
    /// It returns a number; otherwise nothing.
    pub returns: bool,
}

/// One argument of a global function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// Any number.
    Number,
    /// The context of the program.
    Context,
    /// A pointer to memory that may be read and written.
    Memory {
        /// Bytes of the memory.
        bytes: u32,
        /// The pointer may be NULL.
        nullable: bool,
    },
    /// A dynamic pointer that was made.
    Dynptr,
}

/// Source position from BTF.ext `line_info`; holds from `start` up to the next entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// First slot it describes.
    pub start: InsnIdx,
    /// Source file; shared between the lines of a file.
    pub file: Arc<str>,
    /// Line number, from 1.
    pub line: u32,
    /// Column, from 1 (0: unknown).
    pub column: u32,
    /// Text of the line; shared between entries of the same line.
    pub text: Arc<str>,
}

impl Unlinked {
    /// What it goes by: its function, or its section where no function is marked.
    #[must_use]
    pub fn known_as(&self) -> &str {
        match self.unmarked {
            true => &self.section,
            false => &self.name,
        }
    }
}

impl Program {
    /// What the system lacks that an instruction needs.
    #[must_use]
    pub fn missing(&self, at: InsnIdx) -> Option<&Arc<str>> {
        let found = self.missing.binary_search_by_key(&at, |missing| missing.at);
        Some(&self.missing.get(found.ok()?)?.what)
    }

    /// What it goes by: its function, or its section where no function is marked.
    #[must_use]
    pub fn known_as(&self) -> &str {
        match self.unmarked {
            true => &self.section,
            false => &self.name,
        }
    }

    /// The source line of an instruction, if the file carries line information.
    #[must_use]
    pub fn line(&self, at: InsnIdx) -> Option<&Line> {
        let after = self.lines.partition_point(|line| line.start <= at);
        let line = self.lines.get(after.checked_sub(1)?)?;
        // Line information of one function says nothing about the next.
        (self.function_at(line.start)?.start == self.function_at(at)?.start).then_some(line)
    }

    /// The function an instruction belongs to.
    #[must_use]
    pub fn function_at(&self, at: InsnIdx) -> Option<&Function> {
        let after = self
            .functions
            .partition_point(|function| function.start <= at);
        self.functions
            .get(after.checked_sub(1)?)
            .filter(|function| at < function.end)
    }
}

impl Object {
    /// The map of an id that came from this object.
    #[must_use]
    pub fn map(&self, id: MapId) -> Option<&MapDef> {
        self.maps.get(usize::from(id.0))
    }

    /// What a map holds whose bytes are constant, whatever runs: nothing where they can change.
    #[must_use]
    pub fn constants(&self, id: MapId) -> Option<&GlobalSection> {
        let is_frozen = self.map(id).is_some_and(|map| map.frozen);
        // Elsewhere a privileged user could change them after the proof.
        if !is_frozen || self.platform != Platform::Linux {
            return None;
        }
        self.globals.iter().find(|section| section.map == id)
    }

    /// The programs that a function is part of as a subprogram.
    pub fn users_of<'a>(&'a self, function: &'a str) -> impl Iterator<Item = ProgramId> + 'a {
        let uses = move |program: &Program| {
            let mut subprograms = program.functions.iter().skip(1);
            subprograms.any(|subprogram| subprogram.name == function)
        };
        let numbered = (0..=u16::MAX).zip(&self.programs);
        numbered
            .filter(move |(_, program)| uses(program))
            .map(|(at, _)| ProgramId(at))
    }

    /// A program by its C function name.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<(ProgramId, &Program)> {
        let at = self
            .programs
            .iter()
            .position(|program| program.name == name)?;
        Some((ProgramId(u16::try_from(at).ok()?), &self.programs[at]))
    }
}

//! Native modules: driver images whose metadata says which programs and maps they carry.
//!
//! [`validate`] reads everything the image says through bounds-checked reads and copies it into a
//! [`Module`]; nothing of the image is trusted or read again after that, except its code and the
//! addresses of its functions. [`instantiate`] makes the maps, resolves the helpers and builds the
//! runtime contexts that the module's code works with.
//!
//! Invariant: an address in a [`Module`] that will be called lies in an executable section.
//! Deliberately absent: who may load a module and when it is unloaded; see [`crate::control`].

mod error;
mod instance;
mod origin;
mod parse;
mod reader;
mod sha256;

pub use crate::raw::native::validate;
pub use error::{Error, Item, Problem};
pub use instance::{Instance, Loaded, Means, PinnedMap, Usage, instantiate, instantiate_with};
pub use origin::same_file;
pub(crate) use parse::check_table;
pub use parse::{Tables, parse};
pub use reader::Array;
pub(crate) use reader::Reader;

pub use sha256::Sha256;

use crate::{Definition, helper::Extensions};
use abi::{Guid, ProgramType, native::ModuleVersion};
use alloc::{string::String, vec::Vec};

/// The memory of a mapped image, as the loader knows it.
pub trait ModuleMemory {
    /// Copies bytes out; `false` when they are not all readable and inside the image.
    #[must_use]
    fn read(&self, address: u64, out: &mut [u8]) -> bool;

    /// Whether an address lies in an executable section of the image.
    fn is_code(&self, address: u64) -> bool;
}

/// How the types of a module's programs are found.
#[derive(Clone, Copy)]
pub enum Typing<'a> {
    /// By the GUID in the metadata, as extensions describe it or else the tables: drivers for
    /// Windows.
    Guid(&'a dyn Extensions),
    /// By the program's name: images made for this host carry map and helper numbers of the
    /// platform of their object, and no GUIDs when that is Linux.
    Name(
        abi::Platform,
        &'a dyn Fn(&str) -> Option<&'static ProgramType>,
    ),
}

impl Typing<'_> {
    /// Whose numbering the module uses.
    #[must_use]
    pub fn platform(&self) -> abi::Platform {
        match self {
            Typing::Guid(_) => abi::Platform::Windows,
            Typing::Name(platform, _) => *platform,
        }
    }
}

/// What a module says, checked and copied.
#[derive(Debug)]
pub struct Module {
    /// Version of the compiler that made it; decides the layout of runtime structures.
    pub version: ModuleVersion,
    /// Hash of the object it was made from; empty when absent.
    pub hash: Vec<u8>,
    /// Programs, in the order of the table.
    pub programs: Vec<ProgramInfo>,
    /// Maps, in the order of the table.
    pub maps: Vec<MapInfo>,
    /// Initial values of maps of maps and of programs.
    pub initial: Vec<InitialValues>,
    /// Global data sections.
    pub globals: Vec<Global>,
}

/// One program of a module.
#[derive(Debug)]
pub struct ProgramInfo {
    /// Name.
    pub name: String,
    /// ELF section it came from.
    pub section: String,
    /// PE section that holds its code.
    pub pe_section: String,
    /// Address of its function.
    pub entry: u64,
    /// Its type.
    pub program_type: &'static ProgramType,
    /// Attach type that it expects.
    pub attach_type: Guid,
    /// Helper numbers in the order of the module's helper array; 0 marks an unused slot.
    pub helpers: Vec<u32>,
    /// Platform functions, by name and module; an unused slot has an empty name.
    pub btf_functions: Vec<(String, Guid)>,
    /// Indices of the maps it uses.
    pub maps: Vec<u16>,
    /// Instruction slots of its bytecode.
    pub instructions: u64,
    /// Hash over its type and helpers; empty when absent.
    pub info_hash: Vec<u8>,
    /// Algorithm of that hash; empty when absent.
    pub info_hash_type: String,
}

/// One map of a module.
#[derive(Debug)]
pub struct MapInfo {
    /// What it is made from.
    pub definition: Definition,
    /// Index of the map that is the template of its inner maps.
    pub inner: Option<usize>,
    /// Pinned by name.
    pub pin_by_name: bool,
}

/// Initial slots of one map.
#[derive(Debug)]
pub struct InitialValues {
    /// Index of the map.
    pub map: usize,
    /// Names of maps or programs by slot; `None` leaves a slot empty.
    pub values: Vec<Option<String>>,
}

/// One global data section.
#[derive(Debug)]
pub struct Global {
    /// Index of the array map that holds it.
    pub map: usize,
    /// Initial bytes.
    pub data: Vec<u8>,
}

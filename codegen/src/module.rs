//! The relocatable module: what `codegen` hands to `image`.

/// Index of a section of a [`Module`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SectionId(pub u16);

/// Index of a symbol of a [`Module`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SymbolId(pub u32);

/// A relocatable module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Name for the version resource (file stem).
    pub name: String,
    /// Sections in the order they must have in the file.
    pub sections: Vec<Section>,
    /// Symbols.
    pub symbols: Vec<Symbol>,
    /// Functions imported from other modules.
    pub imports: Vec<Import>,
    /// `DriverEntry`.
    pub entry: SymbolId,
    /// Every program in it was proved by the verifier; otherwise it may run on a host for tests
    /// but `image` refuses to make a driver of it.
    pub proved: bool,
    /// Whose bytecode it was made from; only Windows modules can become drivers.
    pub platform: abi::Platform,
    /// Seed for time stamps and ids in the output: SHA-256 over input and options.
    pub content_hash: [u8; 32],
}

/// What a section is for; decides its PE characteristics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SectionKind {
    /// Machine code: read, execute.
    Code,
    /// Constants: read.
    ReadOnly,
    /// Initialised data: read, write.
    Data,
    /// Code that is discarded after DriverEntry.
    Init,
}

/// One section before layout.
#[derive(Clone, Debug)]
pub struct Section {
    /// PE section name, at most 8 bytes.
    pub name: String,
    /// What it is for.
    pub kind: SectionKind,
    /// Contents; their length is the exact VirtualSize.
    pub data: Vec<u8>,
    /// Relocations, ascending by offset.
    pub relocs: Vec<Reloc>,
    /// Functions in a code section, ascending by offset; empty elsewhere.
    pub functions: Vec<FunctionRange>,
}

/// One function in a code section.
#[derive(Clone, Debug)]
pub struct FunctionRange {
    /// Symbol of its first byte.
    pub symbol: SymbolId,
    /// First byte in the section.
    pub start: u32,
    /// One past its last byte.
    pub end: u32,
    /// Windows x64 `UNWIND_INFO` bytes, a multiple of 4; `None` for a leaf that needs none.
    pub unwind: Option<Vec<u8>>,
}

/// A named position.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// Name, unique in the module.
    pub name: String,
    /// Section it lies in.
    pub section: SectionId,
    /// Byte offset in the section.
    pub offset: u32,
}

/// A function of another kernel module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Module file name, for example `NETIO.SYS`.
    pub module: String,
    /// Exported name.
    pub name: String,
}

/// What a relocation points at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// A symbol of the module.
    Symbol(SymbolId),
    /// The import address table slot of [`Module::imports`]`[i]`.
    ImportSlot(u16),
}

/// How a relocation is applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RelocKind {
    /// 64-bit absolute address (becomes IMAGE_REL_BASED_DIR64); data sections only.
    Abs64,
    /// 32-bit, relative to the end of the 4-byte field, plus addend.
    Rel32,
}

/// One relocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reloc {
    /// Byte offset of the field in its section.
    pub offset: u32,
    /// How to apply it.
    pub kind: RelocKind,
    /// Where it points.
    pub target: Target,
    /// Added to the target address (for Rel32: relative to the end of the field).
    pub addend: i64,
}

//! What can go wrong when an image is linked, read or checked.
//!
//! Errors of the linker name section, offset and symbol; errors of the reader name the structure
//! and the file offset. Most linker errors are faults of the code generator, not of the user.

use crate::read::Malformed;
use abi::Code;
use abi::diagnostic as d;
use std::fmt;

/// Why a relocation cannot be applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelocationProblem {
    /// The field does not lie in the section.
    OutsideSection,
    /// An absolute address in an executable section: HVCI wants code free of relocations.
    AbsoluteInCode,
    /// The 8-byte field crosses a page; Windows 10 before 1703 cannot apply it under HVCI.
    StraddlesPage,
    /// The field overlaps the one before it, or they are not in ascending order.
    Overlaps,
    /// The target symbol or import does not exist, or its section is empty.
    UnknownTarget,
    /// The distance does not fit 32 bits, or the address 64.
    Overflow,
}

impl fmt::Display for RelocationProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutsideSection => "the field does not lie in the section",
            Self::AbsoluteInCode => "an absolute address in an executable section",
            Self::StraddlesPage => "the field crosses a page boundary",
            Self::Overlaps => "the field overlaps the one before it",
            Self::UnknownTarget => "its target does not exist",
            Self::Overflow => "the value does not fit the field",
        })
    }
}

/// An error of this crate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The module holds a program that the verifier did not prove.
    Unproved {
        /// Module name.
        module: String,
    },
    /// The module was made from another platform's bytecode.
    WrongPlatform {
        /// Module name.
        module: String,
    },
    /// A section name is empty, longer than eight bytes, not printable, or makes code pageable.
    SectionName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The module name cannot stand in a version resource.
    ModuleName {
        /// Its length in UTF-16 units.
        len: usize,
        /// The most allowed.
        limit: usize,
    },
    /// The image would become too large.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The most allowed.
        limit: usize,
    },
    /// A relocation cannot be applied.
    Relocation {
        /// Section of the field.
        section: String,
        /// Offset of the field in it.
        offset: u32,
        /// Name of the target, if it has one.
        target: String,
        /// Why not.
        problem: RelocationProblem,
    },
    /// A function range or its unwind data is wrong.
    Function {
        /// Section of the function.
        section: String,
        /// Its first byte.
        start: u32,
        /// What is wrong.
        problem: &'static str,
    },
    /// An import cannot be expressed.
    Import {
        /// Module name.
        module: String,
        /// Function name.
        name: String,
    },
    /// The entry point is not in an executable section.
    Entry,
    /// The version-resource template is malformed.
    Template {
        /// Line in `templates/driver/version.rc`.
        line: usize,
    },
    /// The file could not be laid out.
    Unwritable(String),
    /// Not a PE32+ image.
    NotPe {
        /// What it is instead.
        found: &'static str,
    },
    /// The finished image fails rules of the checker: a fault of this program.
    Refused {
        /// The rules and what was found.
        rows: Vec<(&'static str, String)>,
    },
    /// The metadata of a native module breaks its contract.
    Native {
        /// Section or array.
        section: &'static str,
        /// Entry in it.
        index: usize,
        /// Field of the entry.
        field: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A structure of a PE file cannot be read.
    Malformed(Malformed),
}

impl Error {
    /// The stable id.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Unproved { .. } => d::IMAGE_UNPROVED,
            Self::WrongPlatform { .. } => d::IMAGE_PLATFORM,
            Self::SectionName { .. } | Self::ModuleName { .. } => d::IMAGE_NAME,
            Self::TooLarge { .. } => d::IMAGE_TOO_LARGE,
            Self::Relocation { .. } => d::IMAGE_RELOCATION,
            Self::Function { .. } => d::IMAGE_FUNCTION,
            Self::Import { .. } => d::IMAGE_IMPORT,
            Self::Entry | Self::Template { .. } | Self::Unwritable(_) => d::IMAGE_LAYOUT,
            Self::NotPe { .. } => d::PE_EXPECTED,
            Self::Malformed(_) => d::PE_MALFORMED,
            Self::Refused { .. } => d::IMAGE_REFUSED,
            Self::Native { .. } => d::NATIVE_MALFORMED,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproved { module } => {
                write!(
                    f,
                    "module `{module}` holds a program that was not proved safe"
                )
            }
            Self::WrongPlatform { module } => {
                write!(f, "module `{module}` was made from Linux bytecode")
            }
            Self::SectionName { name, problem } => write!(f, "section name `{name}` {problem}"),
            Self::ModuleName { len, limit } => {
                write!(
                    f,
                    "the module name has {len} characters, at most {limit} are possible"
                )
            }
            Self::TooLarge { what, found, limit } => {
                write!(f, "{what}: {found}, at most {limit} are possible")
            }
            Self::Relocation {
                section,
                offset,
                target,
                problem,
            } => write!(
                f,
                "relocation at {section}+{offset:#x} to `{target}`: {problem}"
            ),
            Self::Function {
                section,
                start,
                problem,
            } => {
                write!(f, "function at {section}+{start:#x}: {problem}")
            }
            Self::Import { module, name } => {
                write!(f, "`{module}!{name}` cannot be written as an import")
            }
            Self::Entry => f.write_str("the entry point does not lie in an executable section"),
            Self::Template { line } => {
                write!(f, "templates/driver/version.rc line {line} is malformed")
            }
            Self::NotPe { found } => write!(f, "not a 64-bit Windows image but {found}"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Refused { rows } => {
                f.write_str("the image fails its own check")?;
                rows.iter()
                    .try_for_each(|(rule, detail)| write!(f, "; {rule}: {detail}"))
            }
            Self::Native {
                section,
                index,
                field,
                problem,
            } => {
                write!(f, "native module, {section}[{index}], {field}: {problem}")
            }
            Self::Unwritable(why) => write!(f, "the image cannot be laid out: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        Error::Malformed(malformed)
    }
}

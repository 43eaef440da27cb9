//! Platforms, program types, attach types and the section prefixes that name them.

//!
//! The ELF section name selects the attach type by its longest matching prefix, the attach type
//! the program type, the program type context and helpers.

pub mod linux;
pub mod windows;

pub use linux::{ATTACH as ATTACH_LINUX, TYPES as LINUX};
pub use windows::{ATTACH as ATTACH_WINDOWS, TYPES as WINDOWS};

use crate::{context::Context, guid::Guid};

/// Whose bytecode this is: helper numbers, map types and contexts differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Platform {
    /// eBPF for Windows.
    #[default]
    Windows,
    /// The Linux kernel's numbering.
    Linux,
}

/// One program type of one platform.
#[derive(Debug, PartialEq, Eq)]
pub struct ProgramType {
    /// Whose.
    pub platform: Platform,
    /// Name, as hashed into `program_info_hash` on Windows and as bpftool prints it on Linux.
    pub name: &'static str,
    /// `bpf_prog_type` number.
    pub number: u32,
    /// Program type GUID (Windows; zero on Linux).
    pub guid: Guid,
    /// `is_privileged` of the type descriptor: may leak pointers. Part of `program_info_hash`.
    pub privileged: bool,
    /// Context structure passed in r1.
    pub context: &'static Context,
    /// Helpers of this type beyond the general ones, and overrides of general ones by id.
    pub helpers: &'static [crate::helper::Helper],
    /// Inclusive range that r0 must lie in at exit of the main program, as signed 32-bit values,
    /// or `None` when any number may be returned.
    pub return_range: Option<(i32, i32)>,
    /// May write to the packet through its pointers.
    pub packet_writable: bool,
    /// May read the packet with the legacy `ld_abs`/`ld_ind` instructions.
    pub legacy_packet: bool,
}

/// One attach type: a hook, and the ELF section prefix that selects it.
#[derive(Debug, PartialEq, Eq)]
pub struct AttachType {
    /// Section name prefix, for example `cgroup/connect4`. The longest matching row wins.
    pub prefix: &'static str,
    /// The program type behind it.
    pub program_type: &'static ProgramType,
    /// Attach type GUID (Windows; zero on Linux).
    pub guid: Guid,
    /// `bpf_attach_type` number (0 where there is none).
    pub number: u32,
    /// Kind of link that attaching makes.
    pub link: LinkType,
    /// Context fields that are writable for the program type but not through this hook.
    pub read_only: &'static [&'static str],
    /// Narrower range of r0 than the program type's, if any.
    pub return_range: Option<(i32, i32)>,
}

/// Kind of link (`bpf_link_type` numbers of eBPF for Windows).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum LinkType {
    /// Not said.
    Unspecified = 0,
    /// No attach parameter.
    Plain = 1,
    /// To a network compartment (Linux: a control group).
    Cgroup = 2,
    /// To a network interface.
    Xdp = 3,
}

impl ProgramType {
    /// Whether two rows describe the same type, in whatever words: an extension describes a type
    /// by itself that a table knows as well.
    #[must_use]
    pub fn is(&self, other: &ProgramType) -> bool {
        let is_same = match self.platform {
            Platform::Windows => self.guid == other.guid,
            Platform::Linux => self.number == other.number && self.name == other.name,
        };
        core::ptr::eq(self, other) || (self.platform == other.platform && is_same)
    }
}

impl LinkType {
    /// The kind of a `bpf_link_type`.
    #[must_use]
    pub const fn of(number: u32) -> Option<LinkType> {
        match number {
            0 => Some(LinkType::Unspecified),
            1 => Some(LinkType::Plain),
            2 => Some(LinkType::Cgroup),
            3 => Some(LinkType::Xdp),
            _ => None,
        }
    }
}

impl AttachType {
    /// Whether two rows are the same one. Their addresses do not tell: a table may be in memory more
    /// than once.
    #[must_use]
    pub fn is(&self, other: &AttachType) -> bool {
        core::ptr::eq(self, other)
            || (self.prefix == other.prefix
                && self.guid == other.guid
                && self.program_type.is(other.program_type))
    }

    /// The same hook, through which these fields cannot be written.
    const fn fixing(self, read_only: &'static [&'static str]) -> AttachType {
        AttachType { read_only, ..self }
    }

    /// The same hook, with this inclusive range of r0.
    const fn returning(self, low: i32, high: i32) -> AttachType {
        AttachType {
            return_range: Some((low, high)),
            ..self
        }
    }

    /// Inclusive range that r0 must lie in at exit, or `None` when any number may be returned.
    #[must_use]
    pub const fn return_range(&self) -> Option<(i32, i32)> {
        match self.return_range {
            Some(range) => Some(range),
            None => self.program_type.return_range,
        }
    }
}

/// The program types of a platform.
#[must_use]
pub const fn types(platform: Platform) -> &'static [&'static ProgramType] {
    match platform {
        Platform::Windows => WINDOWS,
        Platform::Linux => LINUX,
    }
}

/// The attach types of a platform.
#[must_use]
pub const fn attach_types(platform: Platform) -> &'static [AttachType] {
    match platform {
        Platform::Windows => ATTACH_WINDOWS,
        Platform::Linux => ATTACH_LINUX,
    }
}

/// The attach type that an ELF section name selects: the longest prefix wins.
#[must_use]
pub fn by_section(platform: Platform, section: &str) -> Option<&'static AttachType> {
    attach_types(platform)
        .iter()
        .filter(|row| section.starts_with(row.prefix))
        .max_by_key(|row| row.prefix.len())
}

/// The program type of a name.
#[must_use]
pub fn by_name(platform: Platform, name: &str) -> Option<&'static ProgramType> {
    types(platform).iter().copied().find(|row| row.name == name)
}

/// The program type of a GUID (Windows).
#[must_use]
pub fn by_guid(guid: Guid) -> Option<&'static ProgramType> {
    WINDOWS.iter().copied().find(|row| row.guid == guid)
}

/// The attach type of a GUID (Windows).
#[must_use]
pub fn attach_by_guid(guid: Guid) -> Option<&'static AttachType> {
    ATTACH_WINDOWS.iter().find(|row| row.guid == guid)
}

//! Platforms, program types, attach types and the section prefixes that name them.

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
}

//! Sections by role: which are read, which are ignored and whether the user should know.

use super::{MaybeBtf, file::ElfFile, functions::is_code};
use crate::{
    btf::{Btf, ext::BtfExt},
    elf::file::{Section, SectionKind},
    error::LoadError,
    maps::is_global,
};
use abi::diagnostic;

/// Notes about sections with content that nobody reads.
pub(super) fn survey(file: &ElfFile<'_>) -> impl Iterator<Item = String> {
    file.sections
        .iter()
        .filter(|section| section.allocated && section.size > 0 && !is_known(section))
        .map(|section| match section.name {
            name if name.starts_with(".struct_ops") => {
                format!("section `{name}` ignored: struct_ops maps are not supported")
            }
            name if name.starts_with(".addr_space") => {
                format!("section `{name}` ignored: arenas are not supported")
            }
            name => format!(
                "section `{name}` ignored: {} bytes that are no code, map or global variable",
                section.size
            ),
        })
}

fn is_known(section: &Section<'_>) -> bool {
    is_code(section)
        || is_global(section)
        || section.kind == SectionKind::Table
        || matches!(
            section.name,
            ".maps" | "maps" | "license" | "version" | ".eh_frame"
        )
        || section.name.starts_with("maps/")
}

/// The type information.
pub(super) fn btf<'d>(file: &ElfFile<'d>) -> Result<MaybeBtf<'d>, LoadError> {
    match file.by_name(".BTF") {
        Some((_, section)) if !section.data.is_empty() => Btf::parse(section.data).map(Some),
        _ => Ok(None),
    }
}

/// Line and function information.
pub(super) fn btf_ext<'d>(
    file: &ElfFile<'d>,
    btf: Option<&Btf<'d>>,
) -> Result<BtfExt<'d>, LoadError> {
    match (file.by_name(".BTF.ext"), btf) {
        (Some((_, section)), Some(btf)) if !section.data.is_empty() => {
            BtfExt::parse(section.data, btf)
        }
        _ => Ok(BtfExt::default()),
    }
}

/// Text of the `license` section up to its terminator.
pub(super) fn license(file: &ElfFile<'_>) -> Result<Option<String>, LoadError> {
    let Some((_, section)) = file.by_name("license") else {
        return Ok(None);
    };
    let end = section.data.iter().position(|&byte| byte == 0);
    let text = &section.data[..end.unwrap_or(section.data.len())];
    match std::str::from_utf8(text) {
        Ok(text) if text.len() <= LICENSE_BYTES => Ok(Some(text.into())),
        _ => Err(LoadError::new(
            diagnostic::ELF_MALFORMED,
            format!("{} bytes that are no licence name", text.len()),
        )
        .section("license")),
    }
}

/// Longest licence name; the known ones have at most 16 characters.
const LICENSE_BYTES: usize = 128;

/// Number in the `version` section.
pub(super) fn version(file: &ElfFile<'_>) -> Result<Option<u32>, LoadError> {
    let Some((_, section)) = file.by_name("version") else {
        return Ok(None);
    };
    match section.data.try_into() {
        Ok(bytes) => Ok(Some(u32::from_le_bytes(bytes))),
        Err(_) => Err(LoadError::new(
            diagnostic::ELF_MALFORMED,
            format!("{} bytes found, a 4-byte number expected", section.size),
        )
        .section("version")),
    }
}

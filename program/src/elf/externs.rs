//! Names that the file uses but does not define: platform functions, kernel variables, configuration.
//!
//! clang lists them in BTF data sections `.ksyms` and `.kconfig`. On Windows a platform function
//! names the module that implements it in a declaration tag, `module_id:{GUID}`.

use crate::{
    btf::{Btf, Kind, TypeId},
    error::LoadError,
    model::BtfFunction,
};
use abi::{Guid, Platform, diagnostic, helper};
use std::collections::BTreeMap;

/// BTF data section of the kernel's configuration.
pub(crate) const KCONFIG: &str = ".kconfig";

/// What an undefined name is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extern {
    /// Platform function: index for [`Externs::function`].
    Function(usize),
    /// Kernel variable.
    Variable,
    /// Value of the kernel's configuration, which programs for Linux find at this offset of its
    /// map.
    Kconfig(u32),
}

/// The declared externs of a file.
#[derive(Debug)]
pub(crate) struct Externs<'d> {
    platform: Platform,
    names: BTreeMap<&'d str, Extern>,
    functions: Vec<Result<BtfFunction, LoadError>>,
    configuration_bytes: u32,
    configuration: Vec<(&'d str, TypeId, u32)>,
}

impl<'d> Externs<'d> {
    /// Reads the declarations.
    pub(crate) fn read(btf: Option<&Btf<'d>>, platform: Platform) -> Result<Self, LoadError> {
        let mut externs = Externs {
            platform,
            names: BTreeMap::new(),
            functions: Vec::new(),
            configuration_bytes: 0,
            configuration: Vec::new(),
        };
        let Some(btf) = btf else {
            return Ok(externs);
        };
        for section in [".ksyms", KCONFIG] {
            let Some((_, variables)) = btf.data_section(section)? else {
                continue;
            };
            for variable in variables {
                externs.declare(btf, variable, section)?;
            }
        }
        Ok(externs)
    }

    fn declare(&mut self, btf: &Btf<'d>, id: TypeId, section: &str) -> Result<(), LoadError> {
        let ty = btf.ty(id)?;
        let name = btf.name(&ty)?;
        if self.names.contains_key(name) {
            return Ok(());
        }
        let what = match ty.kind {
            _ if section == KCONFIG => {
                let at = self.place_value(btf, id)?;
                self.configuration.push((name, id, at));
                Extern::Kconfig(at)
            }
            Kind::Function => {
                let tags = btf.tags(id)?;
                self.functions
                    .push(platform_function(name, &tags, self.platform));
                Extern::Function(self.functions.len() - 1)
            }
            _ => Extern::Variable,
        };
        self.names.insert(name, what);
        Ok(())
    }

    /// Gives a value of the configuration its place. Where a loader puts it does not matter, because
    /// programs find it by relocation.
    fn place_value(&mut self, btf: &Btf<'d>, id: TypeId) -> Result<u32, LoadError> {
        const ALIGN: u32 = 8;
        if self.platform == Platform::Windows {
            return Ok(0);
        }
        let at = self.configuration_bytes;
        let bytes = btf.size_of(id)?;
        let end = bytes.checked_next_multiple_of(ALIGN);
        self.configuration_bytes = end.and_then(|end| at.checked_add(end)).ok_or_else(|| {
            let text = "over 4 GiB of kernel configuration";
            LoadError::new(diagnostic::GLOBAL_INVALID, text).section(KCONFIG)
        })?;
        Ok(at)
    }

    /// Whose loader would resolve them.
    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    /// Name, variable and place of each value of the configuration.
    pub(crate) fn configuration(&self) -> &[(&'d str, TypeId, u32)] {
        &self.configuration
    }

    /// Bytes of all values of the configuration.
    pub(crate) fn configuration_bytes(&self) -> u32 {
        self.configuration_bytes
    }

    /// What a name is; `None` when it is not declared. A declaration with a bad tag is an error.
    pub(crate) fn lookup(&self, name: &str) -> Result<Option<Extern>, LoadError> {
        let found = self.names.get(name).copied();
        if let Some(Extern::Function(index)) = found {
            self.functions[index].as_ref().map_err(Clone::clone)?;
        }
        Ok(found)
    }

    /// A platform function.
    pub(crate) fn function(&self, index: usize) -> Option<&BtfFunction> {
        self.functions.get(index)?.as_ref().ok()
    }

    /// The id of the helper of a name.
    pub(crate) fn helper(&self, name: &str) -> Option<i32> {
        let row = helper::general(self.platform)
            .iter()
            .find(|row| row.name == name)?;
        i32::try_from(row.id).ok()
    }
}

fn platform_function(
    name: &str,
    tags: &[&str],
    platform: Platform,
) -> Result<BtfFunction, LoadError> {
    let text = tags.iter().find_map(|tag| tag.strip_prefix("module_id:"));
    let module = match (text, platform) {
        (Some(text), _) => parse_guid(text).ok_or_else(|| {
            let text = format!("declaration tag `module_id:{text}` is no GUID in braces");
            LoadError::new(diagnostic::SYMBOL_UNRESOLVED, text).symbol(name)
        })?,
        (None, Platform::Linux) => Guid::default(),
        (None, Platform::Windows) => {
            let text = "platform function without a `module_id:{GUID}` declaration tag";
            return Err(LoadError::new(diagnostic::SYMBOL_UNRESOLVED, text).symbol(name));
        }
    };
    Ok(BtfFunction {
        name: name.into(),
        module,
    })
}

/// Reads `{8f6c1f83-ce4c-4b58-8b91-654a29e23b7c}`, braces optional.
fn parse_guid(text: &str) -> Option<Guid> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let groups = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = inner.split('-').collect();
    let fits = parts.len() == groups.len()
        && parts.iter().zip(groups).all(|(part, len)| {
            part.len() == len && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
    if !fits {
        return None;
    }
    u128::from_str_radix(&parts.concat(), 16)
        .ok()
        .map(Guid::from_u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_need_the_five_groups() {
        let text = "8f6c1f83-ce4c-4b58-8b91-654a29e23b7c";
        assert_eq!(parse_guid(text).unwrap().to_string(), text);
        assert_eq!(
            parse_guid(&format!("{{{text}}}")).unwrap().to_string(),
            text
        );
        for bad in [
            "",
            "{",
            "{}",
            "8f6c1f83ce4c4b588b91654a29e23b7c",
            &format!("{{{text}"),
        ] {
            assert_eq!(parse_guid(bad), None, "{bad}");
        }
    }

    #[test]
    fn windows_wants_to_know_the_module() {
        let missing = platform_function("f", &["other"], Platform::Windows).unwrap_err();
        assert_eq!(missing.code(), diagnostic::SYMBOL_UNRESOLVED);
        let linux = platform_function("f", &[], Platform::Linux).unwrap();
        assert_eq!(linux.module, Guid::default());
    }
}

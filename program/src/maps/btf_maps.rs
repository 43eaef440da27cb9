//! Maps defined by BTF: variables in section `.maps` whose structure type is the definition.
//!
//! `__uint(max_entries, N)` makes a member that points to an array of N; `__type(key, T)` one that
//! points to T; `__array(values, T)` an array of pointers to T, where T is the structure of an
//! inner map or a function. All of it is in the type, the variable's bytes are zero.

use super::{Maps, Source, default_sizes, find_special, initial, new_def, symbols_in};
use crate::{
    btf::{Btf, Kind, Member, TypeId},
    elf::notes::Notes,
    error::LoadError,
    model::{MapDef, MapId},
};
use abi::{MapKind, Platform, diagnostic, limits};
use std::collections::{BTreeMap, BTreeSet};

/// What a structure says about a map.
#[derive(Debug, Default)]
struct Definition {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    pinning: u32,
    /// Type of the value, for locks and timers.
    value: Option<TypeId>,
    /// Structure of the inner map.
    inner: Option<TypeId>,
    /// `values` takes programs.
    programs: bool,
    /// Byte offset of `values` in the structure.
    values_at: Option<u64>,
    /// Members that mean nothing here.
    ignored: Vec<String>,
}

/// A variable of section `.maps`.
struct Variable<'d> {
    name: &'d str,
    offset: u64,
    structure: TypeId,
}

/// Reads the section `.maps`.
pub(super) fn read(
    source: Source<'_, '_>,
    maps: &mut Maps,
    notes: &mut Notes,
) -> Result<(), LoadError> {
    let Some((index, section)) = source.file.by_name(".maps") else {
        return Ok(());
    };
    maps.sections.insert(index);
    let here = |error: LoadError| error.section(section.name);
    let btf = source.btf.ok_or_else(|| {
        here(LoadError::new(
            diagnostic::MAP_MALFORMED,
            "the file has maps but no BTF type information (compile with `-g`)",
        ))
    })?;
    let mut reader = Reader {
        btf,
        platform: source.options.platform,
        by_structure: BTreeMap::new(),
        outer: Vec::new(),
        values: Vec::new(),
        anonymous: 0,
    };
    for variable in variables(source, btf, index).map_err(here)? {
        reader
            .named(maps, index, &variable, notes)
            .map_err(|error| here(error.symbol(variable.name).offset(variable.offset)))?;
    }
    reader.inner_maps(maps, notes).map_err(here)?;
    initial::read(source, maps, index, &reader.values).map_err(here)
}

/// The variables of `.maps`, ascending by offset.
fn variables<'d>(
    source: Source<'_, 'd>,
    btf: &Btf<'d>,
    section: usize,
) -> Result<Vec<Variable<'d>>, LoadError> {
    let symbols = symbols_in(source.file, section);
    let by_name: BTreeMap<&str, u64> = symbols
        .iter()
        .map(|symbol| (symbol.name, symbol.value))
        .collect();
    let (_, entries) = btf.data_section(".maps")?.ok_or_else(|| {
        LoadError::new(
            diagnostic::MAP_MALFORMED,
            "the BTF type information does not describe the section",
        )
    })?;
    let size = source.file.sections[section].size;
    let mut variables = entries
        .iter()
        .map(|&id| {
            variable(btf, id, |name| {
                by_name.get(name).copied().filter(|&at| at < size)
            })
        })
        .collect::<Result<Vec<_>, LoadError>>()?;
    variables.sort_by_key(|variable| variable.offset);
    let described: BTreeSet<u64> = variables.iter().map(|variable| variable.offset).collect();
    let missing = symbols
        .iter()
        .find(|symbol| !described.contains(&symbol.value));
    if let Some(missing) = missing {
        let text = "BTF does not describe this map (compile with `-g`)";
        return Err(LoadError::new(diagnostic::MAP_MALFORMED, text)
            .symbol(missing.name)
            .offset(missing.value));
    }
    Ok(variables)
}

/// One variable; BTF leaves its offset 0 for the linker, so the symbol says where it is.
fn variable<'d>(
    btf: &Btf<'d>,
    id: TypeId,
    place: impl Fn(&str) -> Option<u64>,
) -> Result<Variable<'d>, LoadError> {
    let ty = btf.ty(id)?;
    let name = btf.name(&ty)?;
    let (structure, _) = btf.strip(ty.size_or_type)?;
    let offset = place(name).ok_or_else(|| {
        let text = "BTF describes a map that has no symbol in the section";
        LoadError::new(diagnostic::MAP_MALFORMED, text).symbol(name)
    })?;
    Ok(Variable {
        name,
        offset,
        structure,
    })
}

struct Reader<'a, 'd> {
    btf: &'a Btf<'d>,
    platform: Platform,
    /// First named map of a structure type: usable as template.
    by_structure: BTreeMap<TypeId, MapId>,
    /// Maps of maps and the structure of their inner map.
    outer: Vec<(MapId, TypeId)>,
    /// Maps with `values`.
    values: Vec<initial::Values>,
    /// Inner maps made so far that have no variable.
    anonymous: u32,
}

impl Reader<'_, '_> {
    /// Adds a map that has a variable.
    fn named(
        &mut self,
        maps: &mut Maps,
        section: usize,
        variable: &Variable<'_>,
        notes: &mut Notes,
    ) -> Result<(), LoadError> {
        let definition = definition(self.btf, variable.structure)?;
        let def = self.def(variable.name, variable.structure, &definition)?;
        note_ignored(variable.name, &definition, notes);
        let kind = def.kind;
        let id = maps.push(def)?;
        if maps.places.insert((section, variable.offset), id).is_some() {
            let text = "two maps at the same offset";
            return Err(LoadError::new(diagnostic::MAP_MALFORMED, text));
        }
        self.by_structure.entry(variable.structure).or_insert(id);
        check_values(kind, &definition)?;
        if let Some(inner) = definition.inner {
            self.outer.push((id, inner));
        }
        if let Some(at) = definition.values_at {
            self.values.push(initial::Values {
                map: id,
                start: variable.offset,
                values_at: at,
            });
        }
        Ok(())
    }

    /// Gives each map of maps its template, a named map of the same structure or a new one.
    fn inner_maps(&mut self, maps: &mut Maps, notes: &mut Notes) -> Result<(), LoadError> {
        for (outer, structure) in std::mem::take(&mut self.outer) {
            let name = maps.defs[usize::from(outer.0)].name.clone();
            let id = match self.by_structure.get(&structure) {
                Some(&id) => id,
                None => self
                    .anonymous(maps, structure, notes)
                    .map_err(|error| error.symbol(&name))?,
            };
            if maps.defs[usize::from(id.0)].kind.is_map_of_maps() {
                let text = "the inner map is a map of maps itself";
                return Err(LoadError::new(diagnostic::MAP_INNER_INVALID, text).symbol(&name));
            }
            maps.defs[usize::from(outer.0)].inner = Some(id);
        }
        Ok(())
    }

    fn anonymous(
        &mut self,
        maps: &mut Maps,
        structure: TypeId,
        notes: &mut Notes,
    ) -> Result<MapId, LoadError> {
        self.anonymous += 1;
        let name = format!("{ANONYMOUS}{}", self.anonymous);
        let definition = definition(self.btf, structure)?;
        if definition.values_at.is_some() || definition.pinning != 0 {
            let text = "an inner map cannot have `values` or be pinned";
            return Err(LoadError::new(diagnostic::MAP_INNER_INVALID, text));
        }
        note_ignored(&name, &definition, notes);
        let id = maps.push(self.def(&name, structure, &definition)?)?;
        self.by_structure.insert(structure, id);
        Ok(id)
    }

    fn def(
        &self,
        name: &str,
        structure: TypeId,
        definition: &Definition,
    ) -> Result<MapDef, LoadError> {
        let mut def = new_def(self.platform, name, definition.map_type)?;
        def.key_size = definition.key_size;
        def.value_size = definition.value_size;
        def.max_entries = definition.max_entries;
        def.flags = definition.flags;
        def.pin_by_name = pinned(definition.pinning)?;
        def.id = structure;
        default_sizes(&mut def);
        if let Some(value) = definition.value {
            find_special(self.btf, value, &mut def)?;
        }
        Ok(def)
    }
}

/// Whether `values` fits the type of the map.
fn check_values(kind: MapKind, definition: &Definition) -> Result<(), LoadError> {
    let inner = |text| Err(LoadError::new(diagnostic::MAP_INNER_INVALID, text));
    match (kind.is_map_of_maps(), definition.inner) {
        (true, None) => inner("map of maps without `__array(values, struct ...)`"),
        (false, Some(_)) => inner("`values` names an inner map, but the map is no map of maps"),
        _ if definition.programs && kind != MapKind::ProgArray => Err(LoadError::new(
            diagnostic::MAP_INITIAL_INVALID,
            "`values` names programs, but the map is no program array",
        )),
        _ => Ok(()),
    }
}

/// Name of inner maps without a variable, as the runtime of eBPF for Windows expects it.
const ANONYMOUS: &str = "__anonymous_";

fn pinned(pinning: u32) -> Result<bool, LoadError> {
    match pinning {
        0 => Ok(false),
        1 => Ok(true),
        other => {
            let text = format!("pinning {other} found, 0 (none) or 1 (by name) expected");
            Err(LoadError::new(diagnostic::MAP_MALFORMED, text))
        }
    }
}

fn note_ignored(name: &str, definition: &Definition, notes: &mut Notes) {
    for member in &definition.ignored {
        notes.push(format!(
            "map `{name}`: `{member}` has no meaning here and is ignored"
        ));
    }
}

/// Reads the members of a definition structure.
fn definition(btf: &Btf<'_>, structure: TypeId) -> Result<Definition, LoadError> {
    let ty = btf.ty(structure)?;
    if ty.kind != Kind::Struct {
        let text = format!("the map's type is a {:?}, a structure is expected", ty.kind);
        return Err(LoadError::new(diagnostic::MAP_MALFORMED, text));
    }
    if ty.vlen > limits::MAP_MEMBERS {
        let text = format!("{} members, at most {}", ty.vlen, limits::MAP_MEMBERS);
        return Err(LoadError::new(diagnostic::MAP_MALFORMED, text));
    }
    let mut definition = Definition::default();
    let members = btf.members(&ty)?;
    for member in &members {
        read_member(btf, member, &mut definition)?;
    }
    if !members.iter().any(|member| member.name == "type") {
        let text = "the definition lacks `__uint(type, ...)`";
        return Err(LoadError::new(diagnostic::MAP_MALFORMED, text));
    }
    Ok(definition)
}

fn read_member(btf: &Btf<'_>, member: &Member<'_>, to: &mut Definition) -> Result<(), LoadError> {
    match member.name {
        "type" => to.map_type = number(btf, member)?,
        "max_entries" => to.max_entries = number(btf, member)?,
        "map_flags" => to.flags = number(btf, member)?,
        "pinning" => to.pinning = number(btf, member)?,
        "key_size" => to.key_size = same(to.key_size, number(btf, member)?, member)?,
        "value_size" => to.value_size = same(to.value_size, number(btf, member)?, member)?,
        "key" => to.key_size = same(to.key_size, btf.size_of(target(btf, member)?)?, member)?,
        "value" => {
            let value = target(btf, member)?;
            to.value_size = same(to.value_size, btf.size_of(value)?, member)?;
            to.value = Some(value);
        }
        "values" => read_values(btf, member, to)?,
        other => to.ignored.push(other.into()),
    }
    Ok(())
}

/// Sizes may be given twice, but must agree.
fn same(before: u32, now: u32, member: &Member<'_>) -> Result<u32, LoadError> {
    if before != 0 && before != now {
        let text = format!(
            "`{}` says {now} bytes after {before} were given",
            member.name
        );
        return Err(LoadError::new(diagnostic::MAP_MALFORMED, text));
    }
    Ok(now)
}

/// The number that a pointer to an array of that many elements means.
fn number(btf: &Btf<'_>, member: &Member<'_>) -> Result<u32, LoadError> {
    let array = match btf.pointee(member.ty)? {
        Some(pointee) => btf.array(pointee)?,
        None => None,
    };
    array
        .map(|(_, count)| count)
        .ok_or_else(|| wrong(member, "a pointer to an array, as `__uint` makes it"))
}

fn target(btf: &Btf<'_>, member: &Member<'_>) -> Result<TypeId, LoadError> {
    btf.pointee(member.ty)?
        .ok_or_else(|| wrong(member, "a pointer to the type, as `__type` makes it"))
}

fn read_values(btf: &Btf<'_>, member: &Member<'_>, to: &mut Definition) -> Result<(), LoadError> {
    let expected = "an array of pointers, as `__array` makes it";
    let (element, _) = btf
        .array(member.ty)?
        .ok_or_else(|| wrong(member, expected))?;
    let pointee = btf
        .pointee(element)?
        .ok_or_else(|| wrong(member, expected))?;
    let (id, ty) = btf.strip(pointee)?;
    match ty.kind {
        Kind::Struct => to.inner = Some(id),
        Kind::FunctionProto => to.programs = true,
        _ => return Err(wrong(member, "pointers to map structures or functions")),
    }
    to.values_at = Some(u64::from(member.bit_offset / 8));
    Ok(())
}

fn wrong(member: &Member<'_>, expected: &str) -> LoadError {
    let text = format!("member `{}` is not {expected}", member.name);
    LoadError::new(diagnostic::MAP_MALFORMED, text)
}

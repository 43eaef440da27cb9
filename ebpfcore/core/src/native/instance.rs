//! A module made ready to run: maps, helper addresses, runtime contexts.
//!
//! The structures that the module's code reads live in vectors that are never changed after the
//! instance is made, so their addresses are stable. Invariant: the layout of the map data follows
//! the module's version.

use super::{Error, Item, MapInfo, Module, Problem, ProgramInfo, sha256::Sha256};
use crate::{
    Code, Core, Definition, Flags, Map, Program, Shared, Status,
    helper::{Extensions, program_type, resolve},
    object::set_initial,
    raw::helpers::address_of,
};
use abi::{
    Guid, Platform, ProgramType,
    native::{
        BtfResolvedFunctionData, GlobalVariableSectionData, HelperFunctionData, MapData, MapDataV1,
        ProgramRuntimeContext, VERSION_ARRAY_DATA,
        nmr::{NPI_BTF_FUNCTION, NPI_PROGRAM_INFORMATION},
    },
};
use alloc::vec::Vec;

/// Whoever may run the code of a module holds one of these; when the last one is gone, the code
/// never runs again.
pub struct Usage(());

impl Usage {
    /// Usage that is not shared yet.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`].
    pub fn new() -> Result<Shared<Usage>, Status> {
        Shared::try_new(Usage(()))
    }
}

/// Everything the code of one loaded module works with.
pub struct Instance {
    usage: Shared<Usage>,
    /// Providers of the functions that programs call by name.
    providers: Vec<Shared<Usage>>,
    maps: Vec<Shared<Map>>,
    map_data: MapDataArray,
    globals: Vec<GlobalVariableSectionData>,
    programs: Vec<ProgramData>,
    /// One per program, in the order of `programs`.
    contexts: Vec<ProgramRuntimeContext>,
}

/// Map data in the layout of the module's version.
enum MapDataArray {
    /// Before 1.4.0: 32 bytes each.
    V1(Vec<MapDataV1>),
    /// From 1.4.0 on: 40 bytes each, with the address of array elements.
    V2(Vec<MapData>),
}

/// Arrays of one program.
struct ProgramData {
    helpers: Vec<HelperFunctionData>,
    btf_functions: Vec<BtfResolvedFunctionData>,
}

/// Maps and programs of a loaded module.
pub struct Loaded {
    /// Maps, in the order of the module.
    pub maps: Vec<Shared<Map>>,
    /// Programs, in the order of the module.
    pub programs: Vec<Shared<Program>>,
}

/// Finds the map that is pinned under the name of a module's map.
pub type PinnedMap<'a> = dyn Fn(&MapInfo) -> Result<Option<Shared<Map>>, Status> + 'a;

/// What a module is made with.
pub struct Means<'a> {
    /// Functions beyond the runtime's own.
    pub extensions: &'a dyn Extensions,
    /// Says when the code is not used any more.
    pub usage: Shared<Usage>,
    /// The map that takes the place of one that is pinned by name.
    pub pinned: &'a PinnedMap<'a>,
}

/// Makes maps and programs of a module of which nothing is pinned; see [`instantiate_with`].
///
/// # Errors
///
/// The first item that cannot be made.
pub fn instantiate(
    core: &Shared<Core>,
    module: &Module,
    extensions: &dyn Extensions,
) -> Result<Loaded, Error> {
    let means = Means {
        extensions,
        usage: Usage::new().map_err(table_error)?,
        pinned: &|_| Ok(None),
    };
    instantiate_with(core, module, &means)
}

/// Makes maps and programs of a module: maps, globals, helper addresses, runtime contexts, initial
/// values.
///
/// The programs run the code of the image: it must stay mapped until all of them are dropped.
///
/// # Errors
///
/// The first item that cannot be made.
pub fn instantiate_with(
    core: &Shared<Core>,
    module: &Module,
    means: &Means<'_>,
) -> Result<Loaded, Error> {
    // First of all, so that no provider of functions goes meanwhile.
    let types = types(module, means.extensions)?;
    let maps = make_maps(core, module, means)?;
    fill_globals(module, &maps)?;
    let instance = Instance::new((module, &types), &maps, means)?;
    let instance = Shared::try_new(instance).map_err(table_error)?;
    let mut programs = list(module.programs.len())?;
    let parts = module.programs.iter().zip(types).zip(&instance.contexts);
    for ((info, program_type), context) in parts {
        let code = Code::Native {
            entry: info.entry,
            runtime_context: core::ptr::from_ref(context).expose_provenance() as u64,
            instance: Shared::clone(&instance),
        };
        let program = Program::with_id((core, core.take_id()), &info.name, program_type, code);
        programs.push(program.map_err(table_error)?);
    }
    fill_initial(module, &maps, &programs)?;
    Ok(Loaded { maps, programs })
}

impl Instance {
    /// The maps of the module.
    #[must_use]
    pub fn maps(&self) -> &[Shared<Map>] {
        &self.maps
    }

    /// Whose code it works with: the module's, and that of the providers of functions.
    pub fn usages(&self) -> impl Iterator<Item = &Shared<Usage>> {
        core::iter::once(&self.usage).chain(&self.providers)
    }

    fn new(
        (module, types): (&Module, &[Held]),
        maps: &[Shared<Map>],
        means: &Means<'_>,
    ) -> Result<Instance, Error> {
        let extensions = means.extensions;
        let mut own_maps = list(maps.len())?;
        own_maps.extend(maps.iter().map(Shared::clone));
        let mut instance = Instance {
            usage: Shared::clone(&means.usage),
            providers: providers(module, extensions)?,
            maps: own_maps,
            map_data: map_data(module, maps)?,
            globals: globals(module, maps)?,
            programs: list(module.programs.len())?,
            contexts: list(module.programs.len())?,
        };
        for (index, (info, held)) in module.programs.iter().zip(types).enumerate() {
            check_info_hash(info, held.0)?;
            instance.programs.push(ProgramData {
                helpers: helpers(index, (info, held.0), extensions)?,
                btf_functions: btf_functions(index, info, extensions)?,
            });
        }
        for program in &instance.programs {
            instance.contexts.push(ProgramRuntimeContext {
                header: ProgramRuntimeContext::HEADER,
                helper_data: start(&program.helpers),
                map_data: match &instance.map_data {
                    MapDataArray::V1(data) => start(data),
                    MapDataArray::V2(data) => start(data),
                },
                global_variable_section_data: start(&instance.globals),
                btf_resolved_function_data: start(&program.btf_functions),
            });
        }
        Ok(instance)
    }
}

/// The type of a program, and what the program holds of the extension that describes it.
type Held = (&'static ProgramType, Option<Shared<Usage>>);

/// The types of the programs as they are described now, which may be by an extension that came
/// after the module.
fn types(module: &Module, extensions: &dyn Extensions) -> Result<Vec<Held>, Error> {
    let mut types = list(module.programs.len())?;
    for info in &module.programs {
        let guid = info.program_type.guid;
        // Types that were found by name have no GUID that anybody could describe.
        let has_guid = guid != Guid::from_u128(0);
        if info.program_type.platform != Platform::Windows || !has_guid {
            types.push((info.program_type, None));
            continue;
        }
        let usage = extensions.usage(NPI_PROGRAM_INFORMATION, guid);
        let Some(now) = program_type(guid, extensions) else {
            let item = Item::ProgramNamed(info.name.clone());
            return Err(Error::new(item, Problem::ProgramType(guid)));
        };
        types.push((now, usage));
    }
    Ok(types)
}

/// What the programs of a module hold of the providers of functions that they call by name.
fn providers(module: &Module, extensions: &dyn Extensions) -> Result<Vec<Shared<Usage>>, Error> {
    let mut held: Vec<Shared<Usage>> = Vec::new();
    let programs = module.programs.iter();
    for (_, provider) in programs.flat_map(|info| &info.btf_functions) {
        let usage = extensions.usage(NPI_BTF_FUNCTION, *provider);
        let is_new = |usage: &Shared<Usage>| {
            let mut known = held.iter();
            !known.any(|other| other.address() == usage.address())
        };
        if let Some(usage) = usage.filter(is_new) {
            let room = held.try_reserve(1);
            room.map_err(|_| table_error(Status::NoMemory))?;
            held.push(usage);
        }
    }
    Ok(held)
}

/// Compares the hash that the compiler stored with that of this runtime's tables. A module may
/// leave it out; with platform functions it covers prototypes that are not known here.
fn check_info_hash(info: &ProgramInfo, program_type: &ProgramType) -> Result<(), Error> {
    if info.info_hash.is_empty() || !info.btf_functions.is_empty() {
        return Ok(());
    }
    let error = |problem| Error::new(Item::ProgramNamed(info.name.clone()), problem);
    if info.info_hash_type != abi::native::HASH_SHA256 {
        return Err(error(Problem::Unknown {
            field: "hash algorithm",
            name: info.info_hash_type.clone(),
        }));
    }
    let mut ids = list(info.helpers.len())?;
    ids.extend(info.helpers.iter().copied().filter(|id| *id != 0));
    ids.sort_unstable();
    ids.dedup();
    let mut hash = Sha256::new();
    let done = abi::info_hash::stream(program_type, &ids, &mut |part| hash.update(part));
    if done.is_none() || hash.finish() != *info.info_hash {
        return Err(error(Problem::InfoHash));
    }
    Ok(())
}

fn make_maps(
    core: &Shared<Core>,
    module: &Module,
    means: &Means<'_>,
) -> Result<Vec<Shared<Map>>, Error> {
    let mut maps = list(module.maps.len())?;
    for info in &module.maps {
        let inner = info.inner.and_then(|inner| module.maps.get(inner));
        let inner = inner.map(|inner| &inner.definition);
        let map = make_map(core, info, (inner, means));
        let item = || Item::MapNamed(info.definition.name.clone());
        maps.push(map.map_err(|status| Error::new(item(), Problem::Status(status)))?);
    }
    for (info, map) in module.maps.iter().zip(&maps) {
        if let Some(inner) = info.inner.and_then(|inner| maps.get(inner)) {
            map.note_template(inner);
        }
    }
    Ok(maps)
}

/// A new map, or the pinned one when that is made alike.
fn make_map(
    core: &Shared<Core>,
    info: &MapInfo,
    (inner, means): (Option<&Definition>, &Means<'_>),
) -> Result<Shared<Map>, Status> {
    let known = match info.pin_by_name {
        true => (means.pinned)(info)?,
        false => None,
    };
    let Some(map) = known else {
        return Map::new(core, info.definition.clone(), inner.cloned());
    };
    let is_nested = map.template().is_some();
    let same_inner = !is_nested || is_alike(map.template(), inner);
    let same = is_alike(Some(map.definition()), Some(&info.definition)) && same_inner;
    same.then_some(map).ok_or(Status::InvalidArgument)
}

/// Whether two definitions agree in all but the name.
fn is_alike(one: Option<&Definition>, other: Option<&Definition>) -> bool {
    let shape = |map: &Definition| {
        let sizes = (map.key_size, map.value_size, map.max_entries);
        (map.kind, map.platform, sizes)
    };
    one.map(shape) == other.map(shape)
}

fn fill_globals(module: &Module, maps: &[Shared<Map>]) -> Result<(), Error> {
    for (index, global) in module.globals.iter().enumerate() {
        let map = maps.get(global.map).ok_or(Status::InvalidArgument);
        map.and_then(|map| map.update(&0u32.to_ne_bytes(), &global.data, Flags::Any))
            .map_err(|status| Error::new(Item::Global(index), Problem::Status(status)))?;
    }
    Ok(())
}

fn fill_initial(
    module: &Module,
    maps: &[Shared<Map>],
    programs: &[Shared<Program>],
) -> Result<(), Error> {
    for (at, initial) in module.initial.iter().enumerate() {
        let Some(map) = maps.get(initial.map) else {
            continue;
        };
        for (index, name) in (0..).zip(&initial.values) {
            let Some(name) = name else { continue };
            set_initial(map, index, name, (maps, programs))
                .map_err(|status| Error::new(Item::InitialValues(at), Problem::Status(status)))?;
        }
    }
    Ok(())
}

fn map_data(module: &Module, maps: &[Shared<Map>]) -> Result<MapDataArray, Error> {
    if module.version < VERSION_ARRAY_DATA {
        let mut data = list(maps.len())?;
        data.extend(maps.iter().map(|map| MapDataV1 {
            header: MapDataV1::HEADER,
            address: map.address(),
        }));
        return Ok(MapDataArray::V1(data));
    }
    let mut data = list(maps.len())?;
    data.extend(maps.iter().map(|map| MapData {
        header: MapData::HEADER,
        address: map.address(),
        array_data: map.array_data().unwrap_or(0),
    }));
    Ok(MapDataArray::V2(data))
}

fn globals(module: &Module, maps: &[Shared<Map>]) -> Result<Vec<GlobalVariableSectionData>, Error> {
    let mut data = list(module.globals.len())?;
    for global in &module.globals {
        let value = maps.get(global.map).and_then(|map| map.array_data());
        data.push(GlobalVariableSectionData {
            header: GlobalVariableSectionData::HEADER,
            address_of_map_value: value.unwrap_or(0),
        });
    }
    Ok(data)
}

fn helpers(
    index: usize,
    (info, program_type): (&ProgramInfo, &'static ProgramType),
    extensions: &dyn Extensions,
) -> Result<Vec<HelperFunctionData>, Error> {
    let mut data = list(info.helpers.len())?;
    for (slot, id) in info.helpers.iter().copied().enumerate() {
        let mut entry = HelperFunctionData {
            header: HelperFunctionData::HEADER,
            ..Default::default()
        };
        // Number 0 marks a slot that this program does not use, unless it is a number here.
        match resolve(program_type, id, extensions) {
            Some(callee) => {
                entry.address = address_of(callee.function);
                entry.tail_call = u8::from(callee.tail_call);
            }
            None if id == 0 => {}
            None => {
                let program = index;
                let problem = Problem::NoHelper {
                    id,
                    program: info.name.clone(),
                };
                return Err(Error::new(Item::Helper { program, slot }, problem));
            }
        }
        data.push(entry);
    }
    Ok(data)
}

fn btf_functions(
    index: usize,
    info: &ProgramInfo,
    extensions: &dyn Extensions,
) -> Result<Vec<BtfResolvedFunctionData>, Error> {
    let mut data = list(info.btf_functions.len())?;
    for (slot, (name, module)) in info.btf_functions.iter().enumerate() {
        let function = extensions.btf_function(name, *module);
        if function.is_none() && !name.is_empty() {
            let program = index;
            let problem = Problem::NoBtfFunction(name.clone());
            return Err(Error::new(Item::BtfFunction { program, slot }, problem));
        }
        data.push(BtfResolvedFunctionData {
            header: BtfResolvedFunctionData::HEADER,
            address: function.map_or(0, address_of),
        });
    }
    Ok(data)
}

/// Address of an array, 0 when it is empty.
fn start<T>(items: &[T]) -> u64 {
    if items.is_empty() {
        return 0;
    }
    items.as_ptr().expose_provenance() as u64
}

fn table_error(status: Status) -> Error {
    Error::new(Item::Table, Problem::Status(status))
}

fn list<T>(count: usize) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(count)
        .map_err(|_| table_error(Status::NoMemory))?;
    Ok(list)
}

//! The tables of a provider, read and checked item by item.
//!
//! As strict as the reading of native modules: sizes are those that are documented, counts agree
//! and are bounded, strings end in bounds and are text, addresses lie in the image, functions in
//! its executable code. Numbers of kinds that the verifier does not know are refused.

use crate::native::{Array, Error, Item, ModuleMemory, Problem, Reader};
use abi::{
    ArgKind, Guid, Helper, ReturnKind,
    helper::FIRST_TYPE_SPECIFIC,
    native::extension::{
        AttachProviderData, BtfFunctionPrototype, BtfFunctionProviderData, ContextDescriptor,
        HelperAddresses, HelperPrototype, ProgramData as Data, ProgramInfo, ProgramTypeDescriptor,
    },
    program_type::LinkType,
};
use alloc::{string::String, vec::Vec};
use core::mem::offset_of;

/// Most functions of one table.
const FUNCTIONS: u64 = 1024;
/// Largest context, as in the tables of program types.
const CONTEXT_BYTES: i32 = 4096;
/// Bytes of a pointer in a context.
const POINTER: i32 = 8;
/// `DISPATCH_LEVEL`.
const DISPATCH: u8 = 2;

/// What a provider of program information says.
#[derive(Debug)]
pub(crate) struct ProgramData {
    pub(crate) name: String,
    pub(crate) guid: Guid,
    pub(crate) number: u32,
    pub(crate) privileged: bool,
    pub(crate) descriptor: ContextDescriptor,
    /// Helpers with numbers of the type, then general ones that it overrides.
    pub(crate) helpers: Vec<Function>,
}

/// A function of an extension.
#[derive(Debug)]
pub(crate) struct Function {
    /// Number, 0 for functions that are called by name.
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) ret: ReturnKind,
    pub(crate) args: [ArgKind; 5],
    pub(crate) flags: u32,
    pub(crate) implicit_context: bool,
    /// Address, 0 when the extension has none.
    pub(crate) address: u64,
}

/// What a provider of functions says.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) list: Vec<Function>,
}

/// What a provider of a hook says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HookData {
    pub(crate) program_type: Guid,
    pub(crate) number: u32,
    pub(crate) link: LinkType,
}

const PROGRAM: &str = "program information";
const HOOK: &str = "hook";
const NAMED: &str = "functions by name";

fn top<'a>(memory: &'a dyn ModuleMemory, address: u64, what: &'static str) -> Reader<'a> {
    Reader {
        memory,
        base: address,
        item: Item::Provider(what),
    }
}

/// The reader of a structure behind a required address.
fn behind<'a>(
    reader: &Reader<'a>,
    offset: usize,
    field: &'static str,
) -> Result<Reader<'a>, Error> {
    match reader.word(offset, field)? {
        0 => reader.fail(Problem::Null(field)),
        address => Ok(reader.at(address)),
    }
}

/// Reads the data of a provider of program information.
pub(crate) fn program_data(
    memory: &dyn ModuleMemory,
    address: u64,
    module_id: Guid,
) -> Result<ProgramData, Error> {
    let data = top(memory, address, PROGRAM);
    data.header(offset_of!(Data, header), &[65, Data::HEADER.size])?;
    let level = data.byte(offset_of!(Data, required_irql), "required_irql")?;
    if level > DISPATCH {
        return data.value("required_irql", u64::from(level), "at most DISPATCH_LEVEL");
    }
    let info = behind(&data, offset_of!(Data, program_info), "program_info")?;
    info.header(offset_of!(ProgramInfo, header), &[ProgramInfo::HEADER.size])?;
    let mut program = descriptor(&info, module_id)?;
    let own = Table {
        count: (offset_of!(ProgramInfo, helper_count), "helper_count"),
        prototypes: (offset_of!(ProgramInfo, helpers), "helpers"),
        addresses: (offset_of!(Data, helper_addresses), "helper_addresses"),
        general: false,
    };
    let general = Table {
        count: (
            offset_of!(ProgramInfo, global_helper_count),
            "global_helper_count",
        ),
        prototypes: (offset_of!(ProgramInfo, global_helpers), "global_helpers"),
        addresses: (
            offset_of!(Data, global_helper_addresses),
            "global_helper_addresses",
        ),
        general: true,
    };
    for table in [own, general] {
        table.read(&data, &info, &mut program.helpers)?;
    }
    program.helpers.sort_unstable_by_key(|helper| helper.id);
    let mut pairs = program.helpers.windows(2);
    if let Some([one, _]) = pairs.find(|pair| matches!(pair, [a, b] if a.id == b.id)) {
        return data.value("helper_id", u64::from(one.id), "each number once");
    }
    Ok(program)
}

/// Type and context; no helpers yet.
fn descriptor(info: &Reader<'_>, module_id: Guid) -> Result<ProgramData, Error> {
    let row = behind(
        info,
        offset_of!(ProgramInfo, type_descriptor),
        "type_descriptor",
    )?;
    let size = ProgramTypeDescriptor::HEADER.size;
    row.header(offset_of!(ProgramTypeDescriptor, header), &[size])?;
    let guid = row.guid_here(
        offset_of!(ProgramTypeDescriptor, program_type),
        "program_type",
    )?;
    if guid != module_id {
        return row.value(
            "program_type",
            u64::from(guid.data1),
            "the id of the provider",
        );
    }
    let field = "context_descriptor";
    let context = behind(
        &row,
        offset_of!(ProgramTypeDescriptor, context_descriptor),
        field,
    )?;
    let number = |offset, name| Ok(context.long(offset, name)?.cast_signed());
    let descriptor = ContextDescriptor {
        size: number(offset_of!(ContextDescriptor, size), "size")?,
        data: number(offset_of!(ContextDescriptor, data), "data")?,
        end: number(offset_of!(ContextDescriptor, end), "end")?,
        meta: number(offset_of!(ContextDescriptor, meta), "meta")?,
    };
    check_context(&context, &descriptor)?;
    let privileged = row.byte(
        offset_of!(ProgramTypeDescriptor, is_privileged),
        "is_privileged",
    )?;
    let number = offset_of!(ProgramTypeDescriptor, bpf_prog_type);
    Ok(ProgramData {
        name: row.name(offset_of!(ProgramTypeDescriptor, name), "name")?,
        guid,
        number: row.long(number, "bpf_prog_type")?,
        privileged: privileged != 0,
        descriptor,
        helpers: Vec::new(),
    })
}

/// Pointers lie in the context, aligned and apart; a start has an end.
fn check_context(reader: &Reader<'_>, context: &ContextDescriptor) -> Result<(), Error> {
    let ContextDescriptor {
        size,
        data,
        end,
        meta,
    } = *context;
    if !(1..=CONTEXT_BYTES).contains(&size) {
        return reader.value("size", u64::from(size.cast_unsigned()), "1 to 4096");
    }
    for (field, offset) in [("data", data), ("end", end), ("meta", meta)] {
        let fits = offset >= 0 && offset % POINTER == 0 && offset <= size - POINTER;
        if offset != -1 && !fits {
            let expected = "-1, or the place of a pointer in the context";
            return reader.value(field, u64::from(offset.cast_unsigned()), expected);
        }
    }
    let twice = data != -1 && (data == end || data == meta) || end != -1 && end == meta;
    let half = (data == -1) != (end == -1) || (meta != -1 && data == -1);
    if twice || half {
        return reader.value(
            "end",
            u64::from(end.cast_unsigned()),
            "start and end, apart",
        );
    }
    Ok(())
}

/// A field: where it is and what it is called.
type Place = (usize, &'static str);

/// Prototypes and their addresses.
struct Table {
    count: Place,
    prototypes: Place,
    addresses: Place,
    /// Numbers of general helpers.
    general: bool,
}

impl Table {
    fn read(
        &self,
        data: &Reader<'_>,
        info: &Reader<'_>,
        into: &mut Vec<Function>,
    ) -> Result<(), Error> {
        let array = Array {
            address: info.word(self.prototypes.0, self.prototypes.1)?,
            count: u64::from(info.long(self.count.0, self.count.1)?),
        };
        let array = counted(info, array, self.prototypes.1)?;
        if array.count == 0 {
            return Ok(());
        }
        let addresses = behind(data, self.addresses.0, self.addresses.1)?;
        let size = HelperAddresses::HEADER.size;
        addresses.header(offset_of!(HelperAddresses, header), &[size])?;
        let count = addresses.long(offset_of!(HelperAddresses, count), "count")?;
        if u64::from(count) != array.count {
            return addresses.value("count", u64::from(count), "the number of prototypes");
        }
        let first = behind(
            &addresses,
            offset_of!(HelperAddresses, addresses),
            "addresses",
        )?;
        let room = into.try_reserve(array.count as usize);
        room.map_err(|_| info.no_memory())?;
        each(info, array, |reader, index| {
            let address = optional_code(&first, index)?;
            into.push(self.prototype(reader, address)?);
            Ok(reader.header(0, HELPER_SIZES)?.total_size)
        })
    }

    fn prototype(&self, reader: &Reader<'_>, address: u64) -> Result<Function, Error> {
        let size = reader
            .header(offset_of!(HelperPrototype, header), HELPER_SIZES)?
            .size;
        let id = reader.long(offset_of!(HelperPrototype, helper_id), "helper_id")?;
        if self.general == (id >= FIRST_TYPE_SPECIFIC) {
            let expected = match self.general {
                true => "the number of a general helper",
                false => "65536 or above",
            };
            return reader.value("helper_id", u64::from(id), expected);
        }
        let byte = |offset: usize, field| match (offset as u64) < size {
            true => reader.byte(offset, field),
            false => Ok(0),
        };
        let function = Function {
            id,
            name: reader.name(offset_of!(HelperPrototype, name), "name")?,
            ret: return_kind(reader, offset_of!(HelperPrototype, return_type))?,
            args: arguments(reader, offset_of!(HelperPrototype, arguments))?,
            flags: u32::from(byte(offset_of!(HelperPrototype, flags), "flags")?),
            implicit_context: byte(offset_of!(HelperPrototype, implicit_context), "implicit")? != 0,
            address,
        };
        if self.general {
            check_override(reader, &function)?;
        }
        Ok(function)
    }
}

/// Accepted sizes of a prototype.
const HELPER_SIZES: &[u64] = &[64, 65, 66];

/// An override keeps the prototype of the general helper, which programs were proved with.
fn check_override(reader: &Reader<'_>, function: &Function) -> Result<(), Error> {
    let known = abi::helper::by_id(abi::Platform::Windows, function.id);
    let same = known.is_some_and(|known: &Helper| {
        let numbers = |args: [ArgKind; 5]| args.map(ArgKind::hash_number);
        known.name == function.name
            && known.ret == function.ret
            && numbers(known.args) == numbers(function.args)
    });
    match same {
        true => Ok(()),
        false => reader.fail(Problem::Unknown {
            field: "general helper of this prototype",
            name: reader.name(offset_of!(HelperPrototype, name), "name")?,
        }),
    }
}

/// Reads the data of a provider of functions that are called by name.
pub(crate) fn functions(
    memory: &dyn ModuleMemory,
    address: u64,
    module: Guid,
) -> Result<Functions, Error> {
    let data = top(memory, address, NAMED);
    let size = BtfFunctionProviderData::HEADER.size;
    data.header(offset_of!(BtfFunctionProviderData, header), &[size])?;
    let field = "prototypes";
    let array = Array {
        address: data.word(offset_of!(BtfFunctionProviderData, prototypes), field)?,
        count: u64::from(data.long(offset_of!(BtfFunctionProviderData, count), "count")?),
    };
    let array = counted(&data, array, field)?;
    if array.count == 0 || module == Guid::default() {
        return data.value("count", array.count, "at least one function, and an id");
    }
    let addresses = offset_of!(BtfFunctionProviderData, addresses);
    let first = behind(&data, addresses, "addresses")?;
    let mut list = data.list(array.count)?;
    each(&data, array, |reader, index| {
        let sizes = [BtfFunctionPrototype::HEADER.size, 64];
        let header = reader.header(offset_of!(BtfFunctionPrototype, header), &sizes)?;
        list.push(Function {
            id: 0,
            name: reader.name(offset_of!(BtfFunctionPrototype, name), "name")?,
            ret: return_kind(reader, offset_of!(BtfFunctionPrototype, return_type))?,
            args: arguments(reader, offset_of!(BtfFunctionPrototype, arguments))?,
            flags: reader.long(offset_of!(BtfFunctionPrototype, flags), "flags")?,
            implicit_context: false,
            address: first.code(index * 8, "address")?,
        });
        Ok(header.total_size)
    })?;
    Ok(Functions { list })
}

/// Reads the data of a provider of a hook.
pub(crate) fn hook_data(memory: &dyn ModuleMemory, address: u64) -> Result<HookData, Error> {
    let data = top(memory, address, HOOK);
    let size = AttachProviderData::HEADER.size;
    data.header(offset_of!(AttachProviderData, header), &[size])?;
    let field = "supported_program_type";
    let program_type = offset_of!(AttachProviderData, supported_program_type);
    let kind = data.long(offset_of!(AttachProviderData, link_type), "link_type")?;
    let Some(link) = LinkType::of(kind) else {
        return data.value("link_type", u64::from(kind), "0 to 3");
    };
    Ok(HookData {
        program_type: data.guid_here(program_type, field)?,
        number: data.long(
            offset_of!(AttachProviderData, bpf_attach_type),
            "bpf_attach_type",
        )?,
        link,
    })
}

fn counted(reader: &Reader<'_>, array: Array, field: &'static str) -> Result<Array, Error> {
    let array = reader.array(array, field)?;
    if array.count > FUNCTIONS {
        return reader.value(field, array.count, "at most 1024 functions");
    }
    Ok(array)
}

/// Reads elements one after the other; `read` gives the distance to the next one.
fn each(
    top: &Reader<'_>,
    array: Array,
    mut read: impl FnMut(&Reader<'_>, usize) -> Result<u64, Error>,
) -> Result<(), Error> {
    let mut address = array.address;
    for index in 0..array.count as usize {
        let reader = top.of(address, Item::Prototype(index));
        let stride = read(&reader, index)?;
        let field = "prototypes";
        address = match address.checked_add(stride) {
            Some(next) => next,
            None => return reader.fail(Problem::Outside { field, address }),
        };
    }
    Ok(())
}

/// An address of code, or 0.
fn optional_code(first: &Reader<'_>, index: usize) -> Result<u64, Error> {
    match first.word(index * 8, "address")? {
        0 => Ok(0),
        _ => first.code(index * 8, "address"),
    }
}

fn return_kind(reader: &Reader<'_>, offset: usize) -> Result<ReturnKind, Error> {
    let number = reader.long(offset, "return_type")?;
    match ReturnKind::of_hash_number(number) {
        Some(kind) => Ok(kind),
        None => reader.value("return_type", u64::from(number), "0, 1 or 2"),
    }
}

/// Kinds of arguments; those that belong together follow each other.
fn arguments(reader: &Reader<'_>, offset: usize) -> Result<[ArgKind; 5], Error> {
    let mut args = [ArgKind::None; 5];
    let mut before = None;
    let mut has_map = false;
    for (index, slot) in args.iter_mut().enumerate() {
        let number = reader.long(offset + index * 4, "arguments")?;
        let kind = ArgKind::of_hash_number(number);
        let Some(kind) = kind else {
            return reader.value("arguments", u64::from(number), "a kind that is known");
        };
        let follows = before.is_none_or(|last| last != ArgKind::None || kind == ArgKind::None);
        let sized = before.is_some_and(ArgKind::is_sized_memory) == kind.is_size();
        let of_map = has_map || !matches!(kind, ArgKind::MapKey | ArgKind::MapValue);
        if !(follows && sized && of_map) {
            let expected = "memory and then its size, a map and then its key";
            return reader.value("arguments", u64::from(number), expected);
        }
        has_map |= matches!(kind, ArgKind::Map | ArgKind::MapOfPrograms);
        before = Some(kind);
        *slot = kind;
    }
    if before.is_some_and(ArgKind::is_sized_memory) {
        return reader.value("arguments", 5, "memory and then its size");
    }
    Ok(args)
}

//! The driver around the programs: textual Cranelift IR from `templates/driver/`, and its data.
//!
//! The text is parsed and compiled like program code, with the same unwind data. A symbol
//! `%__imp_NAME` in it means the import slot of `NAME`; the table here says which kernel module
//! exports it. Every other symbol is a function of the text or data of the module.

use crate::builder::{Builder, Record};
use crate::error::Error;
use crate::machine::{Compiled, Machine, Reference};
use crate::module::{SectionId, Target};
use abi::Guid;
use abi::native::MetadataTable;
use abi::native::nmr::{
    Characteristics, MODULE_ID_VALUE, ModuleId, NETIO, NPI_NATIVE_MODULE, PARAMETERS_SUBKEY,
    RegistrationInstance,
};
use core::mem::{offset_of, size_of};
use cranelift_codegen::ir::{Function, UserFuncName};
use std::sync::OnceLock;

/// Name of the entry point.
pub(crate) const ENTRY: &str = "DriverEntry";
/// Text of the functions that are discarded after the start.
const INIT: &[(&str, &str)] = &[
    (
        "entry.clif",
        include_str!("../../templates/driver/entry.clif"),
    ),
    (
        "registry.clif",
        include_str!("../../templates/driver/registry.clif"),
    ),
];
/// Text of the functions that stay.
const RESIDENT: &[(&str, &str)] = &[
    ("nmr.clif", include_str!("../../templates/driver/nmr.clif")),
    (
        "metadata.clif",
        include_str!("../../templates/driver/metadata.clif"),
    ),
];
/// What marks a symbol as import slot.
const IMPORT_PREFIX: &str = "__imp_";
/// The kernel itself.
const KERNEL: &str = "ntoskrnl.exe";
/// Functions of other modules that the text may call.
#[rustfmt::skip] // one row, one line
const IMPORTS: &[(&str, &str)] = &[
    (NETIO, "NmrClientAttachProvider"),
    (NETIO, "NmrDeregisterClient"),
    (NETIO, "NmrRegisterClient"),
    (NETIO, "NmrWaitForClientDeregisterComplete"),
    (KERNEL, "ZwClose"),
    (KERNEL, "ZwOpenKey"),
    (KERNEL, "ZwQueryValueKey"),
];

/// Parses one text of the skeleton.
pub(crate) fn parse(name: &str, text: &str) -> Result<Vec<Function>, Error> {
    cranelift_reader::parse_functions(text)
        .map_err(|error| Error::Internal(format!("templates/driver/{name}: {error}")))
}

/// The skeleton's functions, compiled. They are the same for every driver and need nothing of its
/// programs, so one value serves many modules, and may be made ready on another thread.
#[derive(Debug, Default)]
pub struct Skeleton {
    compiled: OnceLock<Result<Parts, Error>>,
}

/// Compiled functions by when they are discarded.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Stay for the life of the driver.
    pub(crate) resident: Vec<Part>,
    /// Discarded after the start.
    pub(crate) init: Vec<Part>,
}

/// One function.
#[derive(Debug)]
pub(crate) struct Part {
    name: String,
    code: Compiled,
}

impl Skeleton {
    /// A skeleton that is compiled when it is first needed.
    #[must_use]
    pub const fn new() -> Skeleton {
        Skeleton {
            compiled: OnceLock::new(),
        }
    }

    /// Compiles it now, if nobody did; whoever needs it meanwhile waits. A failure is reported to
    /// those who use it.
    pub fn prepare(&self) {
        let _ = self.parts();
    }

    pub(crate) fn parts(&self) -> Result<&Parts, Error> {
        let compiled = self.compiled.get_or_init(|| {
            let mut machine = Machine::new()?;
            Ok(Parts {
                resident: compile(&mut machine, RESIDENT)?,
                init: compile(&mut machine, INIT)?,
            })
        });
        compiled.as_ref().map_err(Clone::clone)
    }
}

fn compile(machine: &mut Machine, texts: &[(&str, &str)]) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    for (file, text) in texts {
        for function in parse(file, text)? {
            let name = name_of(&function)?.to_owned();
            let code = machine
                .compile(function)?
                .ok_or_else(|| Error::Internal(format!("{file} is too large")))?;
            parts.push(Part { name, code });
        }
    }
    Ok(parts)
}

/// Puts functions of the skeleton into a section.
pub(crate) fn place_code(
    builder: &mut Builder,
    section: SectionId,
    parts: &[Part],
) -> Result<(), Error> {
    for part in parts {
        let symbol = builder.symbol(&part.name);
        part.code.place(builder, (section, symbol), &mut resolve)?;
    }
    Ok(())
}

fn name_of(function: &Function) -> Result<&str, Error> {
    let UserFuncName::Testcase(name) = &function.name else {
        return Err(Error::Internal(
            "a skeleton function without a name".to_owned(),
        ));
    };
    core::str::from_utf8(name.raw())
        .map_err(|_| Error::Internal("a skeleton function with a strange name".to_owned()))
}

fn resolve(builder: &mut Builder, reference: Reference<'_>) -> Result<Target, Error> {
    let Reference::Name(name) = reference else {
        return Err(Error::Internal(format!(
            "the skeleton refers to {reference:?}"
        )));
    };
    let Some(import) = name.strip_prefix(IMPORT_PREFIX) else {
        return Ok(Target::Symbol(builder.symbol(name)));
    };
    let row = IMPORTS.iter().find(|(_, function)| *function == import);
    let Some((module, function)) = row else {
        return Err(Error::Internal(format!("no module exports {import}")));
    };
    Ok(builder.import(module, function))
}

/// Places the data that the text refers to.
pub(crate) fn data(
    builder: &mut Builder,
    rdata: SectionId,
    data: SectionId,
    module_id: Guid,
) -> Result<(), Error> {
    unicode_string(builder, rdata, "parameters_name", PARAMETERS_SUBKEY)?;
    unicode_string(builder, rdata, "module_id_name", MODULE_ID_VALUE)?;
    place(builder, rdata, "npi_id", guid_bytes(NPI_NATIVE_MODULE))?;
    place(builder, data, "client_handle", Record::zeroed(8))?;
    place(builder, data, "provider_binding", Record::zeroed(8))?;
    let id = ModuleId::new(module_id);
    let id = Record::zeroed(size_of::<ModuleId>())
        .u16(offset_of!(ModuleId, length), id.length)
        .u32(offset_of!(ModuleId, kind), id.kind)
        .put(offset_of!(ModuleId, guid), &id.guid.to_bytes());
    place(builder, data, "module_id", id)?;
    let characteristics = characteristics(builder);
    place(builder, data, "client_characteristics", characteristics)?;
    let table = metadata_table(builder);
    place(builder, data, "metadata_table", table)
}

/// `NPI_CLIENT_CHARACTERISTICS`: our callbacks and who we are.
fn characteristics(builder: &mut Builder) -> Record {
    let instance = offset_of!(Characteristics, instance);
    let u16_size = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
    Record::zeroed(size_of::<Characteristics>())
        .u16(
            offset_of!(Characteristics, length),
            u16_size(size_of::<Characteristics>()),
        )
        .address(
            offset_of!(Characteristics, attach),
            Some(builder.symbol("ClientAttachProvider")),
        )
        .address(
            offset_of!(Characteristics, detach),
            Some(builder.symbol("ClientDetachProvider")),
        )
        .u16(
            instance + offset_of!(RegistrationInstance, size),
            u16_size(size_of::<RegistrationInstance>()),
        )
        .address(
            instance + offset_of!(RegistrationInstance, npi_id),
            Some(builder.symbol("npi_id")),
        )
        .address(
            instance + offset_of!(RegistrationInstance, module_id),
            Some(builder.symbol("module_id")),
        )
}

/// `metadata_table_t`: the getters.
fn metadata_table(builder: &mut Builder) -> Record {
    let size = size_of::<MetadataTable>();
    let record = Record::zeroed(size).u64(
        offset_of!(MetadataTable, size),
        u64::try_from(size).unwrap_or(0),
    );
    [
        (offset_of!(MetadataTable, programs), "programs"),
        (offset_of!(MetadataTable, maps), "maps"),
        (offset_of!(MetadataTable, hash), "hash"),
        (offset_of!(MetadataTable, version), "version"),
        (
            offset_of!(MetadataTable, map_initial_values),
            "map_initial_values",
        ),
        (
            offset_of!(MetadataTable, global_variable_sections),
            "global_variable_sections",
        ),
    ]
    .into_iter()
    .fold(record, |record, (offset, getter)| {
        record.address(offset, Some(builder.symbol(getter)))
    })
}

/// `UNICODE_STRING` and its UTF-16 text.
fn unicode_string(
    builder: &mut Builder,
    section: SectionId,
    name: &str,
    text: &str,
) -> Result<(), Error> {
    let mut bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    bytes.extend([0, 0]);
    let text_name = format!("{name}.text");
    place(builder, section, &text_name, Record::bytes(bytes, 2))?;
    let record = Record::zeroed(16)
        .u16(0, length)
        .u16(2, length.saturating_add(2))
        .address(8, Some(builder.symbol(&text_name)));
    place(builder, section, name, record)
}

fn guid_bytes(guid: Guid) -> Record {
    Record::bytes(guid.to_bytes().to_vec(), 8)
}

fn place(
    builder: &mut Builder,
    section: SectionId,
    name: &str,
    record: Record,
) -> Result<(), Error> {
    let symbol = builder.symbol(name);
    builder.place(section, symbol, record)
}

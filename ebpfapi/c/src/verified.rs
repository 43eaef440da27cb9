//! What the last verification in this thread found out.
//!
//! Invariant: what is handed out stays until the thread verifies again, and what belongs to a program
//! type for good. Left out: prototypes of functions of other modules, which only the extensions that
//! provide them know: the verifier lets programs pass them numbers and the context.

use crate::error::{Fault, code};
use crate::exports;
use abi::native::extension::{
    BtfFunctionPrototype, ContextDescriptor, HelperPrototype, ProgramInfo, ProgramTypeDescriptor,
};
use abi::program_type::{self, ProgramType};
use abi::{Guid, Helper, Platform, ReturnKind, helper};
use client::{Facts, Object, inspect};
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::ptr::null;
use std::sync::LazyLock;

/// `ebpf_verifier_map_info_t`.
#[repr(C)]
pub(crate) struct MapCall {
    instruction_offset: u32,
    helper_id: i32,
    map_name: *const c_char,
    map_type: u32,
    value_size: u32,
    max_entries: u32,
    is_inner_map_template: bool,
}

/// `ebpf_btf_resolved_function_info_t`.
#[repr(C)]
pub(crate) struct FunctionInfo {
    module: Guid,
    prototype: BtfFunctionPrototype,
}

#[derive(Default)]
struct Last {
    program_type: Option<&'static ProgramType>,
    map_calls: Vec<MapCall>,
    functions: Vec<FunctionInfo>,
    _names: Vec<CString>,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

/// A program type as C sees it, and the memory that its addresses lead to.
struct Described {
    guid: Guid,
    info: ProgramInfo,
    _descriptor: Box<ProgramTypeDescriptor>,
    _context: Box<ContextDescriptor>,
    _helpers: Vec<HelperPrototype>,
    _names: Vec<CString>,
}

static TYPES: LazyLock<Vec<Described>> = LazyLock::new(|| {
    program_type::WINDOWS
        .iter()
        .map(|row| Described::new(row))
        .collect()
});

fn address<T: ?Sized>(of: &T) -> u64 {
    std::ptr::from_ref(of).cast::<u8>().expose_provenance() as u64
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

impl Described {
    fn new(row: &'static ProgramType) -> Described {
        let mut names = vec![text(row.name)];
        let context = Box::new(ContextDescriptor {
            size: row.context.size.into(),
            data: row.context.data,
            end: row.context.end,
            meta: row.context.meta,
        });
        let descriptor = Box::new(ProgramTypeDescriptor {
            header: ProgramTypeDescriptor::HEADER,
            name: address(names[0].as_c_str()),
            context_descriptor: address(&*context),
            program_type: row.guid,
            bpf_prog_type: row.number,
            is_privileged: row.privileged.into(),
            reserved: [0; 3],
        });
        let rows = helpers(row).filter_map(|row| prototype(row, &mut names));
        let helpers: Vec<HelperPrototype> = rows.collect();
        Described {
            guid: row.guid,
            info: ProgramInfo {
                header: ProgramInfo::HEADER,
                type_descriptor: address(&*descriptor),
                helper_count: u32::try_from(helpers.len()).unwrap_or(0),
                helpers: address(helpers.as_slice()),
                ..ProgramInfo::default()
            },
            _descriptor: descriptor,
            _context: context,
            _helpers: helpers,
            _names: names,
        }
    }
}

/// All helpers of a program type, each number once: the general ones first, which are also those that
/// the hash of a program is made of.
fn helpers(row: &'static ProgramType) -> impl Iterator<Item = &'static Helper> {
    let general = helper::general(Platform::Windows);
    let is_new = |helper: &&Helper| general.iter().all(|known| known.id != helper.id);
    general.iter().chain(row.helpers.iter().filter(is_new))
}

/// A helper as C sees it; its name is added to the others.
fn prototype(row: &Helper, names: &mut Vec<CString>) -> Option<HelperPrototype> {
    let mut arguments = [0; 5];
    for (to, kind) in arguments.iter_mut().zip(row.args) {
        *to = kind.hash_number()?;
    }
    let name = text(row.name);
    let prototype = HelperPrototype {
        header: HelperPrototype::HEADER,
        helper_id: row.id,
        name: address(name.as_c_str()),
        return_type: row.ret.hash_number()?,
        arguments,
        flags: row.reallocates_packet.into(),
        implicit_context: row.implicit_context.into(),
        ..HelperPrototype::default()
    };
    names.push(name);
    Some(prototype)
}

/// Forgets the last verification; the next one is of a program of this type.
pub(crate) fn begin(program_type: Option<&'static ProgramType>) {
    LAST.replace(Last {
        program_type,
        ..Last::default()
    });
}

/// Keeps what was found out about a program.
pub(crate) fn keep(object: &Object, program: &str, facts: &Facts) {
    let Some(source) = object.bytecode() else {
        return;
    };
    let Some((_, program)) = source.program(program) else {
        return;
    };
    let mut names = Vec::new();
    let lookups = inspect::map_lookups(source, program, facts);
    let map_calls = lookups.into_iter().map(|lookup| {
        let name = text(&lookup.map.name);
        let call = MapCall {
            instruction_offset: lookup.at.0,
            helper_id: lookup.helper as i32,
            map_name: name.as_ptr(),
            map_type: lookup.map.type_number,
            value_size: lookup.map.value_size,
            max_entries: lookup.map.max_entries,
            is_inner_map_template: lookup.is_template,
        };
        names.push(name);
        call
    });
    let map_calls = map_calls.collect();
    let functions = source.btf_functions.iter().map(|function| {
        let name = text(&function.name);
        let info = FunctionInfo {
            module: function.module,
            prototype: BtfFunctionPrototype {
                header: BtfFunctionPrototype::HEADER,
                name: address(name.as_c_str()),
                return_type: ReturnKind::Integer.hash_number().unwrap_or(0),
                ..BtfFunctionPrototype::default()
            },
        };
        names.push(name);
        info
    });
    let functions = functions.collect();
    LAST.with_borrow_mut(|last| {
        last.map_calls = map_calls;
        last.functions = functions;
        last._names = names;
    });
}

exports! {
    /// The type of the program that this thread verified last, with its helpers.
    fn ebpf_get_program_info_from_verifier(info: Option<&mut Option<&'static ProgramInfo>>) -> c_int {
        let of_last = || {
            let program_type = LAST.with_borrow(|last| last.program_type)?;
            let found = TYPES.iter().find(|known| known.guid == program_type.guid);
            found.map(|found| &found.info)
        };
        code(info.ok_or(Fault::INVALID).and_then(|info| {
            *info = Some(of_last().ok_or(Fault::MISSING)?);
            Ok(())
        }))
    }

    /// Where the program that this thread verified last looks something up in a map that is always the
    /// same. The array stays until the thread verifies again.
    fn ebpf_get_map_annotations_from_verifier(annotations: Option<&mut *const MapCall>, count: Option<&mut usize>) -> c_int {
        let (Some(annotations), Some(count)) = (annotations, count) else {
            return code(Err(Fault::INVALID));
        };
        LAST.with_borrow(|last| {
            *count = last.map_calls.len();
            *annotations = match last.map_calls.is_empty() {
                true => null(),
                false => last.map_calls.as_ptr(),
            };
        });
        0
    }

    /// A function of another module that the program that this thread verified last may call; they are
    /// numbered from 1 in the order of the file.
    fn ebpf_get_btf_resolved_function_info_from_verifier(number: i32, info: Option<&mut *const FunctionInfo>) -> c_int {
        code(info.ok_or(Fault::INVALID).and_then(|info| {
            let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            LAST.with_borrow(|last| {
                let found = at.and_then(|at| last.functions.get(at));
                *info = std::ptr::from_ref(found.ok_or(Fault::MISSING)?);
                Ok(())
            })
        }))
    }
}

//! Functions that libbpf had before it took options: the same with attributes in a structure.

use crate::bpf::{self, Log, New};
use crate::error::{Fault, done, number};
use crate::exports;
use crate::map;
use crate::object::{BpfObject, bpf_object__load, bpf_object__open};
use crate::program::{bpf_program__fd, bpf_program__set_type};
use crate::raw::{Input, Output, Text, give_box};
use std::ffi::c_int;

/// `struct bpf_create_map_attr`.
#[repr(C)]
pub(crate) struct CreateMapAttr {
    name: Text,
    map_type: c_int,
    map_flags: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    numa_node: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    map_ifindex: u32,
    inner_map_fd: u32,
}

/// `struct bpf_load_program_attr`, as far as it has a meaning here.
#[repr(C)]
pub(crate) struct LoadProgramAttr {
    prog_type: c_int,
    expected_attach_type: c_int,
    name: Text,
    insns: Input,
    insns_cnt: usize,
}

/// `struct bpf_object_load_attr`, as far as it has a meaning here.
#[repr(C)]
pub(crate) struct ObjectLoadAttr<'a> {
    object: Option<&'a BpfObject>,
}

fn create(attr: &CreateMapAttr) -> Result<c_int, Fault> {
    let new = map::New {
        map_type: attr.map_type,
        sizes: [attr.key_size, attr.value_size, attr.max_entries],
        inner: attr.inner_map_fd as c_int,
        flags: attr.map_flags,
    };
    map::create(attr.name, &new)
}

fn load(attr: &LoadProgramAttr, log: Log) -> Result<c_int, Fault> {
    let new = New {
        number: attr.prog_type,
        name: attr.name.optional()?.unwrap_or_default(),
        expected: attr.expected_attach_type,
        log,
    };
    bpf::load(&new, attr.insns, attr.insns_cnt)
}

/// Opens and loads a file, all programs with one type unless it is 0. A negative number is the error of
/// the function that failed.
fn open_and_load(file: Text, program_type: c_int) -> Result<(Box<BpfObject>, c_int), c_int> {
    let Some(object) = bpf_object__open(file) else {
        return Err(-crate::raw::runtime::errno());
    };
    let check = |result: c_int| if result < 0 { Err(result) } else { Ok(()) };
    for program in object.programs().iter().filter(|_| program_type != 0) {
        check(bpf_program__set_type(Some(program), program_type))?;
    }
    check(bpf_object__load(Some(&object)))?;
    match bpf_program__fd(object.programs().first()) {
        ..0 => Err(Fault::MISSING.tell()),
        fd => Ok((object, fd)),
    }
}

exports! {
    /// Makes a map.
    fn bpf_create_map_xattr(attr: Option<&CreateMapAttr>) -> c_int {
        number(attr.ok_or(Fault::INVALID).and_then(create))
    }

    /// Verifies and loads instructions; the verifier's report goes into the buffer.
    fn bpf_load_program(prog_type: c_int, insns: Input, insns_cnt: usize, _license: Text, _version: u32, log: Output, log_bytes: usize) -> c_int {
        let attr = LoadProgramAttr { prog_type, expected_attach_type: 0, name: Text::NONE, insns, insns_cnt };
        number(load(&attr, Log { buffer: log, bytes: log_bytes }))
    }

    /// The same with attributes.
    fn bpf_load_program_xattr(attr: Option<&LoadProgramAttr>, log: Output, log_bytes: usize) -> c_int {
        let log = Log { buffer: log, bytes: log_bytes };
        number(attr.ok_or(Fault::INVALID).and_then(|attr| load(attr, log)))
    }

    /// Opens and loads a file; gives the object and the descriptor of its first program.
    fn bpf_prog_load_deprecated(file: Text, program_type: c_int, object: Option<&mut Option<Box<BpfObject>>>, program_fd: Option<&mut c_int>) -> c_int {
        let (Some(object), Some(program_fd)) = (object, program_fd) else {
            return Fault::INVALID.tell();
        };
        match open_and_load(file, program_type) {
            Ok((new, fd)) => {
                *program_fd = fd;
                give_box(object, new);
                0
            }
            Err(error) => error,
        }
    }

    /// Loads programs and maps: all, or none.
    fn bpf_object__load_xattr(attr: Option<&ObjectLoadAttr<'_>>) -> c_int {
        match attr {
            Some(attr) => bpf_object__load(attr.object),
            None => done(Err(Fault::INVALID)),
        }
    }
}

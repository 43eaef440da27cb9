//! Names of types, and of errors.

use crate::error::{Fault, done};
use crate::exports;
use crate::fd;
use crate::raw::{Output, Text};
use abi::program_type;
use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::sync::LazyLock;

/// Names by number, as text for C.
struct Names(Vec<(u32, CString)>);

impl Names {
    fn new<'a>(rows: impl Iterator<Item = (u32, &'a str)>) -> Names {
        let row = |(number, name): (u32, &str)| (number, CString::new(name).unwrap_or_default());
        Names(rows.map(row).collect())
    }

    fn of(&self, number: c_int) -> *const c_char {
        let mut rows = self.0.iter();
        let found = rows.find(|(known, _)| i64::from(*known) == i64::from(number));
        found.map_or(std::ptr::null(), |(_, name)| name.as_ptr())
    }
}

static MAPS: LazyLock<Names> = LazyLock::new(|| {
    let rows = abi::map::TABLE.iter();
    Names::new(rows.filter_map(|row| Some((row.windows?, row.name))))
});
static PROGRAMS: LazyLock<Names> = LazyLock::new(|| {
    Names::new(
        program_type::WINDOWS
            .iter()
            .map(|row| (row.number, row.name)),
    )
});
static HOOKS: LazyLock<Names> = LazyLock::new(|| {
    let rows = program_type::ATTACH_WINDOWS.iter();
    Names::new(rows.map(|row| (row.number, row.prefix)))
});

/// Kinds of links.
const LINKS: [&CStr; 4] = [c"unspec", c"plain", c"cgroup", c"xdp"];

/// The type and hook that a section name selects.
fn by_section(
    name: Text,
    program: Option<&mut c_int>,
    hook: Option<&mut c_int>,
) -> Result<(), Fault> {
    let row = program_type::by_section(abi::Platform::Windows, name.get()?);
    let row = row.ok_or(Fault::INVALID)?;
    if let Some(program) = program {
        *program = row.program_type.number as c_int;
    }
    if let Some(hook) = hook {
        *hook = row.number as c_int;
    }
    Ok(())
}

/// The text of an errno, of either sign.
fn describe(error: c_int) -> String {
    match error.unsigned_abs() {
        0 => "success".to_owned(),
        // The C runtime's numbers are not those of the system there.
        number if cfg!(windows) => format!("error {number}"),
        number => std::io::Error::from_raw_os_error(number as i32).to_string(),
    }
}

exports! {
    /// The name of a map type, NULL when there is none.
    fn libbpf_bpf_map_type_str(number: c_int) -> *const c_char {
        MAPS.of(number)
    }

    /// The name of a program type, NULL when there is none.
    fn libbpf_bpf_prog_type_str(number: c_int) -> *const c_char {
        PROGRAMS.of(number)
    }

    /// The name of a hook, NULL when there is none.
    fn libbpf_bpf_attach_type_str(number: c_int) -> *const c_char {
        HOOKS.of(number)
    }

    /// The name of a kind of link, NULL when there is none.
    fn libbpf_bpf_link_type_str(number: c_int) -> *const c_char {
        let name = usize::try_from(number).ok().and_then(|at| LINKS.get(at));
        name.map_or(std::ptr::null(), |name| name.as_ptr())
    }

    /// The program type and hook that a section name selects.
    fn libbpf_prog_type_by_name(name: Text, program: Option<&mut c_int>, hook: Option<&mut c_int>) -> c_int {
        done(by_section(name, program, hook))
    }

    /// The hook that a section name selects.
    fn libbpf_attach_type_by_name(name: Text, hook: Option<&mut c_int>) -> c_int {
        done(by_section(name, None, hook))
    }

    /// Processors that values of per-CPU maps have copies for.
    fn libbpf_num_possible_cpus() -> c_int {
        crate::error::number(fd::client().map(|client| client.cpu_count() as c_int))
    }

    /// Writes the text of an error, cut to the buffer.
    fn libbpf_strerror(error: c_int, buffer: Output, size: usize) -> c_int {
        let text = describe(error);
        let write = || {
            let room = size.checked_sub(1).ok_or(Fault::INVALID)?;
            let mut bytes = text.as_bytes()[..text.floor_char_boundary(room)].to_vec();
            bytes.push(0);
            buffer.write(&bytes)
        };
        done(write())
    }

    /// The error that a returned pointer stands for: functions that return pointers return NULL and
    /// set errno, so it is 0 for any other.
    fn libbpf_get_error(pointer: crate::raw::Input) -> c_long {
        match pointer.is_null() {
            true => -c_long::from(crate::raw::runtime::errno()),
            false => 0,
        }
    }
}

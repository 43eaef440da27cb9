//! `ebpfcore.sys` as it is built for Windows, on a simulated computer, and a process that asks it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use abi::ioctl::{CONTROL_CODE, Handle, LINK, MapDefinition, Request};
use abi::program_type::by_section;
use abi::{AttachType, Guid, Platform};
use ebpfcore_sim::ModuleIdValue;
use ebpfcore_sim::computer::Computer;
use ebpfcore_sim::computer::traffic::{Count, Traffic};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use testkernel::raw::device::Caller;

/// Room for replies.
const REPLY_BYTES: usize = 0xffff;
/// The interface of all frames.
pub(crate) const INTERFACE: u32 = 7;

/// The driver file, built once; none where its target is missing, which is said.
pub(crate) fn driver_file() -> Option<&'static [u8]> {
    static FILE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    FILE.get_or_init(|| {
        // Who has built the driver already may name its file.
        match std::env::var_os("EBPFCORE_SYS") {
            Some(path) => Some(std::fs::read(path).unwrap()),
            None => build("--driver", "ebpfcore.sys"),
        }
    })
    .as_deref()
}

/// The sample extension as a driver, built once; none where the target is missing.
pub(crate) fn sample_file() -> Option<&'static [u8]> {
    static FILE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    FILE.get_or_init(|| build("--sample", "sample.sys"))
        .as_deref()
}

fn has_target() -> bool {
    let output = Command::new("rustc")
        .args([
            "--print",
            "target-libdir",
            "--target",
            "x86_64-pc-windows-msvc",
        ])
        .output()
        .unwrap();
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success() && Path::new(&folder).is_dir()
}

/// As `cargo xtask wine` builds it, in the same folder.
fn build(what: &str, file: &str) -> Option<Vec<u8>> {
    if !has_target() {
        eprintln!("SKIPPED: the toolchain has no target x86_64-pc-windows-msvc");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder: PathBuf = root.join("target/windows/signed");
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--package", "xtask", "--", "dist", what])
        .arg("--folder")
        .arg(&folder)
        .current_dir(&root)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(std::fs::read(folder.join(file)).unwrap())
}

/// A computer on which the runtime runs.
pub(crate) fn computer() -> Option<Computer> {
    let computer = Computer::new();
    computer.create("ebpfcore", driver_file()?, &ModuleIdValue::NoKey);
    computer.start("ebpfcore").unwrap();
    Some(computer)
}

/// A process that has the device open.
pub(crate) struct Process {
    pub(crate) caller: Caller,
    pub(crate) device: u64,
}

impl Process {
    pub(crate) fn new(computer: &Computer, id: u64) -> Process {
        let caller = computer.process(id);
        let device = caller.open(LINK).unwrap();
        Process { caller, device }
    }

    /// Sends a request; gives the bytes of the reply, or the code of the kernel.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Result<Vec<u8>, u32> {
        let mut message = vec![0; REPLY_BYTES];
        let length = request.encode(&mut message).unwrap();
        let io = (&message[..length], REPLY_BYTES);
        let reply = self.caller.control(self.device, CONTROL_CODE, io)?;
        match reply.status {
            0 => Ok(reply.bytes),
            status => Err(status),
        }
    }
}

/// A field of a reply.
macro_rules! field {
    ($bytes:expr, $variant:ident, $field:ident) => {
        match abi::ioctl::Reply::decode(&$bytes).unwrap() {
            abi::ioctl::Reply::$variant { $field, .. } => $field.to_owned(),
            other => panic!("{other:?}"),
        }
    };
}
#[allow(unused_imports, reason = "each test file uses a part of this one")]
pub(crate) use field;

pub(crate) fn attach_type(section: &str) -> &'static AttachType {
    by_section(Platform::Windows, section).unwrap()
}

impl Process {
    /// The handle of the map with a name; its key is zero and has four bytes.
    pub(crate) fn map(&self, name: &str) -> Option<Handle> {
        /// Where the name stands in the information about a map.
        const NAME_AT: usize = 20;
        let mut id = 0;
        while let Ok(bytes) = self.ask(&Request::GetNextMapId { start_id: id }) {
            id = field!(bytes, GetNextMapId, next_id);
            let handle = self.ask(&Request::GetMapHandleById { id }).unwrap();
            let handle = field!(handle, GetMapHandleById, handle);
            let info = self.ask(&Request::GetObjectInfo { handle, info: &[] });
            let info = field!(info.unwrap(), GetObjectInfo, info);
            let own = info.get(NAME_AT..).unwrap_or_default();
            if own.split(|byte| *byte == 0).next() == Some(name.as_bytes()) {
                return Some(handle);
            }
            self.ask(&Request::CloseHandle { handle }).unwrap();
        }
        None
    }

    /// The number under a key of four bytes.
    pub(crate) fn number(&self, map: Handle, key: u32) -> u64 {
        let request = Request::MapFindElement {
            handle: map,
            find_and_delete: false,
            key: &key.to_le_bytes(),
        };
        let value = field!(self.ask(&request).unwrap(), MapFindElement, value);
        u64::from_le_bytes(value[..8].try_into().unwrap())
    }

    pub(crate) fn create_map(&self, map_type: u32, sizes: [u32; 3]) -> Result<Handle, u32> {
        let [key_size, value_size, max_entries] = sizes;
        let definition = MapDefinition {
            map_type,
            key_size,
            value_size,
            max_entries,
            ..MapDefinition::default()
        };
        let request = Request::CreateMap {
            definition,
            inner_map_handle: Handle::INVALID,
            data: b"m",
        };
        Ok(field!(self.ask(&request)?, CreateMap, handle))
    }

    /// Makes a program of a section and gives it bytecode.
    pub(crate) fn load(&self, section: &str, text: &str) -> Result<Handle, u32> {
        let program = self.create_program(attach_type(section).program_type.guid)?;
        self.load_code(program, text).map(|()| program)
    }

    pub(crate) fn create_program(&self, program_type: Guid) -> Result<Handle, u32> {
        let request = Request::CreateProgram {
            program_type,
            section_name_offset: 28,
            program_name_offset: 31,
            data: b"secprog",
        };
        Ok(field!(self.ask(&request)?, CreateProgram, program_handle))
    }

    pub(crate) fn load_code(&self, program: Handle, text: &str) -> Result<(), u32> {
        let code = isa::encode::program(&isa::asm::assemble(text).unwrap()).unwrap();
        let request = Request::LoadCode {
            program_handle: program,
            code_type: 2,
            code: &code,
        };
        self.ask(&request).map(drop)
    }

    /// Attaches a program where its section says.
    pub(crate) fn attach(
        &self,
        section: &str,
        program: Handle,
        parameter: &[u8],
    ) -> Result<Handle, u32> {
        self.link(attach_type(section).guid, program, parameter)
    }

    pub(crate) fn link(
        &self,
        attach_type: Guid,
        program: Handle,
        parameter: &[u8],
    ) -> Result<Handle, u32> {
        let request = Request::LinkProgram {
            program_handle: program,
            attach_type,
            data: parameter,
        };
        Ok(field!(self.ask(&request)?, LinkProgram, link_handle))
    }
}

/// A frame of UDP to port 53 with so many bytes of data.
pub(crate) fn udp(data: usize) -> Vec<u8> {
    let length = 8 + data as u16;
    let mut frame = vec![0; 14 + 20 + usize::from(length)];
    frame[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(20 + length).to_be_bytes());
    frame[23] = 17;
    frame[36..38].copy_from_slice(&53u16.to_be_bytes());
    frame[38..40].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Brings each frame so many times, on two threads; gives the counts by frame.
pub(crate) fn bring(computer: &Computer, frames: &[Vec<u8>], rounds: u64) -> Vec<Count> {
    let traffic = Traffic {
        interface: INTERFACE,
        split: 1000,
        rate: 0,
        rounds,
        threads: 2,
        frames: frames.to_vec(),
    };
    computer.bring(&traffic).counts
}

/// Stops the runtime; nothing is left of anybody.
pub(crate) fn stop(computer: &Computer) {
    computer.stop("ebpfcore").unwrap();
    assert_eq!(computer.faults(), [""; 0]);
}

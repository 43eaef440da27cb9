//! What commands need of Windows.
#![expect(unsafe_code, reason = "asks Windows")]

use commands::{Host, NotElevated, Process};
use ebpfapi::{Client, Error};
use etcetera::{BaseStrategy as _, choose_base_strategy};
use signing::Signer;
use std::mem::size_of;
use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    ConvertInterfaceAliasToLuid, ConvertInterfaceLuidToIndex,
};
use windows_sys::Win32::NetworkManagement::Ndis::NET_LUID_LH;
use windows_sys::Win32::Security::{
    GetTokenInformation, TOKEN_ELEVATION, TOKEN_QUERY, TokenElevation,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, MODULEENTRY32W, Module32FirstW, Module32NextW, PROCESSENTRY32W,
    Process32FirstW, Process32NextW, TH32CS_SNAPMODULE, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// Libraries by which a process uses eBPF.
const LIBRARIES: &[&str] = &["ebpfapi.dll", "ebpfnetsh.dll"];

/// This machine.
pub(crate) struct Machine;

impl Host for Machine {
    fn connect(&self) -> Result<Client, Error> {
        Client::connect()
    }

    /// Processes that loaded the library for eBPF.
    fn processes(&self) -> Result<Vec<Process>, NotElevated> {
        if !is_elevated() {
            return Err(NotElevated);
        }
        let mut all = processes();
        all.retain(|process| uses(process.id));
        Ok(all)
    }

    fn interface(&self, name: &str) -> Option<u32> {
        let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
        let mut luid = NET_LUID_LH { Value: 0 };
        let mut index = 0;
        // SAFETY: a text that ends with 0, and places for the answers.
        let is_found = unsafe {
            ConvertInterfaceAliasToLuid(name.as_ptr(), &raw mut luid) == 0
                && ConvertInterfaceLuidToIndex(&raw const luid, &raw mut index) == 0
        };
        is_found.then_some(index)
    }

    /// The test certificate of the user, as `bpf2native` has it.
    fn signer(&self) -> Result<Option<Signer>, String> {
        let strategy = choose_base_strategy().map_err(|error| error.to_string())?;
        let folder = strategy.cache_dir().join("bpf2native").join("test-signing");
        let signer = Signer::test(&folder).map_err(|error| error.to_string())?;
        Ok(Some(signer))
    }
}

/// A handle that is closed at the end.
struct Owned(HANDLE);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: a handle that nobody else closes.
        unsafe { CloseHandle(self.0) };
    }
}

fn is_elevated() -> bool {
    let mut token = std::ptr::null_mut();
    let mut elevation = TOKEN_ELEVATION { TokenIsElevated: 0 };
    let (size, mut got) = (size_of::<TOKEN_ELEVATION>() as u32, 0);
    // SAFETY: places for the answers, of the sizes that are told.
    unsafe {
        if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) == 0 {
            return false;
        }
        let token = Owned(token);
        let place = (&raw mut elevation).cast();
        GetTokenInformation(token.0, TokenElevation, place, size, &raw mut got) != 0
            && elevation.TokenIsElevated != 0
    }
}

fn processes() -> Vec<Process> {
    let mut all = Vec::new();
    // SAFETY: an entry that says its own size; the snapshot is closed at the end.
    unsafe {
        let snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
        if snapshot == INVALID_HANDLE_VALUE {
            return all;
        }
        let snapshot = Owned(snapshot);
        let mut entry: PROCESSENTRY32W = std::mem::zeroed();
        entry.dwSize = size_of::<PROCESSENTRY32W>() as u32;
        let mut is_there = Process32FirstW(snapshot.0, &raw mut entry) != 0;
        while is_there {
            all.push(Process {
                id: entry.th32ProcessID,
                name: text(&entry.szExeFile),
            });
            is_there = Process32NextW(snapshot.0, &raw mut entry) != 0;
        }
    }
    all
}

/// Whether a process loaded one of the libraries; one that may not be looked into did not.
fn uses(process: u32) -> bool {
    // SAFETY: an entry that says its own size; the snapshot is closed at the end.
    unsafe {
        let snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPMODULE, process);
        if snapshot == INVALID_HANDLE_VALUE {
            return false;
        }
        let snapshot = Owned(snapshot);
        let mut entry: MODULEENTRY32W = std::mem::zeroed();
        entry.dwSize = size_of::<MODULEENTRY32W>() as u32;
        let mut is_there = Module32FirstW(snapshot.0, &raw mut entry) != 0;
        while is_there {
            let name = text(&entry.szModule);
            if LIBRARIES
                .iter()
                .any(|library| name.eq_ignore_ascii_case(library))
            {
                return true;
            }
            is_there = Module32NextW(snapshot.0, &raw mut entry) != 0;
        }
    }
    false
}

fn text(wide: &[u16]) -> String {
    let length = wide.iter().position(|unit| *unit == 0);
    String::from_utf16_lossy(&wide[..length.unwrap_or(wide.len())])
}

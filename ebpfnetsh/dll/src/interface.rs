//! The interface between netsh and its helpers, as netsh.h documents it, and the library's side of it.
//!
//! Invariants: everything that netsh is given lives as long as the process; a handler never unwinds
//! into netsh, for what is typed never panics. Pointers that netsh hands over are trusted: it could do
//! anything in this process anyway.
#![expect(unsafe_code, reason = "netsh's interface is made of pointers")]

use crate::machine::Machine;
use crate::tables;
use commands::{Answer, Command, Ending, Session};
use std::cell::RefCell;
use std::ffi::c_void;

/// A GUID as Windows lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Guid(u32, u16, u16, [u8; 8]);

/// The helper's, as that of eBPF for Windows.
pub(crate) const HELPER: Guid = Guid(
    0x634d_21b8,
    0x13f9,
    0x46a3,
    [0x94, 0x5f, 0x88, 0x5c, 0xbd, 0x66, 0x1c, 0x13],
);
const VERSION: u32 = 1;

/// `NO_ERROR`.
const NO_ERROR: u32 = 0;
/// `ERROR_INVALID_PARAMETER`.
const INVALID_PARAMETER: u32 = 87;
/// `ERROR_OKAY`: netsh prints `Ok.`.
const OKAY: u32 = 15015;
/// `ERROR_SUPPRESS_OUTPUT`: the command failed and said why.
const SUPPRESS_OUTPUT: u32 = 15017;

/// `NS_HELPER_ATTRIBUTES`.
#[repr(C)]
struct HelperAttributes {
    version: u32,
    reserved: u32,
    helper: Guid,
    start: unsafe extern "system" fn(*const Guid, u32) -> u32,
    stop: *const c_void,
}

/// `NS_CONTEXT_ATTRIBUTES`.
#[repr(C)]
pub(crate) struct ContextAttributes {
    pub(crate) version: u32,
    pub(crate) reserved: u32,
    pub(crate) context: *const u16,
    pub(crate) helper: Guid,
    pub(crate) flags: u32,
    pub(crate) priority: u32,
    pub(crate) top_count: u32,
    pub(crate) top: *const c_void,
    pub(crate) group_count: u32,
    pub(crate) groups: *const Group,
    pub(crate) unused: [*const c_void; 5],
}

/// `CMD_GROUP_ENTRY`: a verb.
#[repr(C)]
pub(crate) struct Group {
    pub(crate) token: *const u16,
    pub(crate) help: u32,
    pub(crate) count: u32,
    pub(crate) flags: u32,
    pub(crate) entries: *const c_void,
    pub(crate) version_check: *const c_void,
}

/// `FN_HANDLE_CMD`.
pub(crate) type Handler = unsafe extern "system" fn(
    *const u16,
    *const *const u16,
    u32,
    u32,
    u32,
    *const c_void,
    *mut i32,
) -> u32;

/// `CMD_ENTRY`: a command, as older Windows has it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) token: *const u16,
    pub(crate) handler: Handler,
    pub(crate) line: u32,
    pub(crate) page: u32,
    pub(crate) flags: u32,
    pub(crate) version_check: *const c_void,
}

/// `CMD_ENTRY` of newer Windows: with a function for help at the end.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LongEntry {
    pub(crate) entry: Entry,
    pub(crate) custom_help: *const c_void,
}

const _: () = assert!(size_of::<HelperAttributes>() == 40);
const _: () = assert!(size_of::<ContextAttributes>() == 112);
const _: () = assert!(size_of::<Group>() == 40);
const _: () = assert!(size_of::<Entry>() == 40 && size_of::<LongEntry>() == 48);

#[link(name = "netsh.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn RegisterHelper(parent: *const Guid, attributes: *const HelperAttributes) -> u32;
    fn RegisterContext(attributes: *const ContextAttributes) -> u32;
    fn PrintMessage(format: *const u16, ...) -> u32;
}

/// netsh asks the library to register its helper.
///
/// # Safety
///
/// netsh calls it, once.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "system" fn InitHelperDll(_netsh: u32, _reserved: *mut c_void) -> u32 {
    let attributes = HelperAttributes {
        version: VERSION,
        reserved: 0,
        helper: HELPER,
        start,
        stop: std::ptr::null(),
    };
    // SAFETY: the structure that netsh documents; it copies it. No parent: netsh itself.
    unsafe { RegisterHelper(std::ptr::null(), &raw const attributes) }
}

/// netsh asks for the contexts of the helper.
unsafe extern "system" fn start(_parent: *const Guid, _version: u32) -> u32 {
    // Windows does not say which of the two forms it has. The longer one comes first: read as the
    // shorter, its second command has no name, which netsh refuses without following anything.
    let long = tables::context::<LongEntry>();
    // SAFETY: the structure that netsh documents; all that it points at stays.
    let done = unsafe { RegisterContext(long) };
    if done != INVALID_PARAMETER {
        return done;
    }
    let short = tables::context::<Entry>();
    // SAFETY: as above.
    unsafe { RegisterContext(short) }
}

thread_local! {
    static SESSION: RefCell<Session> = RefCell::new(Session::new(Box::new(Machine)));
}

/// What netsh calls for the command of an index.
pub(crate) unsafe extern "system" fn handle<const N: usize>(
    _machine: *const u16,
    arguments: *const *const u16,
    current: u32,
    count: u32,
    _flags: u32,
    _data: *const c_void,
    _done: *mut i32,
) -> u32 {
    let Some(command) = commands::COMMANDS.get(N) else {
        return INVALID_PARAMETER;
    };
    // SAFETY: netsh hands over so many texts.
    let words = unsafe { words(arguments, count as usize) };
    let words = behind(&words, current as usize, command);
    let line = [&[command.verb.name(), command.object], &*words].concat();
    // A second call inside of a command does not happen: commands call nothing of netsh's.
    let answer = SESSION.with_borrow_mut(|session| session.run(&line));
    print(&answer);
    match answer.ending {
        Ending::Done => NO_ERROR,
        Ending::Okay => OKAY,
        Ending::Failed => SUPPRESS_OUTPUT,
    }
}

/// The arguments of a command. Documents differ in whether the index is that of the command's last word
/// or of the first argument.
fn behind<'a>(words: &'a [String], current: usize, command: &Command) -> Vec<&'a str> {
    let begins = |at: Option<usize>, name: &str| {
        let word = at
            .and_then(|at| words.get(at))
            .map(|word| word.to_ascii_lowercase());
        word.is_some_and(|word| !word.is_empty() && name.starts_with(&word))
    };
    let is_last = begins(Some(current), command.object)
        && begins(current.checked_sub(1), command.verb.name());
    let first = current + usize::from(is_last);
    let rest = words.get(first..).unwrap_or_default();
    rest.iter().map(String::as_str).collect()
}

/// Safety: `count` texts that end with 0, or nulls.
unsafe fn words(arguments: *const *const u16, count: usize) -> Vec<String> {
    let text = |at: usize| {
        // SAFETY: the caller's word; a text ends with 0.
        unsafe {
            let text = *arguments.add(at);
            let is_end = |length: &usize| text.is_null() || *text.add(*length) == 0;
            let length = (0..).find(is_end).unwrap_or(0);
            match length {
                0 => String::new(),
                length => String::from_utf16_lossy(std::slice::from_raw_parts(text, length)),
            }
        }
    };
    (0..count).map(text).collect()
}

/// What a command answers, through netsh; errors go where those of netsh go.
fn print(answer: &Answer) {
    let pattern = tables::wide("%1!s!%n");
    for line in answer.out.lines() {
        let line: Vec<u16> = line.encode_utf16().chain([0]).collect();
        // SAFETY: a pattern with one text, and the text; both end with 0.
        unsafe { PrintMessage(pattern.as_ptr(), line.as_ptr()) };
    }
    if !answer.err.is_empty() {
        eprint!("{}", answer.err);
    }
}

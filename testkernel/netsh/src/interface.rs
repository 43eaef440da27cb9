//! The functions of netsh.h that helpers call, and what they register.
//!
//! Windows has two forms of `CMD_ENTRY`; the variable `NETSH_ENTRY_BYTES` chooses which one this
//! program reads (40, or 48 without it), so that helpers can be tried with both. Like netsh, it refuses
//! a context in which a command has no name.
#![expect(unsafe_code, reason = "follows what helpers register")]

use crate::tags;
use std::ffi::c_void;
use std::sync::Mutex;
use windows_sys::Win32::System::Diagnostics::Debug::{
    FORMAT_MESSAGE_ARGUMENT_ARRAY, FORMAT_MESSAGE_FROM_STRING, FormatMessageW,
};

/// A GUID.
pub(crate) type Guid = [u8; 16];
/// `NS_HELPER_START_FN`.
pub(crate) type Start = unsafe extern "system" fn(*const Guid, u32) -> u32;
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

const NO_ERROR: u32 = 0;
const INVALID_PARAMETER: u32 = 87;
/// Longest text of one message, in UTF-16 units.
const MESSAGE: usize = 1 << 15;

/// `NS_HELPER_ATTRIBUTES`.
#[repr(C)]
pub(crate) struct HelperAttributes {
    version: u64,
    helper: Guid,
    start: Option<Start>,
    stop: *const c_void,
}

/// `NS_CONTEXT_ATTRIBUTES`, as far as it is read.
#[repr(C)]
pub(crate) struct ContextAttributes {
    version: u64,
    context: *const u16,
    helper: Guid,
    flags: u32,
    priority: u32,
    top_count: u32,
    top: *const c_void,
    group_count: u32,
    groups: *const GroupEntry,
}

/// `CMD_GROUP_ENTRY`.
#[repr(C)]
struct GroupEntry {
    token: *const u16,
    help: u32,
    count: u32,
    flags: u32,
    entries: *const u8,
    version_check: *const c_void,
}

/// `CMD_ENTRY`, as far as both forms have it.
#[repr(C)]
struct Entry {
    token: *const u16,
    handler: Option<Handler>,
    line: u32,
    page: u32,
}

/// A command that was registered.
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) handler: Handler,
    pub(crate) line: u32,
    pub(crate) page: u32,
}

/// A verb with its commands.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) help: u32,
    pub(crate) commands: Vec<Command>,
}

/// A context.
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) groups: Vec<Group>,
}

/// What helpers registered and was not taken yet.
pub(crate) static STARTS: Mutex<Vec<Start>> = Mutex::new(Vec::new());
/// Contexts that helpers registered and were not taken yet.
pub(crate) static CONTEXTS: Mutex<Vec<Context>> = Mutex::new(Vec::new());

/// A helper says how it is started.
///
/// # Safety
///
/// The structure is as netsh.h says.
#[unsafe(no_mangle)]
unsafe extern "C" fn RegisterHelper(_parent: *const Guid, helper: *const HelperAttributes) -> u32 {
    // SAFETY: the caller's word.
    let start = unsafe { helper.as_ref() }.and_then(|helper| helper.start);
    match (start, STARTS.lock()) {
        (Some(start), Ok(mut starts)) => {
            starts.push(start);
            NO_ERROR
        }
        _ => INVALID_PARAMETER,
    }
}

/// A helper brings a context.
///
/// # Safety
///
/// The structure is as netsh.h says.
#[unsafe(no_mangle)]
unsafe extern "C" fn RegisterContext(context: *const ContextAttributes) -> u32 {
    // SAFETY: the caller's word.
    let context = unsafe { context.as_ref().and_then(|context| read_context(context)) };
    match (context, CONTEXTS.lock()) {
        (Some(context), Ok(mut contexts)) => {
            contexts.push(context);
            NO_ERROR
        }
        _ => INVALID_PARAMETER,
    }
}

/// `TAG_TYPE`.
#[repr(C)]
struct TagType {
    name: *const u16,
    /// Bits `NS_REQ_*`.
    required: u32,
    present: i32,
}

/// `TOKEN_VALUE`.
#[repr(C)]
struct TokenValue {
    token: *const u16,
    value: u32,
}

/// `NS_REQ_PRESENT`.
const REQUIRED: u32 = 1;
const NOT_FOUND: u32 = 1168;

/// Whether a user means a token.
///
/// # Safety
///
/// Texts that end with 0, or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn MatchToken(typed: *const u16, token: *const u16) -> i32 {
    // SAFETY: the caller's word.
    let texts = unsafe { text(typed).zip(text(token)) };
    i32::from(texts.is_some_and(|(typed, token)| tags::is_meant(&typed, &token)))
}

/// The value of the token that a user means.
///
/// # Safety
///
/// A text that ends with 0, so many entries, and a place for the answer.
#[unsafe(no_mangle)]
unsafe extern "C" fn MatchEnumTag(
    _module: *const c_void,
    argument: *const u16,
    count: u32,
    table: *const TokenValue,
    value: *mut u32,
) -> u32 {
    if table.is_null() || value.is_null() {
        return INVALID_PARAMETER;
    }
    for at in 0..count as usize {
        // SAFETY: the caller's word.
        let entry = unsafe { &*table.add(at) };
        // SAFETY: the caller's word.
        if unsafe { MatchToken(argument, entry.token) } != 0 {
            // SAFETY: the caller's word.
            unsafe { value.write(entry.value) };
            return NO_ERROR;
        }
    }
    NOT_FOUND
}

/// Gives arguments their tags: `tag=` is taken off, and tags that are there are marked.
///
/// # Safety
///
/// Arrays of the sizes that are told, of texts that end with 0.
#[unsafe(no_mangle)]
unsafe extern "C" fn PreprocessCommand(
    _module: *const c_void,
    arguments: *mut *const u16,
    current: u32,
    argument_count: u32,
    all: *mut TagType,
    tag_count: u32,
    least: u32,
    most: u32,
    tag_types: *mut u32,
) -> u32 {
    let Some(count) = argument_count.checked_sub(current) else {
        return INVALID_PARAMETER;
    };
    if arguments.is_null() || (all.is_null() && tag_count > 0) || tag_types.is_null() {
        return INVALID_PARAMETER;
    }
    // SAFETY: the caller's word; the arrays are nobody else's while this runs.
    let (arguments, all, types) = unsafe {
        (
            std::slice::from_raw_parts_mut(arguments.add(current as usize), count as usize),
            std::slice::from_raw_parts_mut(all, tag_count as usize),
            std::slice::from_raw_parts_mut(tag_types, count as usize),
        )
    };
    // SAFETY: the caller's word.
    let read = |pointer: *const u16| unsafe { text(pointer) }.unwrap_or_default();
    let texts: Vec<String> = arguments.iter().map(|argument| read(*argument)).collect();
    let tag = |tag: &TagType| tags::Tag {
        name: read(tag.name),
        is_required: tag.required & REQUIRED != 0,
    };
    let known: Vec<tags::Tag> = all.iter().map(tag).collect();
    match tags::assign(&texts, &known, (least as usize, most as usize)) {
        Ok(matches) => {
            for ((found, argument), kind) in matches.iter().zip(arguments).zip(types) {
                *kind = found.tag as u32;
                all[found.tag].present = 1;
                // SAFETY: the value lies in the same text, behind the sign.
                *argument = unsafe { argument.add(found.value_at) };
            }
            NO_ERROR
        }
        Err(error) => error,
    }
}

/// A helper prints a pattern with up to three inserts. It is declared with a variable number of
/// arguments, of which the first four are passed in registers.
///
/// # Safety
///
/// The pattern ends with 0 and says truly what its inserts are.
#[unsafe(no_mangle)]
unsafe extern "C" fn PrintMessage(
    pattern: *const u16,
    first: *const c_void,
    second: *const c_void,
    third: *const c_void,
) -> u32 {
    let inserts = [first, second, third];
    let mut message = vec![0; MESSAGE];
    // SAFETY: the caller's word about the pattern; a buffer of the size that is told.
    let length = unsafe {
        FormatMessageW(
            FORMAT_MESSAGE_FROM_STRING | FORMAT_MESSAGE_ARGUMENT_ARRAY,
            pattern.cast(),
            0,
            0,
            message.as_mut_ptr(),
            MESSAGE as u32,
            inserts.as_ptr().cast_mut().cast(),
        )
    };
    let message = message.get(..length as usize).unwrap_or_default();
    print!("{}", String::from_utf16_lossy(message));
    length
}

/// Safety: as for `RegisterContext`.
unsafe fn read_context(context: &ContextAttributes) -> Option<Context> {
    let stride = std::env::var("NETSH_ENTRY_BYTES").ok();
    let stride = stride.and_then(|bytes| bytes.parse().ok()).unwrap_or(48);
    let mut groups = Vec::new();
    for at in 0..context.group_count as usize {
        // SAFETY: the caller's word.
        let group = unsafe { &*context.groups.add(at) };
        let mut commands = Vec::new();
        for at in 0..group.count as usize {
            // SAFETY: the caller's word; with another stride what is read lies in the same table, and
            // ends at the first null.
            commands.push(unsafe { read_command(group.entries.add(at * stride)) }?);
        }
        groups.push(Group {
            // SAFETY: the caller's word.
            name: unsafe { text(group.token) }?,
            help: group.help,
            commands,
        });
    }
    Some(Context {
        // SAFETY: the caller's word.
        name: unsafe { text(context.context) }?,
        groups,
    })
}

/// Safety: an entry lies there.
unsafe fn read_command(entry: *const u8) -> Option<Command> {
    // SAFETY: the caller's word; entries are aligned as their pointers are.
    let entry = unsafe { &*entry.cast::<Entry>() };
    Some(Command {
        // SAFETY: the caller's word.
        name: unsafe { text(entry.token) }?,
        handler: entry.handler?,
        line: entry.line,
        page: entry.page,
    })
}

/// Safety: null, or a text that ends with 0.
unsafe fn text(text: *const u16) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's word.
    let units = unsafe {
        let length = (0..).find(|at| *text.add(*at) == 0).unwrap_or(0);
        std::slice::from_raw_parts(text, length)
    };
    Some(String::from_utf16_lossy(units))
}

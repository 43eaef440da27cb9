//! The table of commands in the form that netsh wants: a context with groups of entries.
//!
//! Invariant: what is made here stays for the rest of the process.

use crate::interface::{ContextAttributes, Entry, Group, HELPER, Handler, LongEntry, handle};
use crate::strings;
use commands::{COMMANDS, Command, Verb};
use std::ptr::null;

/// The context's name.
const CONTEXT: &str = "ebpf";
/// `CMD_FLAG_LOCAL | CMD_FLAG_ONLINE`: not for other machines, not without a system.
const FLAGS: u32 = 0x08 | 0x10;
/// `CMD_FLAG_PRIVATE`: not inherited by contexts inside.
const PRIVATE: u32 = 0x01;

/// One of the two forms of an entry.
pub(crate) trait Form: Copy {
    /// The entry in this form.
    fn of(entry: Entry) -> Self;
}

impl Form for Entry {
    fn of(entry: Entry) -> Entry {
        entry
    }
}

impl Form for LongEntry {
    fn of(entry: Entry) -> LongEntry {
        LongEntry {
            entry,
            custom_help: null(),
        }
    }
}

/// A handler for each command.
macro_rules! handlers {
    ($($index:literal)*) => { [$(handle::<$index>),*] };
}

/// By the index of the command.
const HANDLERS: [Handler; COMMANDS.len()] = handlers!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// The context with entries of a form; it stays.
pub(crate) fn context<F: Form>() -> &'static ContextAttributes {
    let groups: Vec<Group> = Verb::ALL.iter().enumerate().map(group::<F>).collect();
    let groups = Vec::leak(groups);
    Box::leak(Box::new(ContextAttributes {
        version: 1,
        reserved: 0,
        context: wide(CONTEXT).as_ptr(),
        helper: HELPER,
        flags: FLAGS,
        priority: 0,
        top_count: 0,
        top: null(),
        group_count: groups.len() as u32,
        groups: groups.as_ptr(),
        unused: [null(); 5],
    }))
}

fn group<F: Form>((index, verb): (usize, &Verb)) -> Group {
    let own = COMMANDS.iter().zip(HANDLERS).enumerate();
    let own = own.filter(|(_, (command, _))| command.verb == *verb);
    let entries: Vec<F> = own.map(|(at, own)| F::of(entry(at, own))).collect();
    Group {
        token: wide(verb.name()).as_ptr(),
        help: strings::verb(index),
        count: entries.len() as u32,
        flags: PRIVATE,
        entries: Vec::leak(entries).as_ptr().cast(),
        version_check: null(),
    }
}

fn entry(index: usize, (command, handler): (&Command, Handler)) -> Entry {
    Entry {
        token: wide(command.object).as_ptr(),
        handler,
        line: strings::line(index),
        page: strings::page(index),
        flags: PRIVATE,
        version_check: null(),
    }
}

/// A text as Windows wants it; it stays.
pub(crate) fn wide(text: &str) -> &'static [u16] {
    Vec::leak(text.encode_utf16().chain([0]).collect())
}

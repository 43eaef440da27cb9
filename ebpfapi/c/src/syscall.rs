//! `bpf()`: commands with their attributes in one structure, laid out as the system call of Linux has it.
//!
//! The structure may be shorter than what is known here, then the rest counts as zero, or longer, then
//! the rest must be zero. Every command is a row of [`COMMANDS`] that calls the function of `bpf/bpf.h`;
//! fields beyond those of a row are not supported and must be zero too.

use crate::bpf::{self, Log, New, TestRunOpts};
use crate::error::{Fault, done, number};
use crate::exports;
use crate::fd;
use crate::info::LINUX;
use crate::link;
use crate::map;
use crate::raw::{Input, Output, Text};
use std::ffi::{CStr, c_int};

/// Longest structure that is looked at.
const MOST_BYTES: usize = 4096;
/// Room for names with their zero.
const NAME: usize = 16;

/// A command.
struct Command {
    number: c_int,
    /// Bytes of its attributes.
    bytes: usize,
    run: fn(&Attr) -> c_int,
}

const fn row(number: c_int, bytes: usize, run: fn(&Attr) -> c_int) -> Command {
    Command { number, bytes, run }
}

/// The commands, with the numbers of `enum bpf_cmd_id`.
#[rustfmt::skip] // One row, one line.
const COMMANDS: &[Command] = &[
    row(0, 48, |attr| number(attr.create_map())),
    row(1, 32, |attr| attr.without_flags(24, || map::bpf_map_lookup_elem(attr.fd(0), attr.input(8), attr.output(16)))),
    row(2, 32, |attr| map::bpf_map_update_elem(attr.fd(0), attr.input(8), attr.input(16), attr.word(24))),
    row(3, 16, |attr| map::bpf_map_delete_elem(attr.fd(0), attr.input(8))),
    row(4, 24, |attr| map::bpf_map_get_next_key(attr.fd(0), attr.input(8), attr.output(16))),
    row(5, 72, |attr| number(attr.load_program())),
    row(6, 16, |attr| attr.without_flags(12, || bpf::bpf_obj_pin(attr.fd(8), attr.text(0)))),
    row(7, 16, |attr| attr.without_flags(8, || bpf::bpf_obj_get(attr.text(0)))),
    row(8, 16, |attr| bpf::bpf_prog_attach(attr.fd(4), attr.fd(0), attr.fd(8), attr.number(12))),
    row(9, 16, |attr| bpf::bpf_prog_detach(attr.fd(0), attr.fd(8))),
    row(10, 76, |attr| done(attr.run_program())),
    row(11, 8, |attr| attr.next_id(|after, next| bpf::bpf_prog_get_next_id(after, next))),
    row(12, 8, |attr| attr.next_id(|after, next| bpf::bpf_map_get_next_id(after, next))),
    row(13, 4, |attr| bpf::bpf_prog_get_fd_by_id(attr.number(0))),
    row(14, 4, |attr| bpf::bpf_map_get_fd_by_id(attr.number(0))),
    row(15, 16, |attr| done(attr.info())),
    row(21, 32, |attr| attr.without_flags(24, || map::bpf_map_lookup_and_delete_elem(attr.fd(0), attr.input(8), attr.output(16)))),
    row(30, 4, |attr| bpf::bpf_link_get_fd_by_id(attr.number(0))),
    row(31, 8, |attr| attr.next_id(|after, next| bpf::bpf_link_get_next_id(after, next))),
    row(34, 4, |attr| link::bpf_link_detach(attr.fd(0))),
    row(35, 12, |attr| attr.without_flags(8, || bpf::bpf_prog_bind_map(attr.fd(0), attr.fd(4), attr.input(12)))),
];

/// The attributes of a command, as long as the command has them.
struct Attr {
    bytes: Vec<u8>,
    memory: Output,
    /// Bytes that the caller has.
    given: usize,
}

impl Attr {
    fn read(memory: Output, size: u32, known: usize) -> Result<Attr, Fault> {
        let given = size as usize;
        if given > MOST_BYTES {
            return Err(Fault::INVALID);
        }
        let mut bytes = memory.before().bytes(given)?;
        if bytes.iter().skip(known).any(|byte| *byte != 0) {
            return Err(Fault::INVALID);
        }
        bytes.resize(known, 0);
        let attr = Attr {
            bytes,
            memory,
            given,
        };
        Ok(attr)
    }

    /// Bytes at an offset; zeroes behind the end.
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut array = [0; N];
        for (to, from) in array.iter_mut().zip(self.bytes.iter().skip(offset)) {
            *to = *from;
        }
        array
    }

    fn number(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.array(offset))
    }

    fn word(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.array(offset))
    }

    /// A descriptor, or the number of a type.
    fn fd(&self, offset: usize) -> c_int {
        c_int::from_ne_bytes(self.array(offset))
    }

    fn input(&self, offset: usize) -> Input {
        Input::at(self.word(offset))
    }

    fn output(&self, offset: usize) -> Output {
        Output::at(self.word(offset))
    }

    fn text(&self, offset: usize) -> Text {
        Text::at(self.word(offset))
    }

    /// Stores a result, where the caller has room for it.
    fn give(&self, offset: usize, number: u32) -> Result<(), Fault> {
        match offset + size_of::<u32>() <= self.given {
            true => self.memory.write_at(offset, &number.to_ne_bytes()),
            false => Ok(()),
        }
    }

    /// Fields from an offset to the end must be zero.
    fn without_flags(&self, offset: usize, call: impl FnOnce() -> c_int) -> c_int {
        match self.bytes.iter().skip(offset).all(|byte| *byte == 0) {
            true => call(),
            false => Fault::INVALID.tell(),
        }
    }

    /// A name, which has its zero.
    fn with_name<T>(
        &self,
        offset: usize,
        call: impl FnOnce(Text) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let bytes: [u8; NAME] = self.array(offset);
        let name = CStr::from_bytes_until_nul(&bytes).map_err(|_| Fault::INVALID)?;
        call(Text::of(name))
    }

    fn create_map(&self) -> Result<c_int, Fault> {
        let new = map::New {
            map_type: self.fd(0),
            sizes: [self.number(4), self.number(8), self.number(12)],
            flags: self.number(16),
            inner: self.fd(20),
        };
        self.with_name(28, |name| map::create(name, &new))
    }

    fn load_program(&self) -> Result<c_int, Fault> {
        if self.number(44) != 0 {
            return Err(Fault::INVALID);
        }
        self.with_name(48, |name| {
            let new = New {
                number: self.fd(0),
                name: name.get()?,
                expected: self.fd(68),
                log: Log {
                    buffer: self.output(32),
                    bytes: self.number(28) as usize,
                },
            };
            bpf::load(&new, self.input(8), self.number(4) as usize)
        })
    }

    fn run_program(&self) -> Result<(), Fault> {
        let mut opts = TestRunOpts {
            sz: size_of::<TestRunOpts>(),
            data_in: self.input(16),
            data_out: self.output(24),
            data_size_in: self.number(8),
            data_size_out: self.number(12),
            ctx_in: self.input(48),
            ctx_out: self.output(56),
            ctx_size_in: self.number(40),
            ctx_size_out: self.number(44),
            retval: 0,
            repeat: self.fd(32),
            duration: 0,
            flags: self.number(64),
            cpu: self.number(68),
            batch_size: self.number(72),
        };
        bpf::run(&fd::program(self.fd(0))?, &mut opts)?;
        self.give(4, opts.retval)?;
        self.give(12, opts.data_size_out)?;
        self.give(36, opts.duration)?;
        self.give(44, opts.ctx_size_out)
    }

    fn next_id(&self, call: impl FnOnce(u32, Option<&mut u32>) -> c_int) -> c_int {
        let mut next = 0;
        match call(self.number(0), Some(&mut next)) {
            0 => done(self.give(4, next)),
            error => error,
        }
    }

    fn info(&self) -> Result<(), Fault> {
        let mut length = self.number(4);
        LINUX.give(&fd::get(self.fd(0))?, self.output(8), &mut length)?;
        self.give(4, length)
    }
}

exports! {
    /// Runs a command; gives what its function gives.
    fn bpf(command: c_int, attr: Output, size: u32) -> c_int {
        let mut rows = COMMANDS.iter();
        let Some(row) = rows.find(|row| row.number == command) else {
            return Fault::INVALID.tell();
        };
        match Attr::read(attr, size, row.bytes) {
            Ok(attr) => (row.run)(&attr),
            Err(fault) => fault.tell(),
        }
    }
}

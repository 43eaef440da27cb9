//! What happens when native code faults: a message that names program, address and place, and the
//! end of the process with status 3.
//!
//! Verified code does not fault, so a fault is a bug; the process cannot go on, since Rust has no
//! way to leave a signal handler by another path than it came. The handler acts only on threads
//! that are inside [`Watch`]; elsewhere it steps aside for whoever was there before. It uses no
//! allocation, no locks and only functions that signal handlers may call.
#![expect(unsafe_code, reason = "installs a signal handler")]

use abi::diagnostic::RUN_FAULT;
use std::cell::Cell;
use std::fmt::{self, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::null;
use std::sync::OnceLock;

/// Exit status: an internal bug.
const EXIT_BUG: i32 = 3;
const SIGNALS: [(i32, &str); 4] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGILL, "SIGILL"),
];

thread_local! {
    /// The innermost watch of this thread. Constant initialisation and no destructor: reading it
    /// in a signal handler runs no code.
    static WATCHED: Cell<*const Watched> = const { Cell::new(null()) };
}

/// What runs.
struct Watched {
    name: *const u8,
    name_len: usize,
    /// Mapped image: first byte and size.
    image: (u64, u64),
    outer: *const Watched,
}

/// While it lives, faults on this thread are reported in the name of a program.
pub(crate) struct Watch<'a> {
    watched: Box<Watched>,
    name: PhantomData<&'a str>,
}

impl<'a> Watch<'a> {
    /// Watches this thread.
    pub(crate) fn new(name: &'a str, image: (u64, u64)) -> Watch<'a> {
        install();
        let watched = Box::new(Watched {
            name: name.as_ptr(),
            name_len: name.len(),
            image,
            outer: WATCHED.get(),
        });
        WATCHED.set(&raw const *watched);
        Watch {
            watched,
            name: PhantomData,
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        WATCHED.set(self.watched.outer);
    }
}

type Handlers = [libc::sigaction; SIGNALS.len()];
static BEFORE: OnceLock<Handlers> = OnceLock::new();

fn install() {
    BEFORE.get_or_init(|| {
        SIGNALS.map(|(signal, _)| {
            let mut before = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: all-zero is a valid `sigaction`: default action, empty mask. The handler has
            // the type that SA_SIGINFO asks for and only does what handlers may do.
            unsafe {
                let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
                action.sa_sigaction = handler as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigaction(signal, &raw const action, before.as_mut_ptr());
                before.assume_init()
            }
        })
    });
}

extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let watched = WATCHED.get();
    if watched.is_null() {
        step_aside(signal);
        return;
    }
    // SAFETY: a watch keeps what it points at alive until it is dropped, which this thread is not
    // doing now; the system passes a valid structure.
    let (watched, address) = unsafe { (&*watched, (*info).si_addr() as u64) };
    // SAFETY: as above; the name was a `str`.
    let name = unsafe {
        let bytes = std::slice::from_raw_parts(watched.name, watched.name_len);
        std::str::from_utf8_unchecked(bytes)
    };
    let signal_name = SIGNALS.iter().find(|(number, _)| *number == signal);
    let mut text = Text::default();
    let _ = write!(
        text,
        "error[{RUN_FAULT}]: native code of program `{name}` faulted: {} at address {address:#x}",
        signal_name.map_or("signal", |(_, name)| name)
    );
    if let Some(at) = instruction(context) {
        let (base, len) = watched.image;
        let _ = match at.checked_sub(base).filter(|offset| *offset < len) {
            Some(rva) => write!(text, ", instruction at image offset {rva:#x}"),
            None => write!(text, ", instruction at {at:#x}, outside of the image"),
        };
    }
    let _ = text.write_str("\n");
    // SAFETY: a buffer on this stack; both functions may be called in signal handlers.
    unsafe {
        libc::write(2, text.bytes.as_ptr().cast(), text.len);
        libc::_exit(EXIT_BUG)
    }
}

/// Puts the earlier handler back; the faulting instruction runs again and meets it.
fn step_aside(signal: i32) {
    let before = BEFORE.get().and_then(|before| {
        let at = SIGNALS.iter().position(|(number, _)| *number == signal)?;
        before.get(at)
    });
    // SAFETY: the structure came from the system, or none restores the default action.
    unsafe {
        match before {
            Some(before) => {
                libc::sigaction(signal, before, std::ptr::null_mut());
            }
            None => {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn instruction(context: *mut libc::c_void) -> Option<u64> {
    // SAFETY: with SA_SIGINFO the third argument is a `ucontext_t`.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    Some(context.uc_mcontext.gregs[libc::REG_RIP as usize] as u64)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn instruction(_: *mut libc::c_void) -> Option<u64> {
    None
}

/// A line of text of bounded length.
struct Text {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Text {
    fn default() -> Text {
        Text {
            bytes: [0; 512],
            len: 0,
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = part.len().min(room.len());
        room[..len].copy_from_slice(&part.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

//! Errors as C sees them: a negative errno, errno itself, and the last message of the thread.

use crate::raw::runtime;
use client::{EbpfResult, Error};
use std::cell::RefCell;
use std::ffi::{CString, c_int};

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Why a function fails.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) errno: c_int,
    pub(crate) result: EbpfResult,
    message: Option<String>,
}

impl Fault {
    /// An argument makes no sense.
    pub(crate) const INVALID: Fault = Fault {
        errno: 22,
        result: EbpfResult::InvalidArgument,
        message: None,
    };
    /// No such descriptor, or of another kind.
    pub(crate) const BAD_FD: Fault = Fault {
        errno: 9,
        result: EbpfResult::InvalidFd,
        message: None,
    };
    /// There is none.
    pub(crate) const MISSING: Fault = Fault {
        errno: 2,
        result: EbpfResult::ObjectNotFound,
        message: None,
    };
    /// No row of a table has this name.
    pub(crate) const NO_KEY: Fault = Fault {
        errno: 2,
        result: EbpfResult::KeyNotFound,
        message: None,
    };
    /// It exists already, or was done already.
    pub(crate) const EXISTS: Fault = Fault {
        errno: 17,
        result: EbpfResult::ObjectAlreadyExists,
        message: None,
    };
    /// It cannot be changed any more.
    pub(crate) const BUSY: Fault = Fault {
        errno: 16,
        result: EbpfResult::InvalidState,
        message: None,
    };
    /// There are more than there is room for.
    pub(crate) const TOO_MANY: Fault = Fault {
        errno: 12,
        result: EbpfResult::NoMemory,
        message: None,
    };
    /// There are no more.
    pub(crate) const END: Fault = Fault {
        errno: 2,
        result: EbpfResult::NoMoreKeys,
        message: None,
    };
    /// The process has no descriptors left.
    pub(crate) const NO_FD: Fault = Fault {
        errno: 24,
        result: EbpfResult::NoMemory,
        message: None,
    };
    /// The buffer is too small.
    pub(crate) const NO_ROOM: Fault = Fault {
        errno: 28,
        result: EbpfResult::InsufficientBuffer,
        message: None,
    };
    /// A callback of the program wants to end.
    pub(crate) fn of_callback(error: c_int) -> Fault {
        Fault {
            errno: error.saturating_neg(),
            result: EbpfResult::Canceled,
            message: None,
        }
    }

    /// An argument that makes no sense, and why.
    pub(crate) fn invalid(message: String) -> Fault {
        Fault {
            message: Some(message),
            ..Fault::INVALID
        }
    }

    /// The store of program types needs what is not here.
    #[cfg(not(windows))]
    pub(crate) fn no_registry() -> Fault {
        Fault {
            errno: 95,
            result: EbpfResult::OperationNotSupported,
            message: Some(
                "the store of program types is in the registry, which only Windows has".to_owned(),
            ),
        }
    }

    /// Stores it where C looks for it; gives the negative errno.
    pub(crate) fn tell(self) -> c_int {
        let message = self.message.unwrap_or_default();
        let message = message.replace('\0', " ");
        LAST.with_borrow_mut(|last| *last = CString::new(message).unwrap_or_default());
        runtime::set_errno(self.errno);
        -self.errno
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault {
            errno: error.errno(),
            result: error.status(),
            message: Some(error.to_string()),
        }
    }
}

/// The message of the last error of this thread; it stays until the next one.
pub(crate) fn last() -> *const std::ffi::c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

/// The same, as a copy.
pub(crate) fn text() -> String {
    LAST.with_borrow(|last| last.to_string_lossy().into_owned())
}

/// 0, or a negative errno.
pub(crate) fn done(result: Result<(), Fault>) -> c_int {
    number(result.map(|()| 0))
}

/// A number, or a negative errno.
pub(crate) fn number(result: Result<c_int, Fault>) -> c_int {
    result.unwrap_or_else(Fault::tell)
}

/// A result code of eBPF for Windows; the message is kept, errno too.
pub(crate) fn code(result: Result<(), Fault>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(fault) => {
            let code = fault.result as c_int;
            fault.tell();
            code
        }
    }
}

/// Something, or NULL with errno.
pub(crate) fn some<T>(result: Result<T, Fault>) -> Option<T> {
    result
        .map_err(|fault| {
            fault.tell();
        })
        .ok()
}

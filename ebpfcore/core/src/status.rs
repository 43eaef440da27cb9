//! Result codes of the runtime: the numbers of `ebpf_result_t`, and their Linux counterparts.
//!
//! Programs see a failed helper as a negative number; which number depends on whose numbering the
//! program was written for. The codes are a subset: those that the portable runtime can produce.

use core::fmt;

/// Why an operation failed. The discriminants are the `ebpf_result_t` numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum Status {
    /// The verifier refused the program.
    VerificationFailed = 1,
    /// An object of another kind was expected, or a template does not match.
    InvalidObject = 5,
    /// A handle or id of the wrong kind was stored.
    InvalidFd = 4,
    /// An argument is out of its documented range.
    InvalidArgument = 6,
    /// No such object, slot or element.
    ObjectNotFound = 7,
    /// The object exists already.
    ObjectAlreadyExists = 8,
    /// Memory, or the room of a ring buffer, is exhausted.
    NoMemory = 12,
    /// The operation failed for a reason of the platform.
    Failed = 17,
    /// The map type does not have this operation.
    OperationNotSupported = 18,
    /// The key is not in the map.
    KeyNotFound = 19,
    /// The caller may not do this.
    AccessDenied = 20,
    /// Policy forbids it: code that was made in memory never runs here.
    BlockedByPolicy = 21,
    /// A size computation left the address space.
    ArithmeticOverflow = 22,
    /// A function that the module needs has no provider.
    ExtensionFailedToLoad = 23,
    /// The caller's buffer is too small.
    InsufficientBuffer = 24,
    /// Iteration is complete.
    NoMoreKeys = 25,
    /// `NOEXIST` was given and the key is in the map.
    KeyAlreadyExists = 26,
    /// The limit of chained tail calls is reached.
    NoMoreTailCalls = 27,
    /// The request is completed later.
    Pending = 28,
    /// The map holds `max_entries` elements.
    OutOfSpace = 29,
    /// The request was given up before it was done.
    Canceled = 30,
    /// The object is in another state than the operation needs.
    InvalidState = 34,
}

impl Status {
    /// The `ebpf_result_t` number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The errno that Linux returns in the same situation.
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Status::ObjectNotFound | Status::KeyNotFound | Status::NoMoreKeys => 2, // ENOENT
            Status::OutOfSpace | Status::NoMoreTailCalls => 7,                      // E2BIG
            Status::InvalidFd => 9,                                                 // EBADF
            Status::NoMemory => 12,                                                 // ENOMEM
            Status::ObjectAlreadyExists | Status::KeyAlreadyExists => 17,           // EEXIST
            Status::Pending => 11,                                                  // EAGAIN
            Status::AccessDenied => 13,                                             // EACCES
            Status::BlockedByPolicy => 1,                                           // EPERM
            Status::Canceled => 125,                                                // ECANCELED
            Status::InsufficientBuffer => 28,                                       // ENOSPC
            Status::ArithmeticOverflow => 75,                                       // EOVERFLOW
            Status::OperationNotSupported => 95,                                    // EOPNOTSUPP
            Status::InvalidObject
            | Status::InvalidArgument
            | Status::InvalidState
            | Status::VerificationFailed
            | Status::Failed
            | Status::ExtensionFailedToLoad => 22, // EINVAL
        }
    }

    /// What happened, in a few words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Status::VerificationFailed => "the verifier refused the program",
            Status::BlockedByPolicy => "policy does not allow it",
            Status::Pending => "the request is completed later",
            Status::Canceled => "the request was cancelled",
            Status::AccessDenied => "the caller may not do this",
            Status::InvalidState => "the object is in another state",
            Status::InvalidObject => "the object does not match what is expected",
            Status::InvalidFd => "the object is of another kind",
            Status::InvalidArgument => "an argument is invalid",
            Status::ObjectNotFound => "there is no such element",
            Status::ObjectAlreadyExists => "the object exists already",
            Status::NoMemory => "out of memory",
            Status::Failed => "the operation failed",
            Status::OperationNotSupported => "the map type does not support this operation",
            Status::KeyNotFound => "the key is not in the map",
            Status::ArithmeticOverflow => "a size is too large",
            Status::ExtensionFailedToLoad => "no provider implements a needed function",
            Status::InsufficientBuffer => "the buffer is too small",
            Status::NoMoreKeys => "there are no more keys",
            Status::KeyAlreadyExists => "the key is in the map already",
            Status::NoMoreTailCalls => "too many tail calls",
            Status::OutOfSpace => "the map is full",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.text(), self.number())
    }
}

impl core::error::Error for Status {}

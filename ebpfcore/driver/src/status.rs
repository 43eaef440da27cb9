//! Results of the runtime as codes of the kernel, in one table.

use ebpfcore::Status;
use wdk::nt::*;

/// The code that says the same; user-mode libraries turn it back.
pub(crate) fn of(status: Status) -> i32 {
    match status {
        Status::VerificationFailed => STATUS_VERIFIER_STOP,
        Status::InvalidFd => STATUS_INVALID_HANDLE,
        Status::InvalidObject => STATUS_INVALID_DEVICE_REQUEST,
        Status::InvalidArgument => STATUS_INVALID_PARAMETER,
        Status::ObjectNotFound => STATUS_OBJECT_PATH_NOT_FOUND,
        Status::ObjectAlreadyExists => STATUS_OBJECTID_EXISTS,
        Status::NoMemory => STATUS_NO_MEMORY,
        Status::Failed => STATUS_UNSUCCESSFUL,
        Status::OperationNotSupported => STATUS_NOT_SUPPORTED,
        Status::KeyNotFound => STATUS_NOT_FOUND,
        Status::AccessDenied => STATUS_ACCESS_DENIED,
        Status::BlockedByPolicy => STATUS_CONTENT_BLOCKED,
        Status::ArithmeticOverflow => STATUS_INTEGER_OVERFLOW,
        Status::ExtensionFailedToLoad => STATUS_DRIVER_UNABLE_TO_LOAD,
        Status::InsufficientBuffer => STATUS_BUFFER_OVERFLOW,
        Status::NoMoreKeys => STATUS_NO_MORE_MATCHES,
        Status::KeyAlreadyExists => STATUS_ALREADY_REGISTERED,
        Status::NoMoreTailCalls => STATUS_TOO_MANY_NODES,
        Status::Pending => STATUS_PENDING,
        Status::OutOfSpace => STATUS_INSUFFICIENT_RESOURCES,
        Status::Canceled => STATUS_CANCELLED,
        Status::InvalidState => STATUS_INVALID_STATE_TRANSITION,
    }
}

/// Fails where the kernel failed.
pub(crate) fn check(code: i32) -> Result<(), i32> {
    if code < 0 { Err(code) } else { Ok(()) }
}

//! Values of `NTSTATUS`, as far as the stand-ins return or compare them.

/// Success.
pub const SUCCESS: u32 = 0;
/// The wait ended because its time did.
pub const TIMEOUT: u32 = 0x102;
/// The operation completes later.
pub const PENDING: u32 = 0x103;
/// The buffer held a part.
pub const BUFFER_OVERFLOW: u32 = 0x8000_0005;
/// The buffer is shorter than what was asked for.
pub const INFO_LENGTH_MISMATCH: u32 = 0xc000_0004;
/// Not a handle of the expected kind.
pub const INVALID_HANDLE: u32 = 0xc000_0008;
/// An argument is wrong.
pub const INVALID_PARAMETER: u32 = 0xc000_000d;
/// The device does not know the request.
pub const INVALID_DEVICE_REQUEST: u32 = 0xc000_0010;
/// Nothing follows.
pub const END_OF_FILE: u32 = 0xc000_0011;
/// There are no more entries.
pub const NO_MORE_ENTRIES: u32 = 0x8000_001a;
/// The caller may not do it.
pub const ACCESS_DENIED: u32 = 0xc000_0022;
/// The buffer does not even hold the fixed part.
pub const BUFFER_TOO_SMALL: u32 = 0xc000_0023;
/// No key or value of the name.
pub const OBJECT_NAME_NOT_FOUND: u32 = 0xc000_0034;
/// Something of the name exists already.
pub const OBJECT_NAME_COLLISION: u32 = 0xc000_0035;
/// The path is not absolute.
pub const OBJECT_PATH_SYNTAX_BAD: u32 = 0xc000_003b;
/// No memory, or no other resource.
pub const INSUFFICIENT_RESOURCES: u32 = 0xc000_009a;
/// The function is simulated, this use of it is not.
pub const NOT_SUPPORTED: u32 = 0xc000_00bb;
/// There is no such thing.
pub const NOT_FOUND: u32 = 0xc000_0225;
/// The client does not attach to this provider.
pub const NOINTERFACE: u32 = 0xc000_02b9;

/// Whether a status is an error.
#[must_use]
pub const fn is_error(status: u32) -> bool {
    status >> 30 == 3
}

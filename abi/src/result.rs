//! `ebpf_result_t` codes, with their NTSTATUS and Win32 names.
//!
//! Helpers return the negated code; IOCTLs complete with the NTSTATUS, which user mode turns into
//! the Win32 code and back. Source: `ebpf_result.h` and the error mapping of eBPF for Windows.

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The code.
    pub code: EbpfResult,
    /// Name, as in `EBPF_<NAME>`.
    pub name: &'static str,
    /// NTSTATUS.
    pub ntstatus: u32,
    /// Win32 error code.
    pub win32: u32,
}

macro_rules! results {
    ($($variant:ident = $number:literal, $name:literal, $status:literal, $win32:literal;)*) => {
        /// Result of an operation of the runtime.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i32)]
        pub enum EbpfResult {
            $(
                #[doc = concat!("`EBPF_", $name, "`")]
                $variant = $number,
            )*
        }
        /// All rows, ascending by code.
        pub static TABLE: &[Row] = &[
            $(Row { code: EbpfResult::$variant, name: $name, ntstatus: $status, win32: $win32 },)*
        ];
    };
}

#[rustfmt::skip] // one row, one line
results! {
    Success = 0, "SUCCESS", 0x0000_0000, 0;
    VerificationFailed = 1, "VERIFICATION_FAILED", 0xC000_0421, 537;
    JitCompilationFailed = 2, "JIT_COMPILATION_FAILED", 0xC000_0073, 1332;
    ProgramLoadFailed = 3, "PROGRAM_LOAD_FAILED", 0xC015_0026, 14109;
    InvalidFd = 4, "INVALID_FD", 0xC000_0008, 6;
    InvalidObject = 5, "INVALID_OBJECT", 0xC000_0010, 1;
    InvalidArgument = 6, "INVALID_ARGUMENT", 0xC000_000D, 87;
    ObjectNotFound = 7, "OBJECT_NOT_FOUND", 0xC000_003A, 3;
    ObjectAlreadyExists = 8, "OBJECT_ALREADY_EXISTS", 0xC000_022B, 5010;
    FileNotFound = 9, "FILE_NOT_FOUND", 0xC000_000F, 2;
    AlreadyPinned = 10, "ALREADY_PINNED", 0x4000_0000, 698;
    NotPinned = 11, "NOT_PINNED", 0xC000_0264, 288;
    NoMemory = 12, "NO_MEMORY", 0xC000_0017, 8;
    ProgramTooLarge = 13, "PROGRAM_TOO_LARGE", 0xC000_00C1, 56;
    RpcException = 14, "RPC_EXCEPTION", 0xC002_001B, 1726;
    AlreadyInitialized = 15, "ALREADY_INITIALIZED", 0xC000_0510, 1247;
    ElfParsingFailed = 16, "ELF_PARSING_FAILED", 0xC000_007B, 193;
    Failed = 17, "FAILED", 0xC000_0001, 31;
    OperationNotSupported = 18, "OPERATION_NOT_SUPPORTED", 0xC000_00BB, 50;
    KeyNotFound = 19, "KEY_NOT_FOUND", 0xC000_0225, 1168;
    AccessDenied = 20, "ACCESS_DENIED", 0xC000_0022, 5;
    BlockedByPolicy = 21, "BLOCKED_BY_POLICY", 0xC000_0804, 1296;
    ArithmeticOverflow = 22, "ARITHMETIC_OVERFLOW", 0xC000_0095, 534;
    ExtensionFailedToLoad = 23, "EXTENSION_FAILED_TO_LOAD", 0xC000_026C, 2001;
    InsufficientBuffer = 24, "INSUFFICIENT_BUFFER", 0x8000_0005, 234;
    NoMoreKeys = 25, "NO_MORE_KEYS", 0xC000_0273, 626;
    KeyAlreadyExists = 26, "KEY_ALREADY_EXISTS", 0xC000_0718, 1359;
    NoMoreTailCalls = 27, "NO_MORE_TAIL_CALLS", 0xC000_020E, 68;
    Pending = 28, "PENDING", 0x0000_0103, 997;
    OutOfSpace = 29, "OUT_OF_SPACE", 0xC000_009A, 1450;
    Canceled = 30, "CANCELED", 0xC000_0120, 995;
    InvalidPointer = 31, "INVALID_POINTER", 0xC000_0005, 998;
    Timeout = 32, "TIMEOUT", 0x0000_0102, 1460;
    StaleId = 33, "STALE_ID", 0xC000_0184, 22;
    InvalidState = 34, "INVALID_STATE", 0xC000_A003, 5023;
}

impl EbpfResult {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // Invariant: the macro makes one row per variant, numbered from 0 without gaps.
        &TABLE[self as usize]
    }

    /// The code of a number.
    #[must_use]
    pub fn from_number(number: i32) -> Option<EbpfResult> {
        let at = usize::try_from(number).ok()?;
        TABLE.get(at).map(|row| row.code)
    }

    /// The first code that maps to this NTSTATUS; anything unknown is a failure without a name.
    #[must_use]
    pub fn from_ntstatus(status: u32) -> EbpfResult {
        TABLE
            .iter()
            .find(|row| row.ntstatus == status)
            .map_or(EbpfResult::Failed, |row| row.code)
    }

    /// The first code that maps to this Win32 error; anything unknown is a failure without a name.
    #[must_use]
    pub fn from_win32(code: u32) -> EbpfResult {
        TABLE
            .iter()
            .find(|row| row.win32 == code)
            .map_or(EbpfResult::Failed, |row| row.code)
    }

    /// What a helper returns in r0 for this result, sign-extended to 64 bits.
    #[must_use]
    pub const fn negated(self) -> i64 {
        -(self as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_indexed_by_code() {
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.code as usize, at, "{}", row.name);
            assert_eq!(row.code.row(), row);
            assert_eq!(EbpfResult::from_number(at as i32), Some(row.code));
            assert_eq!(EbpfResult::from_ntstatus(row.ntstatus), row.code);
        }
        assert_eq!(TABLE.len(), 35);
        assert_eq!(EbpfResult::from_number(-1), None);
        assert_eq!(EbpfResult::from_number(35), None);
        assert_eq!(EbpfResult::from_ntstatus(0xdead_beef), EbpfResult::Failed);
        assert_eq!(EbpfResult::from_win32(1168), EbpfResult::KeyNotFound);
        assert_eq!(EbpfResult::from_win32(0xdead_beef), EbpfResult::Failed);
        assert_eq!(EbpfResult::KeyNotFound.negated(), -19);
    }

    #[test]
    fn statuses_have_the_severity_their_meaning_needs() {
        for row in TABLE {
            let severity = row.ntstatus >> 30;
            let may_pass = matches!(
                row.code,
                EbpfResult::Success | EbpfResult::Pending | EbpfResult::Timeout
            );
            assert_eq!(severity == 0, may_pass, "{}", row.name);
        }
    }
}

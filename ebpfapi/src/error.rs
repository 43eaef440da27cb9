//! Errors: what was tried, why it failed, and what to do about it.

use abi::diagnostic as d;
use abi::ioctl::Malformed;
use abi::result::EbpfResult;
use std::fmt;
use std::io;

/// An operation that failed.
#[derive(Debug)]
pub struct Error {
    doing: String,
    cause: Cause,
}

/// Why an operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The runtime refuses the request.
    Runtime(EbpfResult),
    /// There is no runtime to ask.
    NotRunning,
    /// The caller may not ask the runtime.
    Denied,
    /// The operating system refuses.
    System {
        /// What it was asked.
        what: &'static str,
        /// Its error code.
        code: u32,
    },
    /// A reply is not what the protocol says.
    Malformed(Malformed),
    /// A reply has other fields than the request asks for.
    OtherReply,
    /// The message would have too many bytes.
    TooLarge {
        /// Bytes it would have.
        bytes: usize,
    },
    /// A file cannot be read.
    Read(io::Error),
    /// The object file is not understood.
    Object(program::LoadError),
    /// The bytecode cannot be written into a message.
    Bytecode(isa::encode::EncodeError),
    /// The driver file is not understood.
    Image(image::Error),
    /// The file is neither an object nor a module.
    NotLoadable(&'static str),
    /// The verifier in this process refuses a program.
    Refused(Refusal),
    /// The verifier of the runtime refuses a program.
    RefusedByRuntime(Refusal),
    /// The service manager refuses.
    Service {
        /// What it was asked.
        what: &'static str,
        /// Its error code, 0 where there is none.
        code: u32,
    },
    /// The driver of a module did not start or attach.
    Module(String),
    /// The call does not fit the object.
    Input(String),
}

/// What a verifier says about a program that it refuses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The program.
    pub program: String,
    /// Its report.
    pub report: String,
}

impl Error {
    /// An error from what was tried, as in "create map counts", and why it failed.
    #[must_use]
    pub fn new(doing: impl Into<String>, cause: impl Into<Cause>) -> Error {
        Error {
            doing: doing.into(),
            cause: cause.into(),
        }
    }

    /// The call does not fit.
    pub(crate) fn input(doing: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::new(doing, Cause::Input(problem.into()))
    }

    /// The same, from the view of a caller.
    pub(crate) fn while_doing(self, doing: String) -> Error {
        Error { doing, ..self }
    }

    /// Why it failed.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What was tried.
    #[must_use]
    pub fn doing(&self) -> &str {
        &self.doing
    }

    /// The stable id.
    #[must_use]
    pub fn code(&self) -> abi::Code {
        self.cause.code()
    }

    /// The result code of eBPF for Windows.
    #[must_use]
    pub fn status(&self) -> EbpfResult {
        self.cause.status()
    }

    /// The errno that libbpf gives, positive.
    #[must_use]
    pub fn errno(&self) -> i32 {
        errno(self.status())
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        self.cause.advice()
    }

    /// The report of the verifier, when a program was refused.
    #[must_use]
    pub fn report(&self) -> Option<&str> {
        self.refusal().map(|refusal| refusal.report.as_str())
    }

    /// The program that was refused, and why.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.cause {
            Cause::Refused(refusal) | Cause::RefusedByRuntime(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the runtime said this.
    #[must_use]
    pub fn is(&self, result: EbpfResult) -> bool {
        matches!(self.cause, Cause::Runtime(found) if found == result)
    }
}

impl Cause {
    /// The stable id.
    #[must_use]
    pub fn code(&self) -> abi::Code {
        match self {
            Cause::Runtime(_) | Cause::RefusedByRuntime(_) => d::API_REFUSED,
            Cause::NotRunning => d::API_NOT_RUNNING,
            Cause::Denied => d::API_DENIED,
            Cause::System { .. } => d::API_SYSTEM,
            Cause::Malformed(_) | Cause::OtherReply => d::API_PROTOCOL,
            Cause::TooLarge { .. } => d::API_TOO_LARGE,
            Cause::Read(_) => d::ELF_UNREADABLE,
            Cause::Object(error) => error.code(),
            Cause::Bytecode(_) | Cause::NotLoadable(_) => d::API_FILE,
            Cause::Image(error) => error.code(),
            Cause::Refused(_) => d::API_REFUSED,
            Cause::Service { .. } => d::API_SERVICE,
            Cause::Module(_) => d::API_MODULE,
            Cause::Input(_) => d::API_INPUT,
        }
    }

    /// The result code of eBPF for Windows.
    #[must_use]
    pub fn status(&self) -> EbpfResult {
        match self {
            Cause::Runtime(result) => *result,
            Cause::NotRunning => EbpfResult::FileNotFound,
            Cause::Denied => EbpfResult::AccessDenied,
            Cause::System { code: 2 | 3, .. } => EbpfResult::FileNotFound,
            Cause::System { code: 5, .. } => EbpfResult::AccessDenied,
            Cause::Malformed(_) | Cause::OtherReply | Cause::System { .. } => EbpfResult::Failed,
            Cause::TooLarge { .. } => EbpfResult::ProgramTooLarge,
            Cause::Read(error) => match error.kind() {
                io::ErrorKind::NotFound => EbpfResult::FileNotFound,
                io::ErrorKind::PermissionDenied => EbpfResult::AccessDenied,
                _ => EbpfResult::Failed,
            },
            Cause::Object(_) | Cause::Bytecode(_) | Cause::Image(_) | Cause::NotLoadable(_) => {
                EbpfResult::ElfParsingFailed
            }
            Cause::Refused(_) | Cause::RefusedByRuntime(_) => EbpfResult::VerificationFailed,
            Cause::Service { code, .. } => match code {
                5 => EbpfResult::AccessDenied,
                _ => EbpfResult::Failed,
            },
            Cause::Module(_) => EbpfResult::ObjectNotFound,
            Cause::Input(_) => EbpfResult::InvalidArgument,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Cause::Runtime(result) => advice_for(*result),
            Cause::Refused(_) | Cause::RefusedByRuntime(_) => {
                "Change the program as the report says; `bpf2native verify` shows more."
            }
            other => d::row(other.code()).map_or("", |row| row.help),
        }
    }
}

/// What to do about results of the runtime that say too little by themselves.
fn advice_for(result: EbpfResult) -> &'static str {
    use EbpfResult as R;
    match result {
        R::AccessDenied => "Run from an administrator's prompt.",
        R::BlockedByPolicy => {
            "Memory integrity forbids code made at run time: compile the program to a driver with bpf2native."
        }
        R::ExtensionFailedToLoad => {
            "No hook or helper of this kind is registered: check the program's section, and that its extension runs."
        }
        R::ObjectAlreadyExists => {
            "Something of this kind is there already: `netsh ebpf show programs` and `show links` list it."
        }
        R::AlreadyPinned => "Choose another path, or unpin what is there.",
        R::NoMemory | R::OutOfSpace => "Free maps, programs or records, or choose smaller sizes.",
        R::InvalidFd => "The handle is closed or names an object of another kind.",
        R::InvalidState => "Load code before the program is used, and load it once.",
        R::OperationNotSupported => "Objects of this type do not have this operation.",
        _ => "",
    }
}

/// The errno that libbpf on Windows gives for a result.
#[must_use]
pub(crate) fn errno(result: EbpfResult) -> i32 {
    use EbpfResult as R;
    match result {
        R::Success => 0,
        R::ObjectNotFound | R::FileNotFound | R::KeyNotFound | R::NoMoreKeys => code::ENOENT,
        R::NoMemory => code::ENOMEM,
        R::OutOfSpace => code::ENOSPC,
        R::VerificationFailed | R::AccessDenied => code::EACCES,
        R::BlockedByPolicy => code::EPERM,
        R::InvalidFd => code::EBADF,
        R::ObjectAlreadyExists | R::AlreadyPinned | R::KeyAlreadyExists => code::EEXIST,
        R::OperationNotSupported => code::ENOTSUP,
        R::InsufficientBuffer => code::ENOBUFS,
        R::ProgramTooLarge | R::NoMoreTailCalls => code::E2BIG,
        R::Timeout | R::Pending => code::EAGAIN,
        R::Canceled => code::ECANCELED,
        R::StaleId => code::ESTALE,
        _ => code::EINVAL,
    }
}

/// Numbers of errno, which are the platform's own.
mod code {
    #[cfg(not(windows))]
    pub(super) use unix::*;
    #[cfg(windows)]
    pub(super) use windows::*;

    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const E2BIG: i32 = 7;
    pub(super) const EBADF: i32 = 9;
    pub(super) const EAGAIN: i32 = 11;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
    pub(super) const EEXIST: i32 = 17;
    pub(super) const EINVAL: i32 = 22;
    pub(super) const ENOSPC: i32 = 28;

    /// `errno.h` of the C runtime.
    #[cfg(windows)]
    mod windows {
        pub(in super::super) const ECANCELED: i32 = 105;
        pub(in super::super) const ENOBUFS: i32 = 119;
        pub(in super::super) const ENOTSUP: i32 = 129;
        /// There is none; what was asked for is gone.
        pub(in super::super) const ESTALE: i32 = 2;
    }

    /// `errno.h` of Linux.
    #[cfg(not(windows))]
    mod unix {
        pub(in super::super) const ENOTSUP: i32 = 95;
        pub(in super::super) const ENOBUFS: i32 = 105;
        pub(in super::super) const ESTALE: i32 = 116;
        pub(in super::super) const ECANCELED: i32 = 125;
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.cause)?;
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "\n  help: {advice}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Runtime(result) => {
                write!(f, "{} (EBPF_{})", words(*result), result.row().name)
            }
            Cause::NotRunning => f.write_str("the runtime is not running"),
            Cause::Denied => f.write_str("access to the runtime is denied"),
            Cause::System { what, code } => write!(f, "{what}: error {code} of the system"),
            Cause::Malformed(malformed) => write!(f, "malformed reply: {malformed}"),
            Cause::OtherReply => f.write_str("the reply answers another request"),
            Cause::TooLarge { bytes } => write!(f, "the message would have {bytes} bytes"),
            Cause::Read(error) => error.fmt(f),
            Cause::Object(error) => error.fmt(f),
            Cause::Bytecode(error) => error.fmt(f),
            Cause::Image(error) => error.fmt(f),
            Cause::NotLoadable(what) => f.write_str(what),
            Cause::Refused(refusal) => write!(f, "the verifier refuses it\n{}", refusal.report),
            Cause::RefusedByRuntime(refusal) => {
                let report = &refusal.report;
                write!(f, "the verifier of the runtime refuses it\n{report}")
            }
            Cause::Service { what, code: 0 } => write!(f, "{what}"),
            Cause::Service { what, code } => write!(f, "{what}: error {code}"),
            Cause::Module(problem) | Cause::Input(problem) => f.write_str(problem),
        }
    }
}

/// A result in a few words.
fn words(result: EbpfResult) -> String {
    result.row().name.to_lowercase().replace('_', " ")
}

impl std::error::Error for Error {}

impl From<EbpfResult> for Cause {
    fn from(result: EbpfResult) -> Cause {
        Cause::Runtime(result)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        Cause::Read(error)
    }
}

impl From<program::LoadError> for Cause {
    fn from(error: program::LoadError) -> Cause {
        Cause::Object(error)
    }
}

impl From<image::Error> for Cause {
    fn from(error: image::Error) -> Cause {
        Cause::Image(error)
    }
}

impl From<Malformed> for Cause {
    fn from(error: Malformed) -> Cause {
        Cause::Malformed(error)
    }
}

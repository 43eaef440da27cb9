//! What a command answers.

use std::fmt;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It was done and said what there was to say.
    Done,
    /// It was done and had nothing to say: netsh prints `Ok.`.
    Okay,
    /// It failed and said why.
    Failed,
}

/// What a command prints, and how it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// For the output.
    pub out: String,
    /// For the error output.
    pub err: String,
    /// How it ended.
    pub ending: Ending,
}

impl Answer {
    pub(crate) fn done(out: String) -> Answer {
        Answer {
            out,
            err: String::new(),
            ending: Ending::Done,
        }
    }

    pub(crate) fn okay() -> Answer {
        Answer {
            ending: Ending::Okay,
            ..Answer::done(String::new())
        }
    }

    pub(crate) fn failed(err: String) -> Answer {
        Answer {
            out: String::new(),
            err,
            ending: Ending::Failed,
        }
    }
}

/// Why a command failed: lines for the error output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// A message of one or more lines.
    pub(crate) fn new(message: impl fmt::Display) -> Failure {
        Failure(format!("{message}\n"))
    }

    /// The runtime refused: its number, what could not be done, why, and what to do.
    pub(crate) fn refused(what: impl fmt::Display, error: &ebpfapi::Error) -> Failure {
        let number = error.status().row().win32;
        Failure::new(format_args!("error {number}: could not {what}\n{error}"))
    }

    /// The same behind the word that netsh's commands use.
    pub(crate) fn error(message: impl fmt::Display) -> Failure {
        Failure::new(format_args!("error: {message}"))
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Answer {
        Answer::failed(failure.0)
    }
}

/// What a command comes to.
pub(crate) type Outcome = Result<Answer, Failure>;

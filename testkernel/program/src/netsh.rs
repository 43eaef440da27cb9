//! What is typed behind `netsh ebpf`, without netsh: Wine's loads no helpers.
//!
//! What is left out: contexts, the prompt, helpers; each run is one command.

use ebpfapi::{Client, Error};
use ebpfnetsh::{Ending, Host, NotElevated, Process, Session};
use signing::Signer;
use std::process::ExitCode;

/// The machine under Wine.
struct Machine;

impl Host for Machine {
    fn connect(&self) -> Result<Client, Error> {
        Client::connect()
    }

    /// Nobody here lists the handles of all processes.
    fn processes(&self) -> Result<Vec<Process>, NotElevated> {
        Err(NotElevated)
    }

    /// The stand-ins' interfaces have no names.
    fn interface(&self, _name: &str) -> Option<u32> {
        None
    }

    /// Wine wants no signatures.
    fn signer(&self) -> Result<Option<Signer>, String> {
        Ok(None)
    }
}

/// One command; netsh ends with 1 when it failed.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let answer = Session::new(Box::new(Machine)).run(words);
    print!("{}", answer.out);
    eprint!("{}", answer.err);
    match answer.ending {
        Ending::Done => ExitCode::SUCCESS,
        Ending::Okay => {
            println!("Ok.");
            ExitCode::SUCCESS
        }
        Ending::Failed => ExitCode::FAILURE,
    }
}

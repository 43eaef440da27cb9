//! `testkernel.exe`: what test programs ask the stand-ins, from a command line.
//!
//! ```text
//! testkernel report            what is wrong, what is left, what was said
//! testkernel fail N            the allocation after N further ones fails
//! ```

mod device;

use device::Device;
use std::process::ExitCode;
use testkernel::control::{CONTROL_CODE, Request};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("testkernel: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<String, String> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let request = match words[..] {
        ["report"] => Request::Report,
        ["fail", after] => Request::FailAllocation(after.parse().map_err(|_| "not a number")?),
        _ => return Err("report | fail N".to_owned()),
    };
    let device = Device::open(r"\\.\TestKernel")?;
    let reply = device.control(CONTROL_CODE, &request.encode())?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

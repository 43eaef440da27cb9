//! `gate`: puts driver images on the way of an interface's frames, on Linux.
//!
//! Frames that come in on one interface (`--outside`, a packet socket) pass the XDP programs of the
//! started drivers, in `ebpfcore/sim`, before they reach the other one (`--inside`, a TAP device that
//! the server's network stack has). What goes out is not looked at. Commands come line by line on
//! standard input: `start NAME FILE.sys`, `stop NAME`; its end ends the program. Answers and counts
//! go to standard output. What is left out: speed beyond one system call per frame.

#[cfg(target_os = "linux")]
mod bridge;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use clap::Parser as _;
    match bridge::run(&bridge::Args::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gate: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("gate: packet sockets and TAP devices are there on Linux only");
    std::process::ExitCode::from(2)
}

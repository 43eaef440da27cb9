//! `demo`: a name server under a flood, before, while and after a driver protects it. On Linux.
//!
//! Two network namespaces are joined by a pair of virtual Ethernet devices. On one side the flood and
//! a client that asks names; on the other side `gate` with the driver, and behind it a real name
//! server (dnsmasq). What is measured is what the server's network stack receives, and which
//! questions are answered in time. What is left out: Windows; the same steps under Wine are another
//! script.

#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod record;
#[cfg(target_os = "linux")]
mod story;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    story::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("demo: network namespaces are there on Linux only");
    std::process::ExitCode::from(2)
}

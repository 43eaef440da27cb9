//! `netsh.exe`: a stand-in for Windows' netsh under Wine, whose own loads no helpers.
//!
//! It offers helpers the documented functions of netsh.h, keeps the list of helpers in the registry
//! where Windows keeps it, and takes commands in one line or at a prompt with contexts. What is left
//! out: everything of netsh that is not about helpers, and of netsh.h what neither our helper nor those that
//! match arguments by it call.

#[cfg(windows)]
mod helpers;
#[cfg(windows)]
mod interface;
#[cfg(windows)]
mod shell;
#[cfg(any(windows, test))]
mod tags;
#[cfg(any(windows, test))]
mod words;

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    shell::main()
}

#[cfg(not(windows))]
fn main() -> std::process::ExitCode {
    eprintln!("netsh: this stand-in runs under Wine, by `cargo xtask wine`");
    std::process::ExitCode::from(2)
}

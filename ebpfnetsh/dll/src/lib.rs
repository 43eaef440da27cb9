//! `ebpfnetsh.dll`: the commands of `netsh ebpf` as a helper of Windows' netsh.
//!
//! netsh loads the library, calls `InitHelperDll`, and is given a context `ebpf` with the verbs and
//! objects of the one table of commands. What is typed comes back to a handler, which runs the command
//! and prints what it answers. The interface is that of netsh.h as Microsoft documents it.
//!
//! Left out: remote machines, dumps. It was never loaded by the netsh of Windows; `testkernel/netsh`
//! stands in for that one under Wine.

#[cfg(any(windows, test))]
mod strings;

#[cfg(windows)]
mod interface;
#[cfg(windows)]
mod machine;
#[cfg(windows)]
mod tables;

//! The native module ABI of eBPF for Windows: structures, versions, PE section names.

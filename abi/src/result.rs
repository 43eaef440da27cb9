//! `ebpf_result_t` codes, with their NTSTATUS and Win32 names.

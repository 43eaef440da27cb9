//! The C interface: names and structures of libbpf and of eBPF for Windows over the client of the
//! runtime.
//!
//! Each function is declared once, with [`exports!`]; the module definition file and the check of the
//! headers are derived from the names. Errors are a negative errno, which is also stored in `errno`;
//! [`ebpf_last_error`](ebpf::ebpf_last_error) has the whole message. Objects are named by descriptors
//! ([`fd`]).
//!
//! Invariants: every pointer that C hands over goes through [`raw`]; nothing unwinds into C; a
//! function that fails gives no descriptor away. Left out: what `names.txt` says is absent, with the
//! reasons.

mod bpf;
mod ebpf;
mod error;
mod fd;
mod info;
mod inspect;
mod legacy;
mod link;
mod map;
mod names;
mod native;
mod object;
mod pin;
mod program;
mod raw;
mod ring;
mod store;
mod syscall;
mod verified;

/// Declares functions for C: their definitions, and their names.
macro_rules! exports {
    ($($(#[$meta:meta])* fn $name:ident $(<$life:lifetime>)? ($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {
        /// The names of this file.
        #[cfg(test)]
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(
            $(#[$meta])*
            #[allow(unsafe_code, reason = "exports a name")]
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name $(<$life>)? ($($arg: $kind),*) $(-> $result)? $body
        )*
    };
}

pub(crate) use exports;

#[cfg(test)]
mod tests {
    //! The list of exports that linkers read.
    #![allow(clippy::unwrap_used, reason = "a test may stop")]

    const HEAD: &str = "; Made from the functions of ebpfapi/c/src by their test; BLESS=1 rewrites it.\nLIBRARY ebpfapi\nEXPORTS\n";

    /// The names of all files, ascending.
    fn names() -> Vec<&'static str> {
        let files = [
            super::bpf::NAMES,
            super::ebpf::NAMES,
            super::inspect::NAMES,
            super::legacy::NAMES,
            super::link::NAMES,
            super::map::NAMES,
            super::names::NAMES,
            super::native::NAMES,
            super::object::NAMES,
            super::pin::NAMES,
            super::program::NAMES,
            super::ring::NAMES,
            super::store::NAMES,
            super::syscall::NAMES,
            super::verified::NAMES,
        ];
        let mut names = files.concat();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_definition_file_has_all_names() {
        let names = names();
        let unique = names.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(unique, "each name once");
        let mut text = HEAD.to_owned();
        for name in names {
            text += &format!("    {name}\n");
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ebpfapi.def");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text);
    }

    /// Every function of eBPF for Windows is exported, or absent for a reason that the table states;
    /// nothing else is exported than what the table names as our own.
    #[test]
    fn every_name_of_the_original_is_accounted_for() {
        let mut expected = Vec::new();
        let mut count = 0;
        for line in include_str!("../names.txt").lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            count += 1;
            let (name, reason) = line.split_once(": ").unwrap_or((line, ""));
            match reason.strip_prefix("absent, ") {
                Some(reason) => assert!(!reason.is_empty(), "{line}"),
                None => expected.push(name),
            }
        }
        assert!(count > 170, "the whole list, not {count} names");
        expected.sort_unstable();
        assert_eq!(names(), expected);
    }
}

//! Names of the results that programs return to their hooks.

use crate::program_type::{Platform, ProgramType};

/// One result of one program type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whose.
    pub platform: Platform,
    /// Name of the program type.
    pub program_type: &'static str,
    /// r0.
    pub value: u32,
    /// Name, as in the public headers, without prefix.
    pub name: &'static str,
}

macro_rules! verdicts {
    ($($platform:ident $program_type:literal: $($value:literal $name:literal),*;)*) => {
        /// All named results.
        pub const TABLE: &[Verdict] = &[$($(Verdict {
            platform: Platform::$platform,
            program_type: $program_type,
            value: $value,
            name: $name,
        },)*)*];
    };
}

#[rustfmt::skip] // one row, one line
verdicts! {
    Windows "xdp": 1 "PASS", 2 "DROP", 3 "TX";
    Windows "bind": 0 "PERMIT_SOFT", 1 "DENY", 2 "REDIRECT", 3 "PERMIT_HARD";
    Windows "sock_addr": 0 "REJECT", 1 "PROCEED_SOFT", 2 "PROCEED_HARD";
    Linux "xdp": 0 "ABORTED", 1 "DROP", 2 "PASS", 3 "TX", 4 "REDIRECT";
    Linux "sched_cls": 0 "OK", 1 "RECLASSIFY", 2 "SHOT", 3 "PIPE", 4 "STOLEN", 5 "QUEUED", 6 "REPEAT", 7 "REDIRECT";
}

/// The name of a result.
#[must_use]
pub fn name(program_type: &ProgramType, value: u32) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|row| {
            row.platform == program_type.platform
                && row.program_type == program_type.name
                && row.value == value
        })
        .map(|row| row.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program_type::by_name;

    #[test]
    fn rows_name_types_that_exist_and_results_in_their_range() {
        for row in TABLE {
            let program_type = by_name(row.platform, row.program_type).expect(row.program_type);
            if let Some((low, high)) = program_type.return_range {
                let value = i32::try_from(row.value).unwrap();
                assert!(
                    (low..=high).contains(&value),
                    "{row:?} is outside {low}..={high}"
                );
            }
        }
    }
}

//! Families of programs that grow: straight lines, diamonds, loops, call trees.
//!
//! A program of a family is a prologue and as many units as fit, in the assembler's notation. All
//! read an unknown number from their context (`r6`), so nothing is decided beforehand.

/// A family of programs.
pub(crate) struct Family {
    /// For tables and pictures.
    pub(crate) name: &'static str,
    /// The text of a program of about so many slots.
    pub(crate) program: fn(usize) -> String,
}

pub(crate) const ALL: [Family; 5] = [
    Family {
        name: "straight line",
        program: |slots| sequence(slots, &straight),
    },
    Family {
        name: "diamonds",
        program: |slots| sequence(slots, &diamond),
    },
    Family {
        name: "counting diamonds",
        program: |slots| sequence(slots, &counting_diamond),
    },
    Family {
        name: "nested loops",
        program: |slots| sequence(slots, &nested_loops),
    },
    Family {
        name: "call trees",
        program: call_trees,
    },
];

/// Instructions around the units.
const AROUND: usize = 4;

/// Levels of a call tree below the main program.
const LEVELS: usize = 5;

/// Units one after the other; each gets its number, for its labels.
fn sequence(slots: usize, unit: &dyn Fn(usize) -> String) -> String {
    let units = units(slots, instructions(&unit(0)));
    let body: String = (0..units).map(unit).collect();
    format!("r6 = r1\nr9 = 0\n{body}r0 = r9\nexit\n")
}

/// How many units of a length make about so many slots: rather more, but no more than a program may
/// have.
fn units(slots: usize, length: usize) -> usize {
    let most = (abi::limits::PROGRAM_SLOTS as usize).saturating_sub(length + AROUND);
    slots.min(most).saturating_sub(AROUND).div_ceil(length)
}

/// Lines that are not labels.
fn instructions(text: &str) -> usize {
    text.lines()
        .filter(|line| !line.ends_with(':'))
        .count()
        .max(1)
}

fn straight(_: usize) -> String {
    "r2 = *(u32 *)(r6 +0)
     r2 &= 255
     r3 = r2
     r3 <<= 2
     r3 += r2
     *(u64 *)(r10 -8) = r3
     w4 = w3
     r4 *= 12
     r5 = *(u64 *)(r10 -8)
     r5 ^= r4
     r5 >>= 3
     *(u32 *)(r10 -16) = r5
     r9 = r5
     r9 |= 1
     r9 -= 7
     r9 %= 100
"
    .to_owned()
}

/// Two ways that differ in something that is not read afterwards.
fn diamond(unit: usize) -> String {
    format!(
        "r2 = *(u32 *)(r6 +0)
         if r2 > 100 goto big{unit}
         r3 = 1
         r9 = r2
         goto end{unit}
big{unit}:
         r3 = 2
         r9 = r2
         r9 &= 7
end{unit}:
         r9 += 1
"
    )
}

/// Two ways of which one counts: there are as many counts as diamonds before.
fn counting_diamond(unit: usize) -> String {
    format!(
        "r2 = *(u32 *)(r6 +0)
         if r2 > 100 goto end{unit}
         r9 += 1
end{unit}:
         r3 = r9
"
    )
}

fn nested_loops(unit: usize) -> String {
    format!(
        "r7 = 0
outer{unit}:
         r8 = 0
inner{unit}:
         r2 = *(u32 *)(r6 +0)
         r2 &= 15
         r9 ^= r2
         r8 += 1
         if r8 < 4 goto inner{unit}
         r7 += 1
         if r7 < 4 goto outer{unit}
"
    )
}

/// Trees in which every function calls the next one twice.
fn call_trees(slots: usize) -> String {
    let trees = units(slots, 2 + 7 * (LEVELS - 1) + 3);
    let calls: String = (0..trees)
        .map(|tree| format!("r1 = r6\ncall f{tree}_0\n"))
        .collect();
    let functions: String = (0..trees)
        .flat_map(|tree| (0..LEVELS).map(move |level| function(tree, level)))
        .collect();
    format!("r6 = r1\n{calls}r0 = 0\nexit\n{functions}")
}

fn function(tree: usize, level: usize) -> String {
    if level + 1 == LEVELS {
        return format!(
            "f{tree}_{level}:
             r0 = *(u32 *)(r1 +0)
             r0 &= 15
             exit
"
        );
    }
    let next = level + 1;
    format!(
        "f{tree}_{level}:
         r6 = r1
         call f{tree}_{next}
         r7 = r0
         r1 = r6
         call f{tree}_{next}
         r0 += r7
         exit
"
    )
}

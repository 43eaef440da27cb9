//! Budgets of the analysis, each with its source.

/// Abstract instruction steps beyond one for each instruction of the program (Linux:
/// `BPF_COMPLEXITY_LIMIT_INSNS`, one million).
pub const STEPS: u64 = 1_000_000;
/// The most steps that an option can allow: numbers that tell objects apart stay below 2^31.
pub const STEPS_MOST: u64 = 1 << 28;
/// Different problems reported for one program: enough to be useful, few enough to read.
pub const REJECTIONS: usize = 8;
/// Bytes of states and of the way to them that are kept at once: so little that whatever is verified
/// leaves the whole process below 60 MB, and enough for all programs of the corpus.
pub const MEMORY: usize = 40 << 20;
/// Bytes that each instruction of a program adds to that: a program of many branches or loops keeps
/// several states, and ways that wait, for each few instructions. Enough that programs of any size
/// run out of steps first.
pub const BYTES_PER_INSN: usize = 2048;
/// Loops whose rounds are counted. Every stored state holds a count for each; programs with more
/// loops are judged all the same.
pub const COUNTED_LOOPS: usize = 64;
/// Resources held at once; a loop that only acquires must not grow the state without end.
pub const REFERENCES: usize = 64;
/// Guesses (see `generalise`) being tried at once, one inside the other.
pub const GUESSES: usize = 64;
/// Wrong guesses at one instruction after which none is made there.
pub const GUESSES_PER_INSN: u32 = 3;
/// A guess may take this part of the step budget.
pub const GUESS_SHARE: u64 = 8;
/// Rounds of a loop that is not followed round by round, counted from where that begins (Linux:
/// `BPF_MAX_LOOPS`, 2^23).
pub const ROUNDS: u32 = 1 << 23;
/// Rounds that are followed one by one before a loop is tried to be summed up.
pub const FOLLOWED_ROUNDS: u32 = 64;
/// Wrong attempts to sum a loop up until it has gone round eight times as often.
pub const LOOP_ATTEMPTS: u32 = 6;
/// Returns of a loop whose numbers are joined; those of further ones may be anything.
pub const JOINED_RETURNS: usize = 3;
/// How often that may be eight times as often.
pub const LOOP_STAGES: u32 = 3;
/// An attempt may take this part of the step budget.
pub const LOOP_SHARE: u64 = 16;
/// Numbers of a loop head whose changes are watched.
pub const MEASURED_NUMBERS: usize = 16;
/// Finished states compared at one instruction before the least useful is dropped.
pub const STATES_PER_INSN: usize = 64;
/// Largest distance of a pointer from its base (Linux: `BPF_MAX_VAR_OFF`, 2^29): far from where
/// pointers would wrap, and every sum of two fits in 32 bits.
pub const POINTER_OFFSET: i64 = 1 << 29;
/// Largest packet, and so the largest offset a comparison with the end of a packet can prove
/// (Linux: `MAX_PACKET_OFF`).
pub const PACKET_BYTES: i64 = 0xffff;
/// Moved packet pointers of which a state knows what they were moved by; older ones are forgotten.
pub const SUMS: usize = 4;
/// Sums of two numbers that a state knows; older ones are forgotten.
pub const TOTALS: usize = 4;
/// Largest memory that a helper is given (a map value can be no larger than this on Linux).
pub const MEMORY_BYTES: i64 = 1 << 29;
/// A global function may take this part of the step budget to be judged by its contract.
pub const CONTRACT_SHARE: u64 = 8;
/// How often what a callback does to its caller is tried to be summed up.
pub const CALLBACK_ROUNDS: u32 = 32;
/// Branches kept of the path to a problem, the last ones (1 MiB). With all of them the path can be
/// followed again to explain the problem.
pub const PATH_BRANCHES: usize = 1 << 17;
/// Passes over a function to find what is live. Each loop level needs one more; what needs more
/// than this jumps against the order of its instructions on purpose.
pub const LIVENESS_PASSES: usize = 32;
/// Instructions of a path that are followed again to explain a problem (8 bytes each).
pub const REPLAYED_STEPS: usize = 1 << 20;
/// Helpers on a path that call functions back, whose states are kept to explain a problem.
pub const PATH_CALLBACKS: usize = 256;
/// Steps of an explanation: what led to the problem last is the most useful.
pub const EXPLAINED_STEPS: usize = 12;
/// Instructions of a path looked at more closely for an explanation.
pub const MARKED_STEPS: usize = 4096;
/// Starts of blocks in which constants are looked for (about 100 bytes each).
pub const CONSTANT_BLOCKS: usize = 1 << 16;
/// Constants of a table joined by one load at a variable offset; tables of more say nothing.
pub const CONSTANTS: usize = 256;
/// Places on the stack whose numbers one load at a variable offset joins: half a frame of words.
pub const STACK_PLACES: usize = 32;

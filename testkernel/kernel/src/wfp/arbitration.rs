//! Who wins when several filters of a layer speak.
//!
//! By the documentation of filter arbitration: every sublayer is asked, highest weight first; in a
//! sublayer the first filter that permits or blocks decides; a block wins over a permit, unless the
//! permit was hard (its callout took away the right to write the action).

use super::plan::{Plan, Step};
use crate::machine::violation;
use wdk::fwp as w;

/// What a layer decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Whether it is blocked; permitted when nobody says a word.
    pub is_blocked: bool,
    /// Blocked without a report.
    pub is_absorbed: bool,
    /// The decision is not open to others.
    pub is_hard: bool,
    /// The filter that decided; 0 for none.
    pub filter: u64,
}

/// What one filter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// `ACTION_...`.
    pub action: u32,
    /// `RIGHT_...` that are left.
    pub rights: u32,
    /// `OUT_FLAG_...`.
    pub flags: u32,
}

/// Asks the filters of a plan; `ask` calls a callout, with the rights it has.
#[inline]
pub fn arbitrate(plan: &Plan, mut ask: impl FnMut(&Step, u32) -> Asked) -> Verdict {
    let mut verdict = Verdict::default();
    let mut decided = None;
    for step in &plan.steps {
        // The rest of a sublayer that has decided is not asked.
        if decided == Some(step.sublayer) {
            continue;
        }
        let rights = if verdict.is_hard {
            0
        } else {
            w::RIGHT_ACTION_WRITE
        };
        let said = ask(step, rights);
        if said.action != w::ACTION_BLOCK && said.action != w::ACTION_PERMIT {
            continue;
        }
        decided = Some(step.sublayer);
        let is_block = said.action == w::ACTION_BLOCK;
        if rights == 0 && !is_block {
            continue;
        }
        if rights == 0 && !verdict.is_blocked {
            violation(|| "a callout blocks without the right to write the action".to_owned());
            continue;
        }
        if is_block || !verdict.is_blocked {
            verdict.is_blocked = is_block;
            verdict.is_absorbed = is_block && said.flags & w::OUT_FLAG_ABSORB != 0;
            verdict.filter = step.filter.id;
        }
        verdict.is_hard |= said.rights & w::RIGHT_ACTION_WRITE == 0;
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Machine;
    use abi::Guid;
    use std::sync::Arc;

    /// Asks filters that say these actions: sublayer, action, whether it is hard.
    fn decide(filters: &[(u128, u32, bool)]) -> (bool, u64, usize) {
        let step = |(at, (sublayer, ..)): (usize, &(u128, u32, bool))| Step {
            filter: w::Filter {
                id: at as u64 + 1,
                ..w::Filter::default()
            },
            sublayer: Guid::from_u128(*sublayer),
            callout: None,
        };
        let plan = Plan {
            steps: filters.iter().enumerate().map(step).collect(),
        };
        let mut asked = 0;
        let verdict = arbitrate(&plan, |step, rights| {
            asked += 1;
            let (_, action, is_hard) = filters[step.filter.id as usize - 1];
            Asked {
                action,
                rights: if is_hard { 0 } else { rights },
                flags: 0,
            }
        });
        (verdict.is_blocked, verdict.filter, asked)
    }

    #[test]
    fn blocks_win_over_soft_permits_and_lose_against_hard_ones() {
        use w::{ACTION_BLOCK as BLOCK, ACTION_CONTINUE as CONTINUE, ACTION_PERMIT as PERMIT};
        let machine: Arc<Machine> = Arc::default();
        machine.enter(|| {
            assert_eq!(decide(&[]), (false, 0, 0));
            assert_eq!(
                decide(&[(1, CONTINUE, false), (1, BLOCK, false)]),
                (true, 2, 2)
            );
            // The first that decides ends its sublayer.
            assert_eq!(
                decide(&[(1, PERMIT, false), (1, BLOCK, false)]),
                (false, 1, 1)
            );
            assert_eq!(
                decide(&[(1, PERMIT, false), (2, BLOCK, false)]),
                (true, 2, 2)
            );
            assert_eq!(
                decide(&[(1, BLOCK, false), (2, PERMIT, false)]),
                (true, 1, 2)
            );
            assert_eq!(decide(&[(1, BLOCK, true), (2, PERMIT, true)]), (true, 1, 2));
        });
        assert_eq!(machine.reports.violations(), [""; 0]);
        let late = machine.enter(|| decide(&[(1, PERMIT, true), (2, BLOCK, false)]));
        assert_eq!(late, (false, 1, 2));
        assert_eq!(machine.reports.violations().len(), 1);
    }
}

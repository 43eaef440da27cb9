//! What every build needs and none of its inputs decides: the signing key and the driver skeleton.
//!
//! Both take a millisecond or so, which is much of a build, so [`Kit::prepare`] makes them on a
//! thread of its own while the first input is read, proved and compiled. Whoever comes before they
//! are ready waits, or makes them when nobody started.

use crate::args::SigningArgs;
use crate::keys;
use crate::report::{Diagnostic, Talk};
use codegen::Skeleton;
use signing::Signer;
use std::sync::OnceLock;

/// Things made once for all inputs.
#[derive(Debug)]
pub(crate) struct Kit<'a> {
    signing: &'a SigningArgs,
    talk: Talk,
    skeleton: Skeleton,
    signer: OnceLock<Result<Option<Signer>, Vec<Diagnostic>>>,
}

impl<'a> Kit<'a> {
    /// A kit of which nothing is made yet.
    pub(crate) fn new(signing: &'a SigningArgs, talk: Talk) -> Kit<'a> {
        Kit {
            signing,
            talk,
            skeleton: Skeleton::new(),
            signer: OnceLock::new(),
        }
    }

    /// Makes everything, in the order in which a build needs it.
    pub(crate) fn prepare(&self) {
        self.skeleton.prepare();
        let _ = self.signer();
    }

    /// The driver around the programs.
    pub(crate) fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// Who signs; `None` for `--unsigned`. It fails the same way every time.
    pub(crate) fn signer(&self) -> Result<Option<&Signer>, &[Diagnostic]> {
        let made = self
            .signer
            .get_or_init(|| keys::signer(self.signing, self.talk));
        made.as_ref().map(Option::as_ref).map_err(Vec::as_slice)
    }
}

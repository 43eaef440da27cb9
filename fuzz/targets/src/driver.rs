//! Targets of the `image` and `signing` crates.

use crate::{outcome, seeds};
use image::check::Verdict;
use std::sync::LazyLock;

/// The checker reaches a verdict on any file, or says why it cannot read it.
pub(crate) fn image(data: &[u8]) -> String {
    match image::check(data) {
        Ok(report) => {
            let failed = report.with(Verdict::Fail).map(|row| row.rule.id);
            failed.collect::<Vec<_>>().join(" ")
        }
        Err(error) => outcome(&error.to_string()),
    }
}

/// A signature is good only over what was signed: no damage to a signed file makes another file
/// that counts as signed.
pub(crate) fn signature(data: &[u8]) -> String {
    static SIGNED: LazyLock<Vec<[u8; 32]>> = LazyLock::new(|| {
        let seeds = seeds::signed_images().unwrap_or_default();
        seeds
            .iter()
            .filter_map(|file| signing::authenticode(file).ok())
            .collect()
    });
    match signing::inspect(data) {
        Ok(None) => "unsigned".to_owned(),
        Ok(Some(signature)) => {
            let digest = signing::authenticode(data).ok();
            let is_known = digest.is_some_and(|digest| SIGNED.contains(&digest));
            assert!(
                is_known || !signature.is_good(),
                "another content counts as signed"
            );
            let matches = if signature.digest_matches {
                "same"
            } else {
                "other"
            };
            format!("{:?} {matches}", signature.status)
        }
        Err(error) => outcome(&error.to_string()),
    }
}

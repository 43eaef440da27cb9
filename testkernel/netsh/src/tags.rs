//! Arguments and their tags, by the rules of netsh.h: `tag=value` names its tag, which may be shortened;
//! other arguments take the tags that are left, in order.

/// `ERROR_INVALID_SYNTAX`, `ERROR_TAG_ALREADY_PRESENT` and `ERROR_INVALID_OPTION_TAG` of netsh.h.
pub(crate) const INVALID_SYNTAX: u32 = 15_001;
pub(crate) const TAG_ALREADY_PRESENT: u32 = 15_008;
pub(crate) const INVALID_OPTION_TAG: u32 = 15_009;

/// A tag that a command has.
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) is_required: bool,
}

/// Which tag an argument has, and where its value begins, in letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Match {
    pub(crate) tag: usize,
    pub(crate) value_at: usize,
}

/// Whether a user means a token: the whole of it or its beginning, in letters of any size.
pub(crate) fn is_meant(typed: &str, token: &str) -> bool {
    let mut letters = token.chars().flat_map(char::to_lowercase);
    let typed = typed.chars().flat_map(char::to_lowercase);
    let mut compared = 0;
    for letter in typed {
        if letters.next() != Some(letter) {
            return false;
        }
        compared += 1;
    }
    compared > 0
}

/// Gives each argument its tag, or says with an error of netsh.h what is wrong.
pub(crate) fn assign(
    arguments: &[String],
    tags: &[Tag],
    (least, most): (usize, usize),
) -> Result<Vec<Match>, u32> {
    if arguments.len() < least || arguments.len() > most {
        return Err(INVALID_SYNTAX);
    }
    let mut matches: Vec<Match> = Vec::new();
    for argument in arguments {
        let is_free = |tag: usize| matches.iter().all(|known| known.tag != tag);
        let (tag, value_at) = match argument.split_once('=') {
            Some((name, _)) => {
                let exact = tags
                    .iter()
                    .position(|tag| tag.name.eq_ignore_ascii_case(name));
                let begun = || tags.iter().position(|tag| is_meant(name, &tag.name));
                let tag = exact.or_else(begun).ok_or(INVALID_OPTION_TAG)?;
                if !is_free(tag) {
                    return Err(TAG_ALREADY_PRESENT);
                }
                (tag, name.encode_utf16().count() + 1)
            }
            None => (
                (0..tags.len())
                    .find(|tag| is_free(*tag))
                    .ok_or(INVALID_SYNTAX)?,
                0,
            ),
        };
        matches.push(Match { tag, value_at });
    }
    let has = |tag: usize| matches.iter().any(|known| known.tag == tag);
    let is_there = |(at, tag): (usize, &Tag)| !tag.is_required || has(at);
    match tags.iter().enumerate().all(is_there) {
        true => Ok(matches),
        false => Err(INVALID_SYNTAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(line: &str) -> Result<Vec<(usize, String)>, u32> {
        let tag = |name: &str, is_required| Tag {
            name: name.to_owned(),
            is_required,
        };
        let tags = [
            tag("filename", true),
            tag("type", false),
            tag("pinned", false),
        ];
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let matches = assign(&arguments, &tags, (1, 3))?;
        let value = |(known, argument): (&Match, &String)| {
            (known.tag, argument[known.value_at..].to_owned())
        };
        Ok(matches.iter().zip(&arguments).map(value).collect())
    }

    #[test]
    fn arguments_find_their_tags() {
        let is = |values: &[(usize, &str)]| -> Result<Vec<(usize, String)>, u32> {
            Ok(values
                .iter()
                .map(|(tag, value)| (*tag, (*value).to_owned()))
                .collect())
        };
        assert_eq!(tagged("a.o xdp"), is(&[(0, "a.o"), (1, "xdp")]));
        assert_eq!(tagged("type=xdp a.o"), is(&[(1, "xdp"), (0, "a.o")]));
        assert_eq!(tagged("F=a=b.o P=all"), is(&[(0, "a=b.o"), (2, "all")]));
        assert_eq!(tagged("filename="), is(&[(0, "")]));
    }

    #[test]
    fn wrong_arguments_have_their_errors() {
        assert_eq!(tagged(""), Err(INVALID_SYNTAX));
        assert_eq!(tagged("a b c d"), Err(INVALID_SYNTAX));
        assert_eq!(tagged("type=xdp"), Err(INVALID_SYNTAX));
        assert_eq!(tagged("a.o sort=1"), Err(INVALID_OPTION_TAG));
        assert_eq!(tagged("a.o filename=b.o"), Err(TAG_ALREADY_PRESENT));
    }

    #[test]
    fn tokens_may_be_shortened() {
        assert!(is_meant("sh", "show") && is_meant("SHOW", "show"));
        assert!(!is_meant("shows", "show") && !is_meant("", "show") && !is_meant("ow", "show"));
    }
}

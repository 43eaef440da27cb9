//! Lines as words: blanks part them, except inside of quotation marks.

/// The words of a line, without their quotation marks.
pub(crate) fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            letter if letter.is_whitespace() && !is_quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotation_marks_keep_words_together() {
        assert_eq!(split("  show  programs\r\n"), ["show", "programs"]);
        assert_eq!(
            split(r#"add "a b.o" type="xdp" """#),
            ["add", "a b.o", "type=xdp", ""]
        );
        assert!(split(" ").is_empty());
    }
}

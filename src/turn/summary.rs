//! What a conversation is about, in a line: the beginning of its first question and of the reply to it. No model is asked.

/// Characters of the question that are kept.
const QUESTION_CHARS: usize = 80;

/// Characters of the reply that are kept.
const REPLY_CHARS: usize = 120;

/// Where sentences end; in some scripts without a space after it.
const ENDS: [char; 6] = ['.', '!', '?', '。', '！', '？'];

/// The summary of an exchange.
pub(super) fn summarise(question: &str, reply: &str) -> String {
    let parts = [excerpt(question, QUESTION_CHARS), excerpt(reply, REPLY_CHARS)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" — ")
}

/// The beginning of a text in one line of at most `max` characters: as many whole sentences as fit, else as many whole
/// words, with `…` after them.
fn excerpt(text: &str, max: usize) -> String {
    let words = text.split_whitespace();
    let spaced = words.flat_map(|word| std::iter::once(' ').chain(word.chars()));
    // One character more than fits tells whether anything is left out, however long the text is.
    let line: Vec<char> = spaced.skip(1).take(max + 1).collect();
    if line.len() <= max {
        return line.into_iter().collect();
    }
    let is_end = |at: usize| ENDS.contains(&line[at]) && (line[at + 1] == ' ' || !line[at].is_ascii());
    if let Some(end) = (0..max).rev().find(|at| is_end(*at)) {
        return line[..=end].iter().collect();
    }
    let word_end = (1..max).rev().find(|at| line[*at] == ' ');
    let mut cut: String = line[..word_end.unwrap_or(max - 1)].iter().collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_exchanges_are_kept_whole() {
        assert_eq!(summarise("Hi there", "Echo: Hi there"), "Hi there — Echo: Hi there");
        assert_eq!(summarise(" a\n\n b\t", "c"), "a b — c");
        assert_eq!(summarise("a", "  "), "a");
        assert_eq!(summarise("", ""), "");
    }

    #[track_caller]
    fn check(text: &str, max: usize, wanted: &str) {
        let got = excerpt(text, max);
        assert_eq!(got, wanted);
        assert!(got.chars().count() <= max);
    }

    #[test]
    fn long_texts_end_with_a_sentence_or_a_word() {
        check("One. Two! Three?", 16, "One. Two! Three?");
        check("One. Two! Three?", 15, "One. Two!");
        check("One. Two! Three?", 9, "One. Two!");
        check("One. Two! Three?", 8, "One.");
        // A point within a word ends nothing.
        check("version 3.14 of it", 14, "version 3.14…");
        check("some words without an end", 11, "some words…");
        check("some words without an end", 10, "some…");
        check("Donaudampfschifffahrt", 10, "Donaudamp…");
        check("一句话。第二句话很长很长", 8, "一句话。");
        check("没有标点的很长的一句话", 5, "没有标点…");
    }

    #[test]
    fn only_the_beginning_of_a_large_text_is_read() {
        let large = "x".repeat(8 * 1024 * 1024);
        assert_eq!(
            summarise(&large, &large).chars().count(),
            QUESTION_CHARS + 3 + REPLY_CHARS
        );
    }
}

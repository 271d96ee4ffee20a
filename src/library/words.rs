//! Text to words: for the index, and for a question that is asked of it. Forms of a word and accents are the index's
//! business; what is a word at all is decided here, so that text and question are cut alike.

use unicode_segmentation::UnicodeSegmentation as _;

/// Words of a question that are looked up: each costs a query, and a question with more is a text.
const QUESTION_WORDS_MAX: usize = 32;

/// Characters of a question that are read: some pages. What is longer is a text that says at its beginning what it is about.
const QUESTION_CHARS_MAX: usize = 10_000;

/// Longer words are not words but data, which nobody asks for.
const WORD_CHARS_MAX: usize = 64;

/// English words that stand in every text and tell none apart. Those of other languages are left to their rank, because
/// some are English words with a meaning ("die", "war").
const STOP_WORDS: &str = " a about after again all also am an and any anything are as at be because been before being \
    between both but by can could did do does doing done don down during each either else ever every few find for from \
    further get gets give given go goes had has have having he her here hers him himself his how i if in into is isn it \
    its itself just let like ll may me might more most must my no nor not of off on once one only or other our ours out \
    over own please re same she should show so some something still such tell than that the their theirs them themselves \
    then there these they this those through to too under until up upon us ve very want was we were what when where which \
    while who whom whose why will with would you your yours ";

/// The words of a text, one after the other.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut run = String::new();
    for piece in text.split_word_bounds() {
        if piece.chars().next().is_some_and(is_unspaced) {
            run.push_str(piece);
            continue;
        }
        push_pairs(&mut words, &std::mem::take(&mut run));
        push_parts(&mut words, piece);
    }
    push_pairs(&mut words, &run);
    words
}

/// The words that a question is about, each once, in order.
pub(super) fn question_words(question: &str) -> Vec<String> {
    let read = question.char_indices().nth(QUESTION_CHARS_MAX);
    let question = read.map_or(question, |(end, _)| &question[..end]);
    // Neither list gets long: one is cut off, the other holds no more than there are stop words.
    let (mut telling, mut common) = (Vec::new(), Vec::new());
    for word in words(question) {
        let word = word.to_lowercase();
        let is_common = STOP_WORDS.contains(&format!(" {word} "));
        let chosen = if is_common { &mut common } else { &mut telling };
        if chosen.len() < QUESTION_WORDS_MAX && !chosen.contains(&word) {
            chosen.push(word);
        }
    }
    // "To be or not to be" has nothing else to go by.
    if telling.is_empty() { common } else { telling }
}

/// Whether a character belongs to a script that sets no spaces between words (Thai, Lao, Burmese, Khmer, Chinese,
/// Japanese), or few (Korean).
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1100}'..='\u{11FF}' | '\u{1780}'..='\u{17FF}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3130}'..='\u{318F}' | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}')
}

/// Text without spaces is indexed by every two neighbouring characters: no dictionary, and any word is found.
fn push_pairs(words: &mut Vec<String>, run: &str) {
    let characters: Vec<&str> = run.graphemes(true).collect();
    match &characters[..] {
        [] => {}
        [one] => words.push((*one).to_owned()),
        many => words.extend(many.windows(2).map(<[&str]>::concat)),
    }
}

/// The parts of a word around apostrophes, dots and underscores: "whale's" is about a whale.
fn push_parts(words: &mut Vec<String>, piece: &str) {
    let parts = piece.split(|c: char| c.is_ascii_punctuation() || c == '’');
    for part in parts {
        let is_rest = part.len() < piece.len() && part.chars().nth(1).is_none();
        let is_word = part.chars().any(char::is_alphanumeric) && part.chars().nth(WORD_CHARS_MAX).is_none();
        if is_word && (!is_rest || part.chars().all(char::is_numeric)) {
            words.push(part.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_many_scripts() {
        for (text, expected) in [
            ("The whale's eye, don't.", &["The", "whale", "eye", "don"][..]),
            ("l’étranger — d'Albert", &["étranger", "Albert"]),
            (
                "at 3.14 in C, file_name.rs",
                &["at", "3", "14", "in", "C", "file", "name", "rs"],
            ),
            ("हिन्दी में", &["हिन्दी", "में"]),
            ("吾輩は猫。猫", &["吾輩", "輩は", "は猫", "猫"]),
            ("AI時代のtool", &["AI", "時代", "代の", "tool"]),
            ("\" OR * NEAR(", &["OR", "NEAR"]),
            (" \n…", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert!(words(&"x".repeat(65)).is_empty());
        assert_eq!(words("ไทย").len(), 2);
    }

    #[test]
    fn a_question_is_what_tells_texts_apart() {
        assert_eq!(
            question_words("Which of the whales is the White whale?"),
            ["whales", "white", "whale"]
        );
        assert_eq!(question_words("Who is it?"), ["who", "is", "it"]);
        let many: String = (0..99).map(|number| format!("w{number} ")).collect();
        assert_eq!(question_words(&many).len(), QUESTION_WORDS_MAX);
        let late = format!("{} whale", "?".repeat(QUESTION_CHARS_MAX));
        assert!(question_words(&late).is_empty());
    }
}

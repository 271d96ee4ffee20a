//! What a question is about: the words of it that tell texts apart.

use crate::words::words;

/// Words of a question that are looked up: each costs a query, and a question with more is a text.
const QUESTION_WORDS_MAX: usize = 32;

/// Characters of a question that are read: some pages. What is longer is a text that says at its beginning what it is about.
const QUESTION_CHARS_MAX: usize = 10_000;

/// English words that stand in every text and tell none apart. Those of other languages are left to their rank, because
/// some are English words with a meaning ("die", "war").
const STOP_WORDS: &str = " a about after again all also am an and any anything are as at be because been before being \
    between both but by can could did do does doing done don down during each either else ever every few find for from \
    further get gets give given go goes had has have having he her here hers him himself his how i if in into is isn it \
    its itself just let like ll may me might more most must my no nor not of off on once one only or other our ours out \
    over own please re same she should show so some something still such tell than that the their theirs them themselves \
    then there these they this those through to too under until up upon us ve very want was we were what when where which \
    while who whom whose why will with would you your yours ";

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

#[cfg(test)]
mod tests {
    use super::*;

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
